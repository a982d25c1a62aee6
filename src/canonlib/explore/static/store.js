// Reads the data: every piece is a script that calls canonData(name, content), so that it works from a folder too.
window.Canon = {};
(function (Canon) {
  "use strict";
  var KEPT = 60; // chunks held in memory; older ones are read again when they are wanted
  var FORMAT = 1;
  var waiting = {};
  var loaded = new Map();

  window.canonData = function (name, content) {
    if (waiting[name]) waiting[name].arrived(content);
  };

  function forget() {
    while (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
  }

  // A promise of the piece of that name.
  function piece(name) {
    if (loaded.has(name)) {
      var known = loaded.get(name);
      loaded.delete(name);
      loaded.set(name, known); // used last, forgotten last
      return known;
    }
    var promise = new Promise(function (resolve, reject) {
      var script = document.createElement("script");
      waiting[name] = { arrived: resolve };
      script.src = "data/" + name + ".js";
      script.onload = function () { delete waiting[name]; script.remove(); };
      script.onerror = function () {
        delete waiting[name];
        loaded.delete(name);
        script.remove();
        reject(new Error("data/" + name + ".js is missing: write the explorer again with canonlib explore."));
      };
      document.head.appendChild(script);
    });
    loaded.set(name, promise);
    forget();
    return promise;
  }

  // The record of one latent ("latents") or meta-latent ("metas").
  function record(kind, number) {
    var chunk = Canon.manifest.chunk;
    return piece(kind + "-" + Math.floor(number / chunk)).then(function (rows) { return rows[number % chunk]; });
  }

  var tokens = null;

  Canon.open = function () {
    return piece("manifest").then(function (manifest) {
      if (manifest.format !== FORMAT) {
        throw new Error("The data have format " + manifest.format + " and this page reads " + FORMAT +
          ": write the explorer again with canonlib explore.");
      }
      Canon.manifest = Object.freeze(manifest);
      return manifest;
    });
  };
  Canon.latent = function (number) { return record("latents", number); };
  Canon.meta = function (number) { return record("metas", number); };
  Canon.metaNames = function () { return piece("metas"); };
  Canon.tokens = function () { return (tokens = tokens || piece("tokens")); };
  Canon.piece = piece;
})(window.Canon);
