// All meta-latents, in an order that the address holds.
(function (Canon) {
  "use strict";
  var FIRST = 250;

  Canon.List = {
    props: { sort: { type: String, default: "" }, turned: Boolean },
    emits: ["ready"],
    components: { help: Canon.Help, "meta-name": Canon.MetaName, token: Canon.Token },
    data: function () { return { metas: null, limit: FIRST, error: "" }; },
    computed: {
      manifest: function () { return Canon.manifest; },
      by: function () { return this.sort || (this.manifest.score ? "score" : "users"); },
      columns: function () {
        var all = [["name", "meta-latent"], ["score", this.manifest.score], ["users", "users"]];
        return all.filter(function (c) { return c[1]; }).map(function (c) { return { key: c[0], title: c[1] }; });
      },
      rows: function () {
        var by = this.by, rows = this.metas.map(function (row, number) { return { number: number, row: row }; });
        function value(r) { return by === "users" ? r.row.nu : r.row.a === undefined ? -1 : r.row.a; }
        rows.sort(function (a, b) { // names from A, the unnamed last; figures from the largest
          var order = by !== "name" ? value(b) - value(a) : !a.row.n - !b.row.n || (a.row.n < b.row.n ? -1 : a.row.n > b.row.n ? 1 : 0);
          return order || a.number - b.number;
        });
        return this.turned ? rows.reverse() : rows;
      },
    },
    watch: { sort: "told", turned: "told" },
    created: function () {
      var self = this;
      Canon.metas().then(function (metas) { self.metas = Object.freeze(metas); }).catch(function (e) { self.error = e.message; })
        .then(function () { self.$nextTick(function () { self.$emit("ready", ""); }); });
    },
    methods: {
      href: Canon.href,
      count: Canon.count,
      told: function () { this.$emit("ready", ""); },
      choose: function (key) { Canon.go("metas", key + (key === this.by && !this.turned ? "/turned" : "")); },
      order: function (key) {
        if (key !== this.by) return undefined;
        return (key === "name") !== this.turned ? "ascending" : "descending";
      },
    },
    template: `<article class="page"><h1 tabindex="-1">All {{ count(manifest.n_meta) }} meta-latents</h1><help of="metas" />
      <p v-if="error" class="note" role="alert">{{ error }}</p><p v-else-if="!metas" class="wait" role="status">Reading…</p>
      <template v-else><div class="scroll" tabindex="0" role="region" aria-label="Meta-latents"><table class="metas"><thead><tr><th v-for="c in columns" :key="c.key" scope="col" :class="c.key" :aria-sort="order(c.key)">
        <button type="button" @click="choose(c.key)">{{ c.title }} <span aria-hidden="true">{{ c.key !== by ? "↕" : order(c.key) === "ascending" ?
        "↑" : "↓" }}</span></button></th><th scope="col" class="raised">raises</th></tr></thead>
        <tbody><tr v-for="r in rows.slice(0, limit)" :key="r.number"><td><a :href="href('meta', r.number)"><meta-name :number="r.number"
          :row="r.row" /></a></td><td v-if="manifest.score" class="figure">{{ r.row.a === undefined ? "–" : r.row.a.toFixed(2) }}</td>
          <td class="figure">{{ count(r.row.nu) }}</td><td class="raised"><token v-for="(w, i) in r.row.w.slice(0, 3)" :key="i" :text="w"
          /></td></tr></tbody></table></div>
        <button v-if="rows.length > limit" type="button" @click="limit = rows.length">Show all {{ count(rows.length) }}</button></template></article>`,
  };
})(window.Canon);
