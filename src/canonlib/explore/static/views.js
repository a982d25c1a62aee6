// The pages: home, results, a latent, a meta-latent, the graph. Templates show data as text alone (no v-html anywhere).
(function (Canon) {
  "use strict";
  var t = Canon.Token, c = Canon.Context;

  // What every page of one record shares: read it when the number changes, and say so when that fails.
  function reads(load) {
    return {
      props: { number: { type: Number, required: true } },
      data: function () { return { record: null, words: [], names: [], metas: [], error: "" }; },
      computed: { manifest: function () { return Canon.manifest; } },
      watch: { number: { immediate: true, handler: "read" } },
      methods: {
        read: function () {
          var self = this, wanted = this.number;
          this.error = "";
          Promise.all([load(wanted), Canon.metaNames(), Canon.tokens()]).then(function (got) {
            if (self.number !== wanted) return; // the reader has gone on
            self.record = Object.freeze(got[0]);
            self.metas = got[1];
            self.words = Object.freeze(got[2]);
          }).catch(function (e) { self.error = e.message; });
          Canon.names().then(function (names) { self.names = Object.freeze(names); }).catch(function () {});
        },
        percent: Canon.percent,
        signed: Canon.signed,
        shown: Canon.shown,
        fact: function (i) { return Canon.shown(Canon.manifest.facts[i]); },
        latentName: function (j) { return this.names[j] ? Canon.shown(this.names[j]) : "latent " + j; },
        metaName: function (m) { var name = (this.metas[m] || [])[0]; return name ? Canon.shown(name) : "meta-latent " + m; },
        wide: function (a, most) { return { width: Math.max(2, 100 * a / (most || 1)) + "%" }; },
      },
    };
  }

  var texts = '<section v-if="record.x" aria-label="Texts"><h2>Top texts</h2>' +
    '<p v-if="!record.x.length" class="quiet">It fires on none of the {{ manifest.n_tokens.toLocaleString("en") }} tokens.</p>' +
    '<context v-for="(x, i) in record.x" :key="number + \'-\' + i" :text="x" :words="words" :spaced="manifest.spaced" :kind="kind" />' +
    '</section>';
  var output = '<section v-if="record.w && record.w.length"><h2>Raises</h2><p class="quiet">Tokens its direction makes more ' +
    'likely, seen through the unembedding.</p><p class="chips"><token v-for="(w, i) in record.w" :key="i" :text="w" /></p></section>';
  var near = '<section v-if="record.s && record.s.length"><h2>Nearest in smaller SAEs</h2><div class="scroll" tabindex="0" ' +
    'role="region" aria-label="Nearest latents"><table><thead><tr><th scope="col">SAE</th><th scope="col">latents, with their cosine</th></tr></thead>' +
    '<tbody><tr v-for="(row, i) in record.s" :key="i"><th scope="row">{{ manifest.sizes[i].label }}</th><td><span v-for="n in row" ' +
    ':key="n[0]" class="near"><b>{{ n[1].toFixed(2) }}</b> <bdi>{{ n[2] ? shown(n[2]) : "latent " + n[0] }}</bdi></span></td></tr></tbody></table></div></section>';

  Canon.Latent = {
    mixins: [reads(function (n) { return Canon.latent(n); })],
    components: { token: t, context: c },
    data: function () { return { kind: "latent" }; },
    computed: {
      top: function () { return Math.max.apply(null, this.record.p.map(function (p) { return p[1]; }).concat(0.01)); },
      meaning: function () {
        var k = this.record.k && this.record.k[0], size = this.manifest.sizes.length && this.manifest.sizes[this.manifest.sizes.length - 1].label;
        return k === "novel" ? "It lowers the error of the SAE of " + size + " when it is inserted alone." :
          k === "reconstruction" ? "Inserted alone it does not lower the error of the SAE of " + size + "." :
          "It never fires on these tokens.";
      },
    },
    methods: {
      holds: function (m) { // whether the fact that a part is named after is true of the entity: null where nothing is known
        var at = this.record.t && this.metas[m] && this.metas[m][0] ? this.manifest.facts.indexOf(this.metas[m][0]) : -1;
        return at < 0 ? null : this.record.t.indexOf(at) >= 0;
      },
    },
    template: '<article v-if="record" class="page"><header><h1><bdi>{{ record.n ? shown(record.n) : "Latent " + number }}</bdi></h1>' +
      '<p class="quiet">latent {{ number }}<template v-if="record.d !== undefined"> · fires on {{ percent(record.d) }} of tokens</template>' +
      '<template v-if="record.m"> · up to {{ record.m }}</template> · <a :href="\'#/graph/\' + number">walk the graph</a></p></header>' +
      '<section><h2>Made of</h2><p v-if="!record.p.length" class="quiet">No meta-latent is active on it.</p>' +
      '<ul class="bars"><li v-for="p in record.p" :key="p[0]"><a :href="\'#/meta/\' + p[0]"><span class="what"><bdi>{{ metaName(p[0]) }}</bdi> ' +
      '<span v-if="holds(p[0]) !== null" :class="holds(p[0]) ? \'yes\' : \'no\'">{{ holds(p[0]) ? "✓ true" : "✗ not true" }}</span></span>' +
      '<span class="track"><span class="bar meta" :style="wide(p[1], top)"></span></span><span class="value">{{ p[1].toFixed(2) }}</span></a></li></ul>' +
      '<p v-if="record.r !== null" class="quiet">The direction has length 1; what the parts leave over has length {{ record.r.toFixed(2) }}.</p></section>' +
      texts +
      '<section v-if="manifest.truth"><h2>The fact table</h2><p v-if="record.e">It detects <b><bdi>{{ shown(record.e) }}</bdi></b>, of whom the table says: ' +
      '<span class="chips"><span v-for="f in record.t" :key="f" class="token fact">{{ fact(f) }}</span></span></p>' +
      '<p v-else class="quiet">It detects no single entity (F1 above 0.5).</p>' +
      '<div v-if="record.f && record.f.length" class="scroll" tabindex="0" role="region" aria-label="Facts detected best"><table><thead><tr><th scope="col">detects best</th><th scope="col">F1</th><th scope="col">precision</th><th scope="col">recall</th></tr></thead>' +
      '<tbody><tr v-for="f in record.f" :key="f[0]"><td>{{ fact(f[0]) }}</td><td>{{ f[1].toFixed(2) }}</td><td>{{ f[2].toFixed(2) }}</td><td>{{ f[3].toFixed(2) }}</td></tr></tbody></table></div></section>' +
      '<section v-if="record.k"><h2>Against the next smaller SAE</h2><p><span class="class" :class="record.k[0]">{{ record.k[0] }}</span> ' +
      '{{ meaning }} <span v-if="record.k[0] !== \'silent\'">Its MSE changes by {{ signed(record.k[1]) }}.</span></p></section>' +
      output + near + '</article><p v-else class="wait" role="status">{{ error || "Reading latent " + number + "…" }}</p>',
  };

  Canon.Meta = {
    mixins: [reads(function (n) { return Canon.meta(n); })],
    components: { token: t, context: c },
    data: function () { return { kind: "meta" }; },
    computed: { top: function () { return Math.max.apply(null, this.record.u.map(function (u) { return u[1]; }).concat(0.01)); } },
    template: '<article v-if="record" class="page"><header><h1><bdi>{{ record.n ? shown(record.n) : "Meta-latent " + number }}</bdi></h1>' +
      '<p class="quiet">meta-latent {{ number }} · used by {{ record.nu }} latents</p></header>' +
      '<section v-if="manifest.truth"><h2>Its name, and the evidence</h2><p v-if="!record.f" class="quiet">Too few users to name it.</p>' +
      '<p v-else><template v-if="record.f[5]">Named after <b>{{ fact(record.f[0]) }}</b>.</template><template v-else>The fact that fits best is ' +
      '<b>{{ fact(record.f[0]) }}</b>, but chance does as well, so it stays unnamed.</template> F1 {{ record.f[1].toFixed(2) }}, precision {{ record.f[2].toFixed(2) }}, ' +
      'recall {{ record.f[3].toFixed(2) }} over the latents that detect an entity; q = {{ record.f[4] }}.</p></section>' +
      '<section><h2>Used by</h2><p v-if="!record.u.length" class="quiet">No latent uses it.</p><ul class="bars"><li v-for="u in record.u" :key="u[0]"><a :href="\'#/latent/\' + u[0]">' +
      '<span class="what"><bdi>{{ latentName(u[0]) }}</bdi></span><span class="track"><span class="bar latent" :style="wide(u[1], top)"></span></span>' +
      '<span class="value">{{ u[1].toFixed(2) }}</span></a></li></ul><p v-if="record.nu > record.u.length" class="quiet">The {{ record.u.length }} strongest of {{ record.nu }}.</p></section>' +
      texts + output + near + '</article><p v-else class="wait" role="status">{{ error || "Reading meta-latent " + number + "…" }}</p>',
  };

  Canon.Walk = {
    mixins: [reads(function (n) {
      return Canon.latent(n).then(function (record) {
        return Promise.all(record.p.slice(0, 10).map(function (p) {
          return Canon.meta(p[0]).then(function (m) { return { number: p[0], activation: p[1], users: m.u }; });
        })).then(function (parts) { return { n: record.n, t: record.t, parts: parts }; });
      });
    })],
    components: { graph: Canon.Graph },
    methods: {
      label: function (b) {
        if (b.kind === "latent") return this.latentName(b.number);
        var name = (this.metas[b.number] || [])[0], truth = this.record.t, at = name ? this.manifest.facts.indexOf(name) : -1;
        if (!name) return "unnamed " + b.number;
        name = Canon.shown(name);
        return truth && at >= 0 ? name + (truth.indexOf(at) >= 0 ? " ✓" : " ✗") : name;
      },
    },
    template: '<article v-if="record" class="page"><header><h1><bdi>{{ record.n ? shown(record.n) : "Latent " + number }}</bdi></h1><p class="quiet">Left the latent, in the middle its meta-latents, ' +
      'right the latents that use them most. Choose one on the right to walk on. <a :href="\'#/latent/\' + number">All about this latent</a></p></header>' +
      '<p v-if="!record.parts.length" class="quiet">No meta-latent is active on it.</p><graph :number="number" :parts="record.parts" :label="label" />' +
      '</article><p v-else class="wait" role="status">{{ error || "Reading latent " + number + "…" }}</p>',
  };

  Canon.Results = {
    props: { query: String },
    components: { token: t },
    data: function () { return { result: null, rows: [], limit: 50, error: "" }; },
    watch: { query: { immediate: true, handler: function () { this.limit = 50; this.find(); } } },
    methods: {
      more: function () { this.limit += 200; this.find(); },
      find: function () {
        var self = this, wanted = this.query;
        Canon.search(wanted, this.limit).then(function (result) {
          return Promise.all(result.found.map(Canon.about)).then(function (rows) {
            return Canon.tokens().then(function (words) {
              if (self.query !== wanted) return;
              rows.forEach(function (row, i) { row.name = row.name && Canon.shown(row.name); row.number = result.found[i]; row.shown = row.tokens[0].slice(0, 3).map(function (k) { return words[k]; }); });
              self.result = result;
              self.rows = Object.freeze(rows);
            });
          });
        }).catch(function (e) { self.error = e.message; });
      },
    },
    template: '<article class="page results"><p v-if="error" role="status">{{ error }}</p><template v-else-if="result"><p role="status" class="quiet">{{ result.total.toLocaleString("en") }} ' +
      '{{ result.total === 1 ? "latent" : "latents" }} for “{{ result.query }}”</p><p v-if="!result.total">Nothing found. Search for a name, a fact (country=Germany), a token or a number; <code>token:</code>, ' +
      '<code>raises:</code>, <code>fact:</code> and <code>name:</code> search one kind alone.</p><ol class="hits"><li v-for="row in rows" :key="row.number"><a :href="\'#/latent/\' + row.number">' +
      '<bdi class="name">{{ row.name || "latent " + row.number }}</bdi> <span class="quiet">{{ row.number }}</span> <span class="quiet chips"><token v-for="(w, i) in row.shown" :key="i" :text="w" /></span></a></li></ol>' +
      '<button v-if="result.total > rows.length" type="button" @click="more">Show more</button></template></article>',
  };

  Canon.Home = {
    methods: { shown: Canon.shown },
    computed: { manifest: function () { return Canon.manifest; } },
    template: '<article class="page"><h1>{{ manifest.title }}</h1><p>{{ manifest.n_latents.toLocaleString("en") }} latents, each a sum of a few of {{ manifest.n_meta.toLocaleString("en") }} shared ' +
      'meta-latents. Choose one below, or search for a name, a fact, a token or a number.</p><p class="chips start"><a v-for="s in manifest.start" :key="s[0]" class="token" :href="\'#/graph/\' + s[0]">' +
      '<bdi>{{ s[1] ? shown(s[1]) : "latent " + s[0] }}</bdi></a></p><h2>Keys</h2><dl class="keys"><dt><kbd>/</kbd></dt><dd>search</dd><dt><kbd>↑</kbd> <kbd>↓</kbd> <kbd>Enter</kbd></dt><dd>choose a result</dd>' +
      '<dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next and previous latent</dd><dt><kbd>g</kbd></dt><dd>between a latent and its graph</dd><dt><kbd>h</kbd></dt><dd>this page</dd></dl>' +
      '<p class="quiet">The address holds what you look at: copy it to share. The page loads nothing from a network.</p></article>',
  };
})(window.Canon);
