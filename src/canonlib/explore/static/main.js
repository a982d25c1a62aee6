// The frame: search box, theme, and the address, which says what is shown.
(function (Canon) {
  "use strict";
  var WHITESPACE = { whitespace: "preserve" }; // a new line in a template is a space, as in HTML
  var STILL = 200; // ms without scrolling after which the place is kept

  function remember(theme) { try { localStorage.setItem("canon-theme", theme); } catch (e) { /* not kept, still switched */ } }
  function remembered() {
    try { return localStorage.getItem("canon-theme") || ""; } catch (e) { return ""; }
  }

  var TITLES = {
    latent: function (r, name) { return (name ? name + ", latent " : "Latent ") + r.number; },
    graph: function (r, name) { return "Graph of " + (name ? name + ", latent " : "latent ") + r.number; },
    meta: function (r, name) { return (name ? name + ", meta-latent " : "Meta-latent ") + r.number; },
    metas: function () { return "All meta-latents"; },
    search: function (r) { return "Search" + (r.query ? ": " + r.query : ""); },
    home: function () { return ""; },
  };
  function titled(route, name) {
    var own = TITLES[route.view](route, name ? Canon.shown(name) : "");
    return own ? own + " – " + Canon.manifest.title : Canon.manifest.title;
  }

  // Where one was on a page, kept in its entry of the history: how far down, and on which link.
  function keep(state) { history.replaceState(Object.assign({}, history.state, state), ""); }
  var timer = 0;
  function leave() {
    clearTimeout(timer);
    var at = document.activeElement && document.activeElement.getAttribute("href");
    keep({ y: window.scrollY, at: at || null });
  }

  var App = {
    mixins: [Canon.keys],
    components: { home: Canon.Home, latent: Canon.Latent, "meta-latent": Canon.Meta, walk: Canon.Walk, results: Canon.Results,
                  metas: Canon.List },
    data: function () {
      var dark = matchMedia("(prefers-color-scheme: dark)");
      return { route: Canon.parse(location.hash), typed: "", wanted: "", name: "", found: null, arriving: null, theme: remembered(), system: dark.matches };
    },
    computed: {
      dark: function () { return this.theme ? this.theme === "dark" : this.system; },
      strange: function () { return Canon.strange(this.route); },
    },
    watch: { theme: { immediate: true, handler: function (theme) {
      if (theme) { document.documentElement.dataset.theme = theme; remember(theme); }
    } } },
    created: function () { this.follow(true); },
    mounted: function () {
      var self = this;
      history.scrollRestoration = "manual";
      window.addEventListener("hashchange", function () { self.follow(false); });
      window.addEventListener("keydown", this.key);
      document.addEventListener("click", function (event) { if (event.target.closest("a[href^='#']")) leave(); }, true);
      window.addEventListener("scroll", function () {
        clearTimeout(timer);
        timer = setTimeout(function () { if (!self.arriving) keep({ y: window.scrollY }); }, STILL);
      }, { passive: true });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function (event) { self.system = event.matches; });
    },
    methods: {
      go: function (view, what) { leave(); Canon.go(view, what); },
      // Show what the address says; first: the page has just been opened.
      follow: function (first) {
        var before = this.route, stays = false;
        this.route = Canon.parse(location.hash);
        stays = !first && Canon.href(before.view, this.place(before)) === Canon.href(this.route.view, this.place(this.route));
        this.typed = this.route.view === "search" ? this.route.query : "";
        this.wanted = "";
        this.arriving = Object.assign({ first: first }, history.state);
        if (stays) this.ready(this.name);
        else document.title = titled(this.route, "");
        var own = Canon.href(this.route.view, this.place(this.route));
        if (!this.route.of && !this.route.note && location.hash !== own && this.route.view !== "home") history.replaceState(history.state, "", own);
      },
      place: function (r) {
        if (r.view === "search") return r.query;
        return r.view === "metas" ? r.sort + (r.turned ? "/turned" : "") : r.number;
      },
      // A view stands: its title is known, and one is where one was, or at its heading.
      ready: function (name) {
        var arriving = this.arriving;
        this.name = name;
        document.title = titled(this.route, name);
        if (!arriving) return;
        this.arriving = null;
        window.scrollTo(0, arriving.y || 0);
        if (arriving.first && !arriving.at || document.activeElement !== document.body) return; // nobody's place is taken away
        var links = Array.from(document.querySelectorAll("main a[href]"));
        var target = links.find(function (a) { return a.getAttribute("href") === arriving.at; }) || document.querySelector("main h1");
        if (target) target.focus({ preventScroll: true });
      },
      // While one types, the address is replaced, so that the back button leaves the search at once.
      type: function (event) {
        if (event && event.isComposing) return; // a letter that is still being put together; another event comes when it is
        var hash = this.typed.trim() ? Canon.href("search", this.typed.trim()) : Canon.href("home");
        this.wanted = "";
        if (this.route.view === "search") history.replaceState(null, "", hash);
        else { leave(); history.pushState(null, "", hash); }
        this.route = Canon.parse(hash);
        this.arriving = null;
        document.title = titled(this.route, "");
      },
      // Enter opens the best hit, as soon as it is known.
      open: function () {
        var query = this.typed.trim();
        if (!query) return;
        this.wanted = query;
        if (this.found && this.found.query === query && this.route.view === "search") this.hit(this.found);
      },
      hit: function (found) {
        this.found = found;
        if (this.wanted !== found.query || this.route.view !== "search") return;
        this.wanted = "";
        if (!found.first) return;
        this.$refs.box.blur();
        leave();
        location.hash = found.first;
      },
      turn: function () { this.theme = this.dark ? "light" : "dark"; },
    },
    template: `<div class="frame"><header class="top"><a class="home" href="#/">Explorer</a><form role="search" @submit.prevent="open"><label><span
      class="unseen">Search latents and meta-latents</span><input ref="box" v-model="typed" @input="type" type="search" placeholder="Name, fact, token or number"
      autocomplete="off" spellcheck="false"></label></form><button type="button" class="theme" :aria-pressed="dark" :title="dark ? 'Light colours' :
      'Dark colours'" @click="turn"><span class="unseen">Dark colours</span><span aria-hidden="true">{{ dark ? "☀" : "☾" }}</span></button></header>
      <main><p v-if="route.note" role="status" class="note">{{ route.note }}</p><p v-if="strange" role="status" class="note">{{ strange }}</p>
      <latent v-if="route.view === 'latent'" :number="route.number" @ready="ready" />
      <meta-latent v-else-if="route.view === 'meta'" :number="route.number" @ready="ready" />
      <walk v-else-if="route.view === 'graph'" :number="route.number" @ready="ready" />
      <results v-else-if="route.view === 'search'" :query="route.query" @ready="ready" @found="hit" />
      <metas v-else-if="route.view === 'metas'" :sort="route.sort" :turned="route.turned" @ready="ready" />
      <home v-else :key="route.note" @ready="ready" /></main></div>`,
  };

  function fail(error) {
    var place = document.getElementById("explorer"), told = document.createElement("p");
    told.className = "wait";
    told.setAttribute("role", "alert");
    told.textContent = error.message;
    place.replaceChildren(told);
  }

  // Templates are put into code before they are needed, while the reader reads.
  function prepare(components) {
    Object.values(components).forEach(function (one) {
      if (one.template && !one.render) one.render = window.Vue.compile(one.template, WHITESPACE);
      if (one.components) prepare(one.components);
    });
  }

  Canon.open().then(function () {
    if (!window.Vue) throw new Error("vue.js is missing or cannot be read: copy the whole folder again, or write the explorer again.");
    var app = window.Vue.createApp(App);
    Object.assign(app.config.compilerOptions, WHITESPACE);
    app.mount("#explorer");
    (window.requestIdleCallback || setTimeout)(function () { prepare(App.components); });
  }).catch(fail);
})(window.Canon);
