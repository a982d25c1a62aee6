// What the pages of one record share: it is read when the number changes, and what is shown is always of that number.
(function (Canon) {
  "use strict";
  // load: number -> promise of the record. A page says "ready" once its record stands, or why it does not.
  Canon.reads = function (load) {
    return {
      props: { number: { type: Number, required: true } },
      emits: ["ready"],
      components: { token: Canon.Token, context: Canon.Context, help: Canon.Help, "meta-name": Canon.MetaName },
      data: function () { return { got: null, words: [], names: [], scores: [], metas: [], error: "" }; },
      computed: {
        manifest: function () { return Canon.manifest; },
        // Never another number's: until its own is here, there is none.
        record: function () { return this.got && this.got.number === this.number ? this.got.record : null; },
      },
      watch: { number: { immediate: true, handler: "read" } },
      methods: {
        read: function () {
          var self = this, wanted = this.number;
          this.got = null;
          this.error = "";
          Promise.all([load(wanted), Canon.metas(), Canon.tokens()]).then(function (got) {
            if (self.number !== wanted) return; // the reader has gone on
            self.got = Object.freeze({ number: wanted, record: got[0] });
            self.metas = Object.freeze(got[1]);
            self.words = Object.freeze(got[2]);
          }).catch(function (e) { if (self.number === wanted) self.error = e.message; }).then(function () {
            if (self.number === wanted) self.$nextTick(function () { self.$emit("ready", self.record ? self.record.n : ""); });
          });
          Canon.index().then(function (index) {
            self.names = Object.freeze(index.names);
            self.scores = Object.freeze(index.scores || []);
          }).catch(function () {}); // without it latents are called by their numbers
        },
        href: Canon.href,
        count: Canon.count,
        fires: Canon.fires,
        percent: Canon.percent,
        change: Canon.change,
        shown: Canon.shown,
        heading: Canon.heading,
        mark: Canon.mark,
        fact: function (i) { return Canon.shown(Canon.manifest.facts[i]); },
        wide: function (a, most) { return { width: Math.max(2, 100 * a / (most || 1)) + "%" }; },
      },
    };
  };

  var PARTIAL = `<p v-if="manifest.unit !== 'tokens'" class="quiet">Measured on {{ manifest.unit }} alone; on other tokens it
    was not looked at.</p>`;
  // Parts of templates, for latents and meta-latents alike.
  Canon.sections = {
    wait: function (kind) {
      return `<article v-else class="page"><h1 tabindex="-1">${kind} {{ number }}</h1>
        <p v-if="error" class="note" role="alert">{{ error }}</p><p v-else class="wait" role="status">Reading…</p></article>`;
    },
    texts: `<section v-if="record.x"><h2>Top texts</h2>
      <p v-if="!record.x.length" class="quiet">It fires on none of the {{ count(manifest.n_tokens) }} {{ manifest.unit }}.</p>
      <context v-for="(x, i) in record.x" :key="number + '-' + i" :text="x" :words="words" :spaced="manifest.spaced" :kind="kind" />
      ${PARTIAL}</section>`,
    raises: `<section v-if="record.w && record.w.length"><h2>Raises</h2><p class="quiet">Tokens its direction makes more likely,
      seen through the unembedding.</p><p class="chips"><token v-for="(w, i) in record.w" :key="i" :text="w" /></p></section>`,
    near: `<section v-if="record.s && record.s.length"><h2>Nearest in smaller SAEs</h2>
      <div class="scroll" tabindex="0" role="region" aria-label="Nearest latents"><table>
      <thead><tr><th scope="col">SAE</th><th scope="col">latents, with their cosine</th></tr></thead>
      <tbody><tr v-for="(row, i) in record.s" :key="i"><th scope="row">{{ manifest.sizes[i].label }}</th>
      <td><span v-for="n in row" :key="n[0]" class="near"><b>{{ n[1].toFixed(2) }}</b>
      <bdi>{{ n[2] ? shown(n[2]) : "latent " + n[0] }}</bdi></span></td></tr></tbody></table></div></section>`,
  };
})(window.Canon);
