// Token text is somebody else's: it is only ever set as text, cut when long, and kept from turning what stands beside it.
(function (Canon) {
  "use strict";
  var LONG = 60, HEADING = 400; // letters shown: of a token or a name in a list, and of a name in its page's heading
  var PICTURES = { "\n": "⏎", "\r": "␍", "\t": "⇥" };

  // What is shown of a token or a name: marks for what cannot be seen, and its beginning when it is long.
  Canon.shown = function (text) { return cutAt(text, LONG); };
  Canon.heading = function (name) { return cutAt(name, HEADING); };

  function cutAt(text, most) {
    var long = text.length > most;
    // The last letter goes: half of a pair of code units would be shown as a box.
    var cut = long ? Array.from(text.slice(0, most)).slice(0, -1).join("") : text;
    var seen = cut.replace(/[\u0000-\u001f\u007f]/g, function (c) {
      return PICTURES[c] || String.fromCharCode(c === "\u007f" ? 0x2421 : 0x2400 + c.charCodeAt(0));
    });
    if (!/[^\p{C}\p{Z}]/u.test(seen)) seen = named(cut);
    return long ? seen + "… (" + text.length.toLocaleString("en") + " characters)" : seen;
  }

  // What has nothing to see in it: spaces as their mark, other characters by their numbers.
  function named(text) {
    return Array.from(text).slice(0, 6).map(function (c) {
      return c === " " ? "␣" : "U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    }).join(" ") || "∅";
  }

  Canon.count = function (n) { return n.toLocaleString("en"); };

  // Two digits that count; what is smaller than all of them is said to be so, and never shown as zero.
  Canon.percent = function (share) {
    var p = Math.abs(100 * share);
    if (p < 0.0001) return p ? "less than 0.0001%" : "0%";
    return (p < 10 ? Number(p.toPrecision(2)).toString() : p.toFixed(p < 99.95 ? 1 : 0)) + "%";
  };

  // How an error changes: "falls by 0.34%".
  Canon.change = function (share) {
    return share ? (share < 0 ? "falls by " : "rises by ") + Canon.percent(share) : "stays the same";
  };

  // On how much it fires: of what was measured, which need not be all tokens.
  Canon.fires = function (share) {
    var unit = Canon.manifest.unit;
    return share ? "fires on " + Canon.percent(share) + " of " + unit : "never fires on the " + unit + " measured";
  };

  Canon.Token = {
    props: { text: { type: String, required: true } },
    computed: { shown: function () { return Canon.shown(this.text); } },
    template: '<bdi class="token" dir="auto">{{ shown }}</bdi>',
  };

  // A stretch of text; the deeper the colour, the stronger the activation.
  Canon.Context = {
    props: { text: { type: Array, required: true }, words: { type: Array, required: true },
             spaced: Boolean, kind: { type: String, default: "latent" } },
    methods: {
      word: function (i) { return Canon.shown(this.words[this.text[0][i]] || ""); },
      strength: function (i) { return { "--a": this.text[1][i] / 100 }; },
      told: function (i) { return this.text[1][i] ? this.text[1][i] + "% of its highest activation" : null; },
    },
    template: '<p class="context" :class="[kind, {spaced: spaced}]">' +
      '<template v-for="(t, i) in text[0]" :key="i"><bdi dir="auto" :class="{on: text[1][i], peak: i === text[2]}" ' +
      ':style="strength(i)" :title="told(i)">{{ word(i) }}</bdi>{{ spaced ? " " : "" }}</template></p>',
  };
})(window.Canon);
