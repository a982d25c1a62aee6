// Token text is somebody else's: it is only ever set as text, cut when long, and kept from turning what stands beside it.
(function (Canon) {
  "use strict";
  var LONG = 60;
  var PICTURES = { "\n": "⏎", "\r": "␍", "\t": "⇥" };

  // What is shown of a token: marks for what cannot be seen, and its beginning when it is long.
  Canon.shown = function (text) {
    // The last letter goes: half of a pair of code units would be shown as a box.
    var cut = text.length > LONG ? Array.from(text.slice(0, LONG)).slice(0, -1).join("") : text;
    var seen = cut.replace(/[\u0000-\u001f\u007f]/g, function (c) {
      return PICTURES[c] || String.fromCharCode(c === "\u007f" ? 0x2421 : 0x2400 + c.charCodeAt(0));
    });
    if (!/[^\p{C}\p{Z}]/u.test(seen)) seen = named(cut);
    return text.length > LONG ? seen + "… (" + text.length.toLocaleString("en") + " characters)" : seen;
  };

  // What has nothing to see in it: spaces as their mark, other characters by their numbers.
  function named(text) {
    return Array.from(text).slice(0, 6).map(function (c) {
      return c === " " ? "␣" : "U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    }).join(" ") || "∅";
  }

  Canon.percent = function (share) {
    if (!share) return "never";
    return share < 0.0001 ? "<0.01%" : (100 * share).toFixed(share < 0.01 ? 2 : 1) + "%";
  };
  Canon.signed = function (share) { return (share > 0 ? "+" : "−") + Math.abs(100 * share).toFixed(2) + "%"; };

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
