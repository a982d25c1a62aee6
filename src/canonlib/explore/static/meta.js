// The page of a meta-latent.
(function (Canon) {
  "use strict";
  var FIRST = 48, MORE = 500; // users shown at first, and more each time

  Canon.Meta = {
    mixins: [Canon.reads(function (n) { return Canon.meta(n); })],
    data: function () { return { kind: "meta", limit: FIRST }; },
    watch: { number: function () { this.limit = FIRST; } },
    computed: {
      top: function () { return Math.max.apply(null, this.record.u.slice(0, 1).map(function (u) { return u[1]; }).concat(0.01)); },
      users: function () { return this.record.u.slice(0, this.limit); },
      hint: function () { return Canon.hint(this.metas[this.number]); },
      unsure: function () { // who of the users may be dead
        var m = this.manifest;
        if (m.n_alive !== null) return "";
        return m.n_silent === null ? "Nobody knows here which latents are dead, for want of texts: such ones are counted, too." : "";
      },
    },
    methods: {
      more: function () { this.limit += MORE; },
      name: function (j) { return this.names[j] ? Canon.shown(this.names[j]) : "latent " + j; },
      score: function (j) { return this.scores[j] === undefined || this.scores[j] === null ? "" : "F1 " + this.scores[j].toFixed(2); },
    },
    template: `<article v-if="record" class="page">
      <header><h1 tabindex="-1"><bdi>{{ record.n ? heading(record.n) : "Meta-latent " + number }}</bdi></h1>
        <p class="quiet"><template v-if="record.n">meta-latent {{ number }} · </template><template v-if="record.a !== undefined">{{
        manifest.score }} {{ record.a.toFixed(2) }} · </template>used by {{ count(record.u.length) }} {{ record.u.length === 1 ? "latent" :
        "latents" }}<template v-if="record.d !== undefined"> · handed something on {{ percent(record.d) }} of {{ manifest.unit
        }}</template><template v-if="record.m">, {{ record.m }} at most</template> · <a :href="href('metas')">all meta-latents</a></p>
        <p v-if="!record.n && hint.texts.length">{{ hint.what }} <template v-for="(t, i) in hint.texts" :key="i">{{ i ? ", " : "" }}<bdi>{{ t
        }}</bdi></template>.</p></header><help of="meta" />
      <section v-if="manifest.truth"><h2>Its name, and the evidence</h2><p v-if="!record.f" class="quiet">Too few users to name it.</p>
        <p v-else><template v-if="record.f[5]">Named after <b>{{ fact(record.f[0]) }}</b>:</template><template v-else>The fact that fits
        best is <b>{{ fact(record.f[0]) }}</b>, but chance does as well, so it stays unnamed:</template> F1 {{ record.f[1].toFixed(2)
        }}<template v-if="record.f[6] !== null">, where chance reaches {{ record.f[6].toFixed(2) }}</template>; precision {{
        record.f[2].toFixed(2) }}, recall {{ record.f[3].toFixed(2) }} over the latents that detect an entity; q = {{ record.f[4] }}.</p></section>
      <section><h2>Used by</h2><p v-if="!record.u.length" class="quiet">No latent uses it.</p>
        <p v-if="record.ns" class="quiet">{{ count(record.ns) }} of them {{ record.ns === 1 ? "fires" : "fire" }} on none of the {{
        count(manifest.n_tokens) }} {{ manifest.unit }} measured, and may be dead: marked as silent.</p><p v-if="unsure && record.u.length" class="quiet">{{ unsure }}</p>
        <ul class="bars"><li v-for="u in users" :key="u[0]"><a :href="href('latent', u[0])"><span class="what"><bdi>{{ name(u[0]) }}</bdi>
          <span v-if="score(u[0])" class="quiet">{{ score(u[0]) }}</span> <span v-if="u[2]" class="quiet">silent</span></span>
          <span class="track"><span class="bar latent" :style="wide(u[1], top)"></span></span><span class="value">{{ u[1].toFixed(2)
          }}</span></a></li></ul>
        <p v-if="record.u.length > users.length"><span class="quiet">The {{ users.length }} strongest of {{ count(record.u.length) }}.</span>
          <button type="button" @click="more">Show {{ record.u.length - users.length > ${MORE} ? "${MORE} more" : "all" }}</button></p></section>
      ${Canon.sections.texts}${Canon.sections.raises}${Canon.sections.near}</article>${Canon.sections.wait("Meta-latent")}`,
  };
})(window.Canon);
