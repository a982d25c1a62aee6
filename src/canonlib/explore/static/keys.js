// What keys do, wherever one is; in a field they write.
(function (Canon) {
  "use strict";
  function typing(element) { return /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName || ""); }

  // Methods of the frame, which has the route and the search box.
  Canon.keys = {
    methods: {
      key: function (event) {
        if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
        if (this.pressed(event.key, event.target === this.$refs.box, typing(event.target))) event.preventDefault();
      },
      // Whether the key means something here.
      pressed: function (key, inBox, inField) {
        if (key === "ArrowDown" || key === "ArrowUp") {
          return this.route.view === "search" && (inBox || !inField) && this.move(key === "ArrowDown" ? 1 : -1);
        }
        if (inBox && key === "Escape") { // the browser would empty the box, and so leave the search
          this.wanted = "";
          this.$refs.box.blur();
          return true;
        }
        return !inField && this.letter(key);
      },
      letter: function (key) {
        if (key === "/") {
          this.$refs.box.focus();
          this.$refs.box.select();
        } else if (key === "h") this.go("home");
        else if (key === "m") this.go("metas");
        else if (key === "g") return this.turnGraph();
        else if (key === "j" || key === "k") return this.step(key === "j" ? 1 : -1);
        else return false;
        return true;
      },
      // Between the hits, and from the first back into the box.
      move: function (step) {
        var links = Array.from(document.querySelectorAll(".hits a")), at = links.indexOf(document.activeElement);
        if (at < 0 && step < 0) return false;
        if (at + step < 0) this.$refs.box.focus();
        else if (links[at + step]) links[at + step].focus();
        return true;
      },
      turnGraph: function () {
        var view = { latent: "graph", graph: "latent" }[this.route.view];
        if (view) this.go(view, this.route.number);
        return !!view;
      },
      // The next one of its kind; latents that never fired in training are passed over.
      step: function (by) {
        var self = this, route = this.route, most = Canon.most(route.view);
        if (route.number === undefined) return false;
        (route.view === "meta" ? Promise.resolve(new Set()) : Canon.dead()).then(function (dead) {
          var next = self.route.number + by;
          while (dead.has(next)) next += by;
          if (self.route.view === route.view && next >= 0 && next < most) self.go(route.view, next);
        }).catch(function () {}); // the page that comes up says what is missing
        return true;
      },
    },
  };
})(window.Canon);
