// What latents and meta-latents are called, in the same words everywhere: a meta-latent by its number and its name, since
// several may have one name, and one without a name by those who use it most, or else by the tokens it raises.
(function (Canon) {
  "use strict";
  var HINTS = 3;
  var MARKS = [["✗", "not true", "no"], ["✓", "true", "yes"], ["–", "not in the table", "unknown"]];

  // {texts, what}: what stands for the name of a meta-latent without one; texts may be empty.
  Canon.hint = function (row) {
    var users = row.u.length > 0;
    return {
      texts: (users ? row.u : row.w).slice(0, HINTS).map(Canon.shown),
      what: users ? "It has no name; its strongest users:" : "It has no name; tokens that it raises:",
    };
  };
  // "12 country=Germany", "7 (Kepler, Curie)" or "7 unnamed", for where no elements can be had.
  Canon.metaText = function (number, row) {
    if (!row) return String(number);
    if (row.n) return number + " " + isolated(Canon.shown(row.n));
    var texts = Canon.hint(row).texts;
    return number + (texts.length ? " (" + texts.map(isolated).join(", ") + ")" : " unnamed");
  };
  Canon.latentText = function (number, name) { return name ? isolated(Canon.shown(name)) : "latent " + number; };

  // Text that turns the direction of writing turns its own and nothing beside it.
  function isolated(text) { return "\u2068" + text + "\u2069"; }

  // Whether what a part is named after is true: sign, word and class; null where nobody knows.
  Canon.mark = function (state) {
    var found = MARKS[state];
    return found ? { sign: found[0], word: found[1], kind: found[2] } : null;
  };

  Canon.MetaName = {
    props: { number: { type: Number, required: true }, row: { type: Object, default: null } },
    computed: {
      hint: function () { return this.row && !this.row.n ? Canon.hint(this.row) : null; },
      name: function () { return this.row && this.row.n ? Canon.shown(this.row.n) : ""; },
    },
    template: `<span class="metaname"><span class="number">{{ number }}</span> <bdi v-if="name">{{ name }}</bdi>
      <span v-else-if="hint && hint.texts.length" class="quiet" :title="hint.what + ' ' + hint.texts.join(', ')">(<template
        v-for="(t, i) in hint.texts" :key="i">{{ i ? ", " : "" }}<bdi>{{ t }}</bdi></template>)</span>
      <span v-else class="quiet">unnamed</span></span>`,
  };
})(window.Canon);
