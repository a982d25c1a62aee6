// The page of a latent. Templates show data as text alone (no v-html anywhere).
(function (Canon) {
  "use strict";
  var LACKING = {
    1: "It never fired in training, so the meta-SAE was not trained on it.",
    2: "Its decoder direction has length zero, so there is nothing to take apart.",
  };
  Canon.lacking = function (record) { return LACKING[record.z] || "No meta-latent is active on it."; };

  Canon.Latent = {
    mixins: [Canon.reads(function (n) { return Canon.latent(n); })],
    data: function () { return { kind: "latent" }; },
    computed: {
      top: function () { return Math.max.apply(null, this.record.p.map(function (p) { return p[1]; }).concat(0.01)); },
      lacking: function () { return Canon.lacking(this.record); },
      smaller: function () { return this.manifest.sizes.length ? this.manifest.sizes[this.manifest.sizes.length - 1].label : ""; },
      meaning: function () {
        var k = this.record.k, told = "the error of the SAE of " + this.smaller;
        if (k[0] === "silent") return "It fires on none of the " + this.manifest.unit + " measured, so its effect is not known.";
        return (k[0] === "novel" ? "Inserted alone, it lowers " : "Inserted alone, it does not lower ") + told +
          ", whose MSE " + Canon.change(k[1]) + ".";
      },
    },
    methods: {
      truth: function (i) { return this.record.h ? Canon.mark(this.record.h[i]) : null; },
    },
    template: `<article v-if="record" class="page">
      <header><h1 tabindex="-1"><bdi>{{ record.n ? heading(record.n) : "Latent " + number }}</bdi></h1>
        <p class="quiet"><template v-if="record.n">latent {{ number }} · </template><template v-if="record.d !== undefined">{{ fires(record.d)
        }} · </template><template v-if="record.m">highest activation {{ record.m }} · </template><a :href="href('graph', number)">walk
        the graph</a></p></header><help of="latent" />
      <section><h2>Made of</h2><p v-if="!record.p.length" class="quiet">{{ lacking }}</p>
        <ul v-else class="bars"><li v-for="(p, i) in record.p" :key="p[0]"><a :href="href('meta', p[0])"><span class="what">
          <meta-name :number="p[0]" :row="metas[p[0]]" /> <span v-if="truth(i)" :class="truth(i).kind"><span aria-hidden="true">{{
          truth(i).sign }}</span> {{ truth(i).word }}</span></span>
          <span class="track"><span class="bar meta" :style="wide(p[1], top)"></span></span><span class="value">{{ p[1].toFixed(2)
          }}</span></a></li></ul>
        <p v-if="record.r !== null" class="quiet">The direction has length 1; what the parts leave over has length {{
        record.r.toFixed(2) }}.</p></section>
      ${Canon.sections.texts}
      <section v-if="manifest.truth"><h2>The fact table</h2>
        <p v-if="record.e">It detects <b><bdi>{{ shown(record.e) }}</bdi></b><template v-if="record.ef !== undefined"> (F1 {{
          record.ef.toFixed(2) }})</template>. The table says: <span class="chips"><span v-for="f in record.t" :key="f"
          class="token fact">{{ fact(f) }}</span></span></p>
        <p v-else class="quiet">It detects no single entity (F1 above 0.5).</p>
        <div v-if="record.f && record.f.length" class="scroll" tabindex="0" role="region" aria-label="Facts detected best"><table>
          <thead><tr><th scope="col">detects best</th><th scope="col">F1</th><th scope="col">precision</th><th scope="col">recall</th></tr></thead>
          <tbody><tr v-for="f in record.f" :key="f[0]"><td>{{ fact(f[0]) }}</td><td>{{ f[1].toFixed(2) }}</td><td>{{ f[2].toFixed(2)
          }}</td><td>{{ f[3].toFixed(2) }}</td></tr></tbody></table></div></section>
      <section v-if="record.k || manifest.unclassed"><h2>Against the next smaller SAE</h2>
        <p v-if="record.k"><span class="class" :class="record.k[0]">{{ record.k[0] }}</span> {{ meaning }}</p>
        <p v-else class="quiet">Novel or reconstruction? Not known: {{ manifest.unclassed }}</p></section>
      ${Canon.sections.raises}${Canon.sections.near}</article>${Canon.sections.wait("Latent")}`,
  };
})(window.Canon);
