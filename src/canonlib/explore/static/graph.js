// Latent -> meta-latents -> latents that share them: three columns where there is room, else one with its branches.
(function (Canon) {
  "use strict";
  var OTHERS = 4, PARTS = 10;
  var NARROW = 36; // below this many rem the columns would cut every name

  var ruler = null;
  function measure(text, size) {
    ruler = ruler || document.createElement("canvas").getContext("2d");
    ruler.font = size + "px " + getComputedStyle(document.body).fontFamily;
    return ruler.measureText(text).width;
  }
  function letters(text) { // what a reader takes for one letter may be several code points
    if (!window.Intl || !Intl.Segmenter) return Array.from(text);
    return Array.from(new Intl.Segmenter().segment(text), function (s) { return s.segment; });
  }

  // As much of a text as fits, its end replaced by "…".
  Canon.cut = function (text, width, size) {
    if (measure(text, size) <= width) return text;
    var all = letters(text), low = 0, high = all.length;
    while (low < high) {
      var middle = (low + high + 1) >> 1;
      if (measure(all.slice(0, middle).join("") + "…", size) <= width) low = middle; else high = middle - 1;
    }
    return all.slice(0, low).join("") + "…";
  };

  // Latents that share a part, those that fire here before those that never do.
  function others(number, part) {
    var rest = part.users.filter(function (u) { return u[0] !== number; });
    return rest.filter(function (u) { return !u[2]; }).concat(rest.filter(function (u) { return u[2]; })).slice(0, OTHERS);
  }

  // Places of boxes and lines in units of px, a line of text being ``row`` high.
  Canon.layout = function (number, parts, width, row) {
    return (width < NARROW * row / 1.5 ? branches : columns)(number, parts.slice(0, PARTS), width, row);
  };

  function columns(number, parts, width, row) {
    var gap = Math.max(26, width * 0.07), column = (width - 2 * gap - 2) / 3, high = row * 0.92;
    var x = [1, 1 + column + gap, 1 + 2 * (column + gap)], boxes = [], lines = [], y = 0;
    parts.forEach(function (part) {
      var those = others(number, part), tall = Math.max(1, those.length) * row, middle = y + tall / 2;
      boxes.push({ kind: "meta", number: part.number, x: x[1], y: middle, w: column, h: high, a: part.activation, mark: part.mark });
      lines.push({ from: [x[0] + column, null], to: [x[1], middle], a: part.activation });
      those.forEach(function (u, i) {
        var at = y + (i + 0.5) * row;
        boxes.push({ kind: "latent", number: u[0], x: x[2], y: at, w: column, h: high, a: u[1], silent: !!u[2] });
        lines.push({ from: [x[1] + column, middle], to: [x[2], at], a: u[1] });
      });
      y += tall + row / 2;
    });
    var height = Math.max(y - row / 2, row), centre = height / 2;
    lines.forEach(function (line) { if (line.from[1] === null) line.from[1] = centre; });
    boxes.unshift({ kind: "latent", number: number, x: x[0], y: centre, w: column, h: high, centre: true });
    return { boxes: boxes, lines: lines, height: height };
  }

  function branches(number, parts, width, row) {
    var step = row * 0.8, high = row * 0.92, y = row / 2, boxes = [], lines = [];
    function add(depth, box) {
      boxes.push(Object.assign(box, { x: 1 + depth * step, y: y, w: width - 2 - depth * step, h: high }));
      y += row * 1.12;
    }
    add(0, { kind: "latent", number: number, centre: true });
    parts.forEach(function (part) {
      var root = y;
      lines.push({ from: [1 + step / 2, row], to: [1 + step, y], a: part.activation, corner: true });
      add(1, { kind: "meta", number: part.number, a: part.activation, mark: part.mark });
      others(number, part).forEach(function (u) {
        lines.push({ from: [1 + step * 1.5, root + row / 2], to: [1 + step * 2, y], a: u[1], corner: true });
        add(2, { kind: "latent", number: u[0], a: u[1], silent: !!u[2] });
      });
      y += row * 0.3;
    });
    return { boxes: boxes, lines: lines, height: y - row / 2 };
  }

  Canon.Graph = {
    props: { number: Number, parts: Array, label: Function },
    data: function () { return { width: 640, rem: 16 }; },
    computed: {
      size: function () { return this.rem * 0.8125; },
      drawn: function () { return Canon.layout(this.number, this.parts, this.width, this.rem * 1.5); },
    },
    mounted: function () {
      var self = this;
      this.watch = new ResizeObserver(function (entries) {
        self.rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
        self.width = Math.max(200, Math.floor(entries[0].contentRect.width));
      });
      this.watch.observe(this.$el);
    },
    unmounted: function () { this.watch.disconnect(); },
    methods: {
      path: function (l) {
        if (l.corner) return "M" + l.from[0] + "," + l.from[1] + " V" + l.to[1] + " H" + l.to[0];
        var m = (l.from[0] + l.to[0]) / 2;
        return "M" + l.from[0] + "," + l.from[1] + " C" + m + "," + l.from[1] + " " + m + "," + l.to[1] + " " + l.to[0] + "," + l.to[1];
      },
      href: function (b) { return Canon.href(b.centre ? "latent" : b.kind === "meta" ? "meta" : "graph", b.number); },
      figure: function (b) { return b.a === undefined ? "" : b.a.toFixed(2); },
      name: function (b) {
        var figure = this.figure(b) ? measure(this.figure(b), this.size) + this.size * 0.6 : 0;
        return Canon.cut(this.label(b), b.w - this.size * 1.1 - figure, this.size);
      },
      told: function (b) { return this.label(b) + (this.figure(b) && ", activation " + this.figure(b)) + (b.silent ? ", silent here" : ""); },
    },
    template: `<div class="graph"><svg :width="width" :height="drawn.height + 4" :viewBox="'0 -2 ' + width + ' ' + (drawn.height + 4)"
      role="group" aria-label="The latent, its meta-latents, and the latents that share them">
      <path v-for="(l, i) in drawn.lines" :key="i" :d="path(l)" class="edge" :style="{strokeWidth: 1 + 5 * Math.min(1, l.a)}" />
      <a v-for="(b, i) in drawn.boxes" :key="b.kind + i + b.number" :href="href(b)" class="node" :class="[b.kind, {centre: b.centre, silent:
        b.silent}]" :aria-label="told(b)"><title>{{ told(b) }}</title>
        <rect :x="b.x" :y="b.y - b.h / 2" :width="b.w" :height="b.h" rx="4" />
        <text :x="b.x + size * 0.5" :y="b.y + size * 0.36" :font-size="size">{{ name(b) }}</text>
        <text v-if="figure(b)" class="figure" :x="b.x + b.w - size * 0.5" :y="b.y + size * 0.36" :font-size="size">{{ figure(b) }}</text>
      </a></svg></div>`,
  };
})(window.Canon);
