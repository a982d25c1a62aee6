// What a search has found: latents and meta-latents, each with the reason, the kind with the better first hit first.
(function (Canon) {
  "use strict";
  var FIRST = { latents: 30, metas: 30 }, BOTH = { latents: 15, metas: 8 }; // shown at first: of one kind, and of two
  var MORE = 200;

  Canon.Results = {
    props: { query: { type: String, required: true } },
    emits: ["ready", "found"],
    components: { token: Canon.Token, "meta-name": Canon.MetaName },
    data: function () { return { result: null, rows: { latents: [], metas: [] }, more: { latents: 0, metas: 0 }, error: "" }; },
    computed: {
      examples: function () { return Canon.manifest.examples; },
      kinds: function () {
        return this.result.metas.best > this.result.latents.best ? ["metas", "latents"] : ["latents", "metas"];
      },
      told: function () {
        var latents = this.result.latents.total, metas = this.result.metas.total;
        function n(count, word) { return Canon.count(count) + " " + word + (count === 1 ? "" : "s"); }
        var left = Canon.unsearched(this.result.query);
        return n(latents, "latent") + " and " + n(metas, "meta-latent") + " for “" + Canon.shown(this.result.query) + "”" +
          (left ? " (its last " + n(left, "word") + " not searched for)" : "");
      },
    },
    watch: { query: { immediate: true, handler: function () { this.more = { latents: 0, metas: 0 }; this.find(); } } },
    methods: {
      href: Canon.href,
      count: Canon.count,
      shown: Canon.shown,
      add: function (kind) { this.more[kind] += MORE; this.find(); },
      find: function () {
        var self = this, wanted = this.query, more = this.more;
        // How many are shown is known once both kinds are counted: enough of each are asked for, and the rest put away.
        Canon.search(wanted, { latents: FIRST.latents + more.latents, metas: FIRST.metas + more.metas }).then(function (result) {
          var most = result.latents.total && result.metas.total ? BOTH : FIRST;
          ["latents", "metas"].forEach(function (kind) { result[kind].found.length = Math.min(result[kind].found.length, most[kind] + more[kind]); });
          var latents = Promise.all(result.latents.found.map(function (j) { return Canon.why(wanted, j); }));
          var metas = Promise.all(result.metas.found.map(function (m) { return Canon.whyMeta(wanted, m); }));
          return Promise.all([latents, metas]).then(function (rows) {
            if (self.query !== wanted) return;
            self.rows = Object.freeze({ latents: rows[0], metas: rows[1] });
            self.result = Object.freeze(result);
            self.error = "";
            self.$emit("found", result);
            self.$nextTick(function () { self.$emit("ready", ""); });
          });
        }).catch(function (e) { if (self.query === wanted) { self.error = e.message; self.$emit("ready", ""); } });
      },
    },
    template: `<article class="page results"><h1 tabindex="-1">Search<template v-if="query">: <bdi>{{ shown(query) }}</bdi></template></h1>
      <p v-if="error" class="note" role="alert">{{ error }}</p><template v-else-if="result"><p role="status" class="quiet">{{ told }}</p>
      <p v-if="!result.first">{{ query ? "Nothing found." : "" }} Search for a name, a fact, a token or a number<template v-if="examples.length">,
        such as <template v-for="(e, i) in examples" :key="e">{{ i ? ", " : "" }}<a :href="href('search', e)"><code>{{ e }}</code></a></template></template>.
        <code>name:</code>, <code>token:</code>, <code>raises:</code>, <code>fact:</code>, <code>part:</code> and <code>user:</code> search
        one field alone.</p>
      <section v-for="kind in kinds" :key="kind" v-show="result[kind].total"><h2>{{ kind === "metas" ? "Meta-latents" : "Latents" }}</h2>
        <ol class="hits"><template v-if="kind === 'metas'"><li v-for="(row, i) in rows.metas" :key="result.metas.found[i]">
          <a :href="href('meta', result.metas.found[i])"><meta-name :number="result.metas.found[i]" :row="row.row" />
          <span v-for="(r, k) in row.reasons" :key="k" class="why">{{ r.label }} <token :text="r.text" /></span></a></li></template>
        <template v-else><li v-for="(row, i) in rows.latents" :key="result.latents.found[i]"><a :href="href('latent', result.latents.found[i])">
          <template v-if="row.name"><bdi class="name">{{ shown(row.name) }}</bdi> <span class="quiet">{{ result.latents.found[i] }}</span></template>
          <span v-else class="name">latent {{ result.latents.found[i] }}</span>
          <span v-for="(r, k) in row.reasons" :key="k" class="why">{{ r.label }} <token :text="r.text" /></span>
          <span v-if="!row.reasons.length && row.tokens.length" class="why">fires on <token v-for="(w, k) in row.tokens.slice(0, 3)" :key="k"
            :text="w" /></span></a></li></template></ol>
        <button v-if="result[kind].total > rows[kind].length" type="button" @click="add(kind)">Show more of {{ count(result[kind].total) }}</button>
      </section></template><p v-else class="wait" role="status">Searching…</p></article>`,
  };
})(window.Canon);
