// Finds latents by number, name, fact or token. One pass over all of them takes milliseconds, also over fifty thousand.
(function (Canon) {
  "use strict";
  var FIELDS = { name: 1, fact: 1, token: 1, raises: 1 };
  var ready = null;

  // Lower-case columns, made once: [name, facts, tokens it fires on, tokens it raises] for each latent.
  function prepare() {
    if (ready) return ready;
    ready = Promise.all([Canon.piece("index"), Canon.tokens()]).then(function (parts) {
      var index = parts[0], words = parts[1].map(function (w) { return w.toLowerCase(); });
      var facts = Canon.manifest.facts.map(function (f) { return f.toLowerCase(); });
      var n = index.names.length, columns = { name: [], fact: [], token: [], raises: [] };
      for (var j = 0; j < n; j++) {
        columns.name.push(index.names[j].toLowerCase());
        columns.fact.push(index.facts[j].map(function (f) { return facts[f]; }).join("\n"));
        columns.token.push(index.tokens[j][0].map(function (t) { return words[t]; }).join("\n"));
        columns.raises.push(index.tokens[j][1].join("\n").toLowerCase());
      }
      return { n: n, columns: columns, index: index };
    });
    return ready;
  }

  // "token:berlin country" -> [{field: "token", text: "berlin"}, {field: null, text: "country"}]
  function parse(query) {
    return query.toLowerCase().split(/\s+/).filter(Boolean).map(function (word) {
      var at = word.indexOf(":"), field = word.slice(0, at);
      if (at > 0 && FIELDS[field] && word.length > at + 1) return { field: field, text: word.slice(at + 1) };
      return { field: null, text: word.replace(/^#(?=\d+$)/, "") };
    });
  }

  // How well latent j answers to one word: 0 not at all; names before facts before tokens.
  function score(columns, j, part) {
    if (part.field) return columns[part.field][j].indexOf(part.text) >= 0 ? 4 : 0;
    var name = columns.name[j], at = name.indexOf(part.text);
    if (name === part.text) return 9;
    if (at === 0) return 8;
    if (at > 0) return 6;
    if (columns.fact[j].indexOf(part.text) >= 0) return 4;
    if (columns.token[j].indexOf(part.text) >= 0) return 3;
    return columns.raises[j].indexOf(part.text) >= 0 ? 2 : 0;
  }

  // A promise of {query, total, found: [latent, ...], ms}: the best first, then by number.
  Canon.search = function (query, limit) {
    return prepare().then(function (all) {
      var began = performance.now(), parts = parse(query), hits = [];
      if (parts.length) {
        var number = parts.length === 1 && !parts[0].field && /^\d+$/.test(parts[0].text) ? Number(parts[0].text) : -1;
        for (var j = 0; j < all.n; j++) {
          var sum = 0;
          for (var p = 0; p < parts.length; p++) {
            var s = score(all.columns, j, parts[p]);
            if (!s) { sum = 0; break; }
            sum += s;
          }
          if (j === number) sum += 100;
          if (sum) hits.push([sum, j]);
        }
        hits.sort(function (a, b) { return b[0] - a[0] || a[1] - b[1]; });
      }
      var found = hits.slice(0, limit || 50).map(function (h) { return h[1]; });
      return { query: query, total: hits.length, found: found, ms: performance.now() - began };
    });
  };
  // Names of latents, once the index is there: {of: number -> name}.
  Canon.names = function () { return prepare().then(function (all) { return all.index.names; }); };
  Canon.about = function (j) {
    return prepare().then(function (all) {
      var facts = all.index.facts[j].map(function (f) { return Canon.manifest.facts[f]; });
      return { name: all.index.names[j], facts: facts, tokens: all.index.tokens[j] };
    });
  };
})(window.Canon);
