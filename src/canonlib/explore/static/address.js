// The address says what is shown, and of which SAEs: "#/latent/12@3fa9c1d2".
(function (Canon) {
  "use strict";
  var KINDS = new Map([["latent", "n_latents"], ["graph", "n_latents"], ["meta", "n_meta"]]);
  var SORTS = ["name", "score", "users"];

  // Half of a pair of surrogates is no character, and no address can hold it.
  function whole(text) {
    return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  }

  // The address of a view, for links and for sharing. "" is the start page.
  Canon.href = function (view, what) {
    if (!view || view === "home") return "#/";
    var place = view === "search" ? encodeURIComponent(whole(what)) : what === undefined ? "" : what;
    return "#/" + view + (place === "" ? "" : "/" + place) + "@" + Canon.manifest.of;
  };
  Canon.go = function (view, what) { location.hash = Canon.href(view, what); };

  // How many there are of what a view shows by number; undefined for other views.
  Canon.most = function (view) { return Canon.manifest[KINDS.get(view)]; };

  function lead(note) { return { view: "home", note: note }; }

  function numbered(view, text) {
    var most = Canon.most(view), kind = view === "meta" ? "meta-latent" : "latent";
    if (/^\d{1,9}$/.test(text) && Number(text) < most) return { view: view, number: Number(text) };
    var problem = text === undefined || text === "" ? "The address names no " + kind :
      "There is no " + kind + " “" + Canon.shown(text) + "”";
    return lead(problem + ": numbers go from 0 to " + (most - 1) + ".");
  }

  // {view, number or query or sort, of}; what makes no sense leads home, with a word about it. Bare numbers are kept
  // apart from what the link says of its SAEs, which the page compares with its own.
  Canon.parse = function (hash) {
    var found = /^#?\/?(.*?)(?:@([0-9a-f]{8}))?$/.exec(hash), parts = found[1].split("/"), view = parts[0], route;
    if (view === "search") {
      try { route = { view: view, query: decodeURIComponent(parts.slice(1).join("/")) }; }
      catch (e) { route = lead("The address holds a search that cannot be read."); }
    } else if (view === "metas") {
      var sort = SORTS.indexOf(parts[1]) >= 0 ? parts[1] : "";
      route = { view: view, sort: sort, turned: sort !== "" && parts[2] === "turned" };
    } else if (KINDS.has(view)) {
      route = numbered(view, parts[1]);
    } else {
      route = lead(view ? "There is no page “" + Canon.shown(view) + "” here." : "");
    }
    route.of = found[2] || "";
    return route;
  };

  // What to tell a reader whose link was made with other SAEs.
  Canon.strange = function (route) {
    return route.of && route.of !== Canon.manifest.of ?
      "This link was made with other SAEs (" + route.of + "; here are " + Canon.manifest.of +
      "): its numbers may mean something else here." : "";
  };
})(window.Canon);
