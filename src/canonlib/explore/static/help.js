// What the words on a page mean, folded away; in a book each leads to its glossary.
(function (Canon) {
  "use strict";
  // [word, what it means, the glossary's word for it]
  var WORDS = {
    latent: ["latent", "one coordinate of the SAE: a rule for when it is active, and a direction that it writes.", "latent"],
    made: ["made of", "meta-latents that rebuild the latent's direction, scaled to length 1, each with its activation: " +
      "how much of its own direction goes in.", "meta-latent"],
    highest: ["highest activation", "the largest value on any token measured, in the model's own units.", "activation"],
    colour: ["colour of a text", "the deeper, the nearer to the highest activation; the underlined token has the most of its text.", ""],
    raises: ["raises", "tokens that the direction would make more likely if it were written to the last layer.", "logit-lens"],
    cls: ["novel, reconstruction", "whether putting this one latent into the next smaller SAE lowers that SAE's error " +
      "(novel) or not (reconstruction).", "novel-latent"],
    near: ["nearest", "latents of smaller SAEs whose directions have the highest cosine with this one.", "max-cosine"],
    f1: ["F1", "of a test by “it is active”: 1 when it is right each time and misses nothing, 0 when it never is.", "F1"],
    marks: ["✓ ✗ –", "whether the fact a part is named after is true of the entity; – where the table has no such attribute " +
      "for it.", "fact"],
    users: ["used by", "latents in whose direction it is active, with that activation.", "meta-latent"],
    handed: ["handed on", "a meta-latent reads no tokens: on each it is handed the activations of its users, weighted.", ""],
    q: ["q", "the share of false names to expect among names with as much evidence; below 0.05 a name is kept.", "q-value"],
    chance: ["by chance", "the F1 that the best of all facts reaches when facts are dealt at random.", "control"],
  };
  var PAGES = {
    latent: ["latent", "made", "highest", "colour", "raises", "cls", "near"],
    meta: ["users", "handed", "highest", "colour", "raises"],
    graph: ["latent", "made", "users"],
    metas: ["users"],
  };
  var TRUE = { latent: ["f1", "marks"], meta: ["f1", "q", "chance"], graph: ["marks"], metas: ["f1"] };

  Canon.Help = {
    props: { of: { type: String, required: true } },
    computed: {
      words: function () {
        var truth = Canon.manifest.truth ? TRUE[this.of] : [];
        return PAGES[this.of].concat(truth).map(function (key) { return WORDS[key]; });
      },
      glossary: function () { return Canon.manifest.book && Canon.manifest.book + "glossary.html"; },
    },
    template: `<details class="help"><summary>What am I looking at?</summary><dl><template v-for="w in words" :key="w[0]">
      <dt><a v-if="glossary && w[2]" :href="glossary + '#term-' + w[2]">{{ w[0] }}</a><template v-else>{{ w[0] }}</template></dt>
      <dd>{{ w[1] }}</dd></template></dl></details>`,
  };
})(window.Canon);
