// The start page: what this is, where to begin, how to go about it.
(function (Canon) {
  "use strict";
  Canon.Home = {
    emits: ["ready"],
    mounted: function () { this.$emit("ready", ""); },
    methods: { shown: Canon.shown, href: Canon.href },
    computed: {
      manifest: function () { return Canon.manifest; },
      intro: function () {
        var m = Canon.manifest, few = " is rebuilt from a few of " + Canon.count(m.n_meta) + " shared meta-latents.";
        if (m.n_alive === null) return "Each of " + Canon.count(m.n_latents) + " latents" + few;
        return Canon.count(m.n_alive) + " of " + Canon.count(m.n_latents) + " latents fired in training; each of those" + few;
      },
    },
    template: `<article class="page"><h1 tabindex="-1">{{ manifest.title }}</h1>
      <p>{{ intro }} Choose a latent below, look at <a :href="href('metas')">all meta-latents</a>, or search<template
        v-if="manifest.examples.length">: <template v-for="(e, i) in manifest.examples" :key="e">{{ i ? ", " : "" }}<a :href="href('search', e)"><code>{{
        e }}</code></a></template></template>.</p>
      <p class="chips start"><a v-for="s in manifest.start" :key="s[0]" class="token" :href="href('graph', s[0])">
        <bdi>{{ s[1] ? shown(s[1]) : "latent " + s[0] }}</bdi></a></p>
      <p v-if="manifest.book"><a :href="manifest.book + 'explorer.html'">Back to the book</a>, with <a :href="manifest.book +
        'glossary.html'">its glossary</a>.</p>
      <h2>What this is made from</h2><dl class="about"><template v-for="row in manifest.about" :key="row[0]"><dt>{{ row[0] }}</dt><dd>{{ row[1]
        }}</dd></template></dl>
      <h2>Keys</h2><dl class="keys"><dt><kbd>/</kbd></dt><dd>search</dd><dt><kbd>↑</kbd> <kbd>↓</kbd> <kbd>Enter</kbd></dt>
        <dd>choose a result</dd><dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next and previous latent{{ manifest.n_alive === null ? "" :
        " that fired in training" }}</dd><dt><kbd>g</kbd></dt><dd>between a latent and its graph</dd><dt><kbd>m</kbd></dt><dd>all
        meta-latents</dd><dt><kbd>h</kbd></dt><dd>this page</dd></dl>
      <p class="quiet">The address holds what you look at, and of which SAEs: copy it to share. The page loads nothing from a network.</p></article>`,
  };
})(window.Canon);
