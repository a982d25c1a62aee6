// The frame: search box, theme, keys, and the address, which says what is shown.
(function (Canon) {
  "use strict";
  var KINDS = { latent: "n_latents", graph: "n_latents", meta: "n_meta" };

  // "#/latent/12" -> {view: "latent", number: 12}; what makes no sense leads home, with a word about it.
  function parse(hash) {
    var parts = hash.replace(/^#\/?/, "").split("/"), view = parts[0];
    if (view === "search") {
      try { return { view: "search", query: decodeURIComponent(parts.slice(1).join("/")) }; }
      catch (e) { return { view: "home", note: "The address holds a search that cannot be read." }; }
    }
    if (KINDS[view]) {
      var most = Canon.manifest[KINDS[view]], number = /^\d+$/.test(parts[1]) ? Number(parts[1]) : NaN;
      if (number < most) return { view: view, number: number };
      return { view: "home", note: "There is no " + (view === "meta" ? "meta-latent " : "latent ") + parts[1] + ": numbers go from 0 to " + (most - 1) + "." };
    }
    return { view: "home", note: view ? "There is no page “" + view + "” here." : "" };
  }

  function remember(theme) { try { localStorage.setItem("canon-theme", theme); } catch (e) { /* not kept, still switched */ } }
  function remembered() {
    try { return localStorage.getItem("canon-theme") || ""; } catch (e) { return ""; }
  }

  var App = {
    components: { home: Canon.Home, latent: Canon.Latent, meta: Canon.Meta, walk: Canon.Walk, results: Canon.Results },
    data: function () { return { route: parse(location.hash), typed: "", theme: remembered() }; },
    computed: {
      dark: function () { return this.theme ? this.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; },
    },
    watch: { theme: { immediate: true, handler: function (theme) {
      if (theme) { document.documentElement.dataset.theme = theme; remember(theme); }
    } } },
    mounted: function () {
      window.addEventListener("hashchange", this.follow);
      window.addEventListener("keydown", this.key);
      this.follow();
    },
    methods: {
      follow: function () {
        this.route = parse(location.hash);
        if (this.route.view === "search") this.typed = this.route.query;
        document.title = this.route.number === undefined ? Canon.manifest.title :
          (this.route.view === "meta" ? "Meta-latent " : "Latent ") + this.route.number + " – " + Canon.manifest.title;
        window.scrollTo(0, 0);
      },
      // While one types, the address is replaced, so that the back button leaves the search at once.
      type: function () {
        var hash = this.typed.trim() ? "#/search/" + encodeURIComponent(this.typed.trim()) : "#/";
        if (this.route.view === "search") history.replaceState(null, "", hash);
        else history.pushState(null, "", hash);
        this.route = parse(hash);
      },
      links: function () { return Array.from(document.querySelectorAll(".hits a")); },
      open: function () { var first = this.links()[0]; if (first) location.hash = first.getAttribute("href"); },
      move: function (step) {
        var links = this.links(), at = links.indexOf(document.activeElement) + step;
        if (at < 0) this.$refs.box.focus();
        else if (links[at]) links[at].focus();
      },
      turn: function () { this.theme = this.dark ? "light" : "dark"; },
      key: function (event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        var typing = event.target === this.$refs.box, known = true;
        if (event.key === "ArrowDown") this.move(1);
        else if (event.key === "ArrowUp" && !typing) this.move(-1);
        else if (event.key === "Escape" && typing) this.$refs.box.blur();
        else if (typing) return;
        else if (event.key === "/") this.$refs.box.focus();
        else if (event.key === "h") location.hash = "#/";
        else known = this.step(event.key);
        if (known && (this.route.view === "search" || event.key.length === 1)) event.preventDefault();
      },
      step: function (key) {
        var r = this.route;
        if (r.number === undefined) return false;
        if (key === "g" && r.view !== "meta") { location.hash = (r.view === "graph" ? "#/latent/" : "#/graph/") + r.number; return true; }
        var by = key === "j" ? 1 : key === "k" ? -1 : 0, most = Canon.manifest[KINDS[r.view]];
        if (by && r.number + by >= 0 && r.number + by < most) location.hash = "#/" + r.view + "/" + (r.number + by);
        return by !== 0;
      },
    },
    template: '<div class="frame"><header class="top"><a class="home" href="#/">Explorer</a><form role="search" @submit.prevent="open"><label><span class="unseen">Search latents</span>' +
      '<input ref="box" v-model="typed" @input="type" type="search" placeholder="Name, fact, token or number" autocomplete="off" spellcheck="false"></label></form>' +
      '<button type="button" class="theme" :aria-pressed="dark" :title="dark ? \'Light colours\' : \'Dark colours\'" @click="turn"><span class="unseen">Dark colours</span>' +
      '<span aria-hidden="true">{{ dark ? "☀" : "☾" }}</span></button></header>' +
      '<main><p v-if="route.note" role="status" class="note">{{ route.note }}</p><latent v-if="route.view === \'latent\'" :number="route.number" /><meta-view v-else-if="route.view === \'meta\'" :number="route.number" />' +
      '<walk v-else-if="route.view === \'graph\'" :number="route.number" /><results v-else-if="route.view === \'search\'" :query="route.query" /><home v-else /></main></div>',
  };
  App.components["meta-view"] = App.components.meta; // "meta" is an HTML element
  delete App.components.meta;

  function fail(error) {
    var place = document.getElementById("explorer"), told = document.createElement("p");
    told.className = "wait";
    told.setAttribute("role", "alert");
    told.textContent = error.message;
    place.replaceChildren(told);
  }

  Canon.open().then(function () { window.Vue.createApp(App).mount("#explorer"); }).catch(fail);
})(window.Canon);
