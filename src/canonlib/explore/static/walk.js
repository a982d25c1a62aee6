// The graph around a latent: choose a latent on its right, and its own comes up.
(function (Canon) {
  "use strict";
  var PARTS = 10;

  // A latent's record with those of its strongest parts.
  function neighbourhood(number) {
    return Canon.latent(number).then(function (record) {
      return Promise.all(record.p.slice(0, PARTS).map(function (p, i) {
        return Canon.meta(p[0]).then(function (m) {
          return { number: p[0], activation: p[1], users: m.u, mark: record.h ? Canon.mark(record.h[i]) : null };
        });
      })).then(function (parts) { return Object.assign({}, record, { parts: parts }); });
    });
  }

  Canon.Walk = {
    mixins: [Canon.reads(neighbourhood)],
    components: { graph: Canon.Graph },
    computed: { lacking: function () { return Canon.lacking(this.record); } },
    methods: {
      label: function (b) {
        if (b.kind === "latent") return Canon.latentText(b.number, this.names[b.number]);
        return (b.mark ? b.mark.sign + " " : "") + Canon.metaText(b.number, this.metas[b.number]);
      },
    },
    template: `<article v-if="record" class="page">
      <header><h1 tabindex="-1">The graph around <bdi>{{ record.n ? heading(record.n) : "latent " + number }}</bdi></h1>
        <p class="quiet">First the latent, then its meta-latents, with their activations on it, then the latents that use them most. Choose
        one of those to walk on. <a :href="href('latent', number)">All about this latent</a></p></header><help of="graph" />
      <p v-if="!record.parts.length" class="quiet">{{ lacking }}</p>
      <p v-if="record.p.length > record.parts.length" class="quiet">The {{ record.parts.length }} strongest of {{ record.p.length }} parts.</p>
      <graph v-if="record.parts.length" :number="number" :parts="record.parts" :label="label" />
      </article>${Canon.sections.wait("Latent")}`,
  };
})(window.Canon);
