// Finds latents and meta-latents by number, name, fact, part or token. One pass over all of them takes milliseconds, also
// over fifty thousand: texts are few and looked through once for each word, latents then hold numbers of texts.
(function (Canon) {
  "use strict";
  var FIELDS = ["name", "fact", "part", "token", "raises", "user"];
  // Columns of numbers: [column of the index, field, what a hit by it is worth, how it is put into words].
  var COLUMNS = [
    ["facts", "fact", 5, "true of it:"], ["detects", "fact", 4.5, "detects"], ["parts", "part", 4, "has the part"],
    ["tokens", "token", 3, "fires on"], ["raises", "raises", 2, "raises"],
  ];
  var MOST_WORDS = 16; // each keeps a score for every latent, so that a pasted page would fill the memory
  var EXACT = 0.4; // more for a text that is the word and not only holds it
  var ready = null;

  // Rows of numbers, one behind the other: what latent j holds lies from starts[j] to starts[j + 1].
  function flat(rows) {
    var starts = new Int32Array(rows.length + 1), at = 0, all = 0;
    rows.forEach(function (row) { all += row.length; });
    var numbers = new Int32Array(all);
    for (var j = 0; j < rows.length; j++) {
      for (var i = 0; i < rows[j].length; i++) numbers[at++] = rows[j][i];
      starts[j + 1] = at;
    }
    return { starts: starts, numbers: numbers };
  }
  function lower(texts) { return texts.map(function (t) { return t.trim().toLowerCase(); }); } // tokens begin with a space

  // What is searched, in lower case, made once.
  function prepare() {
    ready = ready || Promise.all([Canon.index(), Canon.tokens(), Canon.metas()]).then(function (got) {
      var index = got[0], metas = got[2], facts = Canon.manifest.facts;
      var told = { facts: facts, detects: facts, parts: metas.map(function (m) { return m.n; }), tokens: got[1], raises: index.words };
      var texts = {};
      Object.keys(told).forEach(function (key) { texts[key] = lower(told[key]); });
      var columns = {};
      COLUMNS.forEach(function (c) { if (index[c[0]]) columns[c[0]] = flat(index[c[0]]); });
      var rows = metas.map(function (m) { return { name: m.n.toLowerCase(), raises: lower(m.w) }; });
      return { index: index, metas: metas, names: lower(index.names), told: told, texts: texts, columns: columns, rows: rows };
    }).catch(function (error) { ready = null; throw error; });
    return ready;
  }

  function distinct(query) { return Array.from(new Set(query.toLowerCase().split(/\s+/).filter(Boolean))); }
  // How many words of a query are not searched for.
  Canon.unsearched = function (query) { return Math.max(0, distinct(query).length - MOST_WORDS); };

  // "token:berlin country" -> [{field: "token", text: "berlin"}, {field: "", text: "country"}]
  function parse(query) {
    return distinct(query).slice(0, MOST_WORDS).map(function (word) {
      var at = word.indexOf(":"), field = word.slice(0, at);
      if (at > 0 && FIELDS.indexOf(field) >= 0 && word.length > at + 1) return { field: field, text: word.slice(at + 1) };
      return { field: "", text: word.replace(/^#(?=\d+$)/, "") };
    });
  }

  // How well each of some texts answers to a word: 0, 1 or 1 + EXACT.
  function answers(texts, text) {
    var found = new Float32Array(texts.length);
    for (var i = 0; i < texts.length; i++) {
      if (texts[i] && texts[i].indexOf(text) >= 0) found[i] = texts[i] === text ? 1 + EXACT : 1;
    }
    return found;
  }
  function nameScore(name, text) {
    var at = name.indexOf(text);
    return at < 0 ? 0 : name === text ? 9 : at === 0 ? 8 : 6;
  }

  // The words of a query, and for each the columns that may answer to it, with the texts in them that do, and which latents
  // and users of meta-latents have it in their name; the last query's are kept, for its hits are asked next why they are hits.
  var last = null;
  function planned(all, query) {
    if (!last || last.query !== query || last.all !== all) {
      last = { query: query, all: all, words: parse(query) };
      last.words.forEach(function (word) {
        word.columns = answering(all, word);
        word.names = named(all, word);
        word.users = word.names && bestUsers(all, word.names);
      });
    }
    return last.words;
  }
  // How well each latent's name answers to a word; null where names are not asked for.
  function named(all, word) {
    if (word.field && word.field !== "name" && word.field !== "user") return null;
    var scores = new Float32Array(all.names.length);
    for (var j = 0; j < scores.length; j++) scores[j] = nameScore(all.names[j], word.text);
    return scores;
  }
  // For each meta-latent the user whose name answers best; -1 for none.
  function bestUsers(all, scores) {
    var held = all.columns.parts, users = new Int32Array(all.metas.length).fill(-1);
    for (var j = 0; j < scores.length; j++) {
      if (!scores[j]) continue;
      for (var i = held.starts[j]; i < held.starts[j + 1]; i++) {
        var m = held.numbers[i];
        if (users[m] < 0 || scores[j] > scores[users[m]]) users[m] = j;
      }
    }
    return users;
  }
  function answering(all, word) {
    var columns = COLUMNS.filter(function (c) { return all.columns[c[0]] && (!word.field || word.field === c[1]); });
    return columns.map(function (c) {
      var good = answers(all.texts[c[0]], word.text);
      return { held: all.columns[c[0]], good: good, worth: c[2], told: all.told[c[0]], label: c[3] };
    }).filter(function (c) { return c.good.some(Boolean); });
  }

  // Adds what a column is worth to the latents that nothing better has found yet.
  function credit(scores, column) {
    var starts = column.held.starts, numbers = column.held.numbers, good = column.good, worth = column.worth - 1;
    for (var j = 0; j < scores.length; j++) {
      if (scores[j]) continue;
      var most = 0;
      for (var i = starts[j]; i < starts[j + 1]; i++) if (good[numbers[i]] > most) most = good[numbers[i]];
      if (most) scores[j] = worth + most;
    }
  }
  // The text of latent j that answers best; -1 for none.
  function bestText(column, j) {
    var found = -1, most = 0;
    for (var i = column.held.starts[j]; i < column.held.starts[j + 1]; i++) {
      var number = column.held.numbers[i];
      if (column.good[number] > most) { most = column.good[number]; found = number; }
    }
    return found;
  }

  // How well each latent answers to all words; 0 where one word finds nothing in it.
  function latentScores(all, words) {
    var total = null;
    words.forEach(function (word) {
      var asked = word.names && word.field !== "user", scores = asked ? word.names.slice() : new Float32Array(all.names.length);
      word.columns.forEach(function (column) { credit(scores, column); });
      if (total) for (var k = 0; k < scores.length; k++) total[k] = total[k] && scores[k] ? total[k] + scores[k] : 0;
      else total = scores;
    });
    return total;
  }

  function within(texts, text) { return Math.max.apply(null, Array.from(answers(texts, text)).concat(0)); }
  function metaScore(row, m, words) {
    var sum = 0;
    for (var i = 0; i < words.length; i++) {
      var field = words[i].field, text = words[i].text, users = words[i].users;
      var s = !field || field === "name" || field === "fact" ? nameScore(row.name, text) : 0;
      if (!s && field !== "name" && users && users[m] >= 0) s = 3;
      if (!s && (!field || field === "raises") && within(row.raises, text)) s = 2;
      if (!s) return 0;
      sum += s;
    }
    return sum;
  }

  function ranked(scores, number, worth) {
    var hits = [];
    if (number >= 0 && number < scores.length) scores[number] += worth;
    for (var j = 0; j < scores.length; j++) if (scores[j]) hits.push(j);
    return hits.sort(function (a, b) { return scores[b] - scores[a] || a - b; });
  }

  // A promise of {query, latents, metas, first, ms}: of each kind {total, best, found: [number, ...]}, the best first, then
  // by number; first is the address of the best of all.
  Canon.search = function (query, limits) {
    return prepare().then(function (all) {
      var began = performance.now(), words = planned(all, query);
      var hits = { latents: [], metas: [] }, scores = {};
      if (words.length) {
        var bare = words.length === 1 && !words[0].field && /^\d{1,9}$/.test(words[0].text) ? Number(words[0].text) : -1;
        scores.latents = latentScores(all, words);
        scores.metas = all.rows.map(function (row, m) { return metaScore(row, m, words); });
        hits.latents = ranked(scores.latents, bare, 200);
        hits.metas = ranked(scores.metas, bare, 100);
      }
      var result = { query: query };
      ["latents", "metas"].forEach(function (kind) {
        var most = (limits && limits[kind]) || 50;
        result[kind] = { total: hits[kind].length, best: hits[kind].length ? scores[kind][hits[kind][0]] : 0,
          found: hits[kind].slice(0, most) };
      });
      var metaFirst = result.metas.best > result.latents.best, leader = metaFirst ? result.metas : result.latents;
      result.first = leader.total ? Canon.href(metaFirst ? "meta" : "latent", leader.found[0]) : "";
      result.ms = performance.now() - began;
      return result;
    });
  };

  // Why a latent is found: for each word that is not in its name, the field and the text that answer best.
  Canon.why = function (query, j) {
    return prepare().then(function (all) {
      var reasons = [];
      planned(all, query).forEach(function (word) {
        if (word.field !== "user" && word.names && word.names[j]) return;
        word.columns.some(function (column) {
          var at = bestText(column, j);
          if (at >= 0) reasons.push({ label: column.label, text: column.told[at] });
          return at >= 0;
        });
      });
      return { name: all.index.names[j], reasons: reasons, tokens: all.index.tokens[j].map(function (t) { return all.told.tokens[t]; }) };
    });
  };
  // The same for a meta-latent.
  Canon.whyMeta = function (query, m) {
    return prepare().then(function (all) {
      var row = all.rows[m], reasons = [];
      planned(all, query).forEach(function (word) {
        if (nameScore(row.name, word.text) && (!word.field || word.field === "name" || word.field === "fact")) return;
        var user = word.users && word.field !== "name" ? word.users[m] : -1, at = -1;
        if (user >= 0) reasons.push({ label: "used by", text: all.index.names[user] });
        else if (!word.field || word.field === "raises") at = answers(row.raises, word.text).findIndex(Boolean);
        if (at >= 0) reasons.push({ label: "raises", text: all.metas[m].w[at] });
      });
      return { row: all.metas[m], reasons: reasons };
    });
  };
})(window.Canon);
