// Reads the data: every piece is a script that calls canonData(name, content), so that it works from a folder too.
window.Canon = {};
(function (Canon) {
  "use strict";
  var KEPT = 60; // chunks held in memory; older ones are read again when they are wanted
  var FORMAT = 3;
  var REMEDY = ": copy the whole folder again, or write the explorer again with canonlib explore.";
  var waiting = {};
  var loaded = new Map();

  window.canonData = function (name, content) {
    if (waiting[name]) waiting[name](content);
  };

  function forget() {
    while (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
  }

  // A promise of the piece of that name. A file that is missing, or that does not hand its piece over because it was cut
  // off or is another file, is an error; it is asked for again next time.
  function piece(name) {
    if (loaded.has(name)) {
      var known = loaded.get(name);
      loaded.delete(name);
      loaded.set(name, known); // used last, forgotten last
      return known;
    }
    var promise = new Promise(function (resolve, reject) {
      var script = document.createElement("script"), arrived = false;
      function over(problem) {
        delete waiting[name];
        script.remove();
        if (!problem) return;
        if (loaded.get(name) === promise) loaded.delete(name);
        reject(new Error("data/" + name + ".js " + problem + REMEDY));
      }
      waiting[name] = function (content) { arrived = true; resolve(content); };
      script.src = "data/" + name + ".js";
      script.onload = function () { over(arrived ? "" : "cannot be read"); };
      script.onerror = function () { over("is missing"); };
      document.head.appendChild(script);
    });
    loaded.set(name, promise);
    forget();
    return promise;
  }

  // The record of one latent ("latents") or meta-latent ("metas").
  function record(kind, number) {
    var chunk = Canon.manifest.chunk, name = kind + "-" + Math.floor(number / chunk);
    return piece(name).then(function (rows) {
      if (!rows[number % chunk]) throw new Error("data/" + name + ".js holds nothing about number " + number + REMEDY);
      return rows[number % chunk];
    });
  }

  // What every page needs is read once and stays, whatever is forgotten; what failed is asked for again.
  function kept(name) {
    var promise = null;
    return function () {
      promise = promise || piece(name).catch(function (error) { promise = null; throw error; });
      return promise;
    };
  }

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
  Canon.metas = kept("metas");
  Canon.tokens = kept("tokens");
  Canon.index = kept("index");
  var dead = kept("dead");
  // The latents that never fired in training, as a set.
  Canon.dead = function () {
    var some = Canon.manifest.n_alive !== null && Canon.manifest.n_alive < Canon.manifest.n_latents;
    return some ? dead().then(function (those) { return new Set(those); }) : Promise.resolve(new Set());
  };
})(window.Canon);
