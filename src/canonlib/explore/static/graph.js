// Latent -> meta-latents -> latents that share them, drawn as three columns that can be walked.
(function (Canon) {
  "use strict";
  var ROW = 24, OTHERS = 4, PARTS = 10;

  function cut(text, width) {
    var room = Math.max(4, Math.floor(width / 7.2));
    var letters = Array.from(text);
    return letters.length > room ? letters.slice(0, room - 1).join("") + "…" : text;
  }

  // Places of boxes and lines, from the parts with their users.
  Canon.layout = function (number, parts, width) {
    var gap = Math.max(26, width * 0.07), column = (width - 2 * gap - 2) / 3;
    var x = [1, 1 + column + gap, 1 + 2 * (column + gap)];
    var boxes = [], lines = [], y = 0;
    parts.slice(0, PARTS).forEach(function (part) {
      var others = part.users.filter(function (u) { return u[0] !== number; }).slice(0, OTHERS);
      var high = Math.max(1, others.length) * ROW, middle = y + high / 2;
      boxes.push({ kind: "meta", number: part.number, x: x[1], y: middle, w: column, a: part.activation });
      lines.push({ from: [x[0] + column, null], to: [x[1], middle], a: part.activation });
      others.forEach(function (u, i) {
        var at = y + (i + 0.5) * ROW;
        boxes.push({ kind: "latent", number: u[0], x: x[2], y: at, w: column, a: u[1] });
        lines.push({ from: [x[1] + column, middle], to: [x[2], at], a: u[1] });
      });
      y += high + 12;
    });
    var height = Math.max(y - 12, ROW) + 8, centre = height / 2 - 4;
    lines.forEach(function (line) { if (line.from[1] === null) line.from[1] = centre; });
    boxes.unshift({ kind: "latent", number: number, x: x[0], y: centre, w: column, centre: true });
    return { boxes: boxes, lines: lines, height: height };
  };

  Canon.Graph = {
    props: { number: Number, parts: Array, label: Function },
    emits: ["go"],
    data: function () { return { width: 640 }; },
    computed: { drawn: function () { return Canon.layout(this.number, this.parts, this.width); } },
    mounted: function () {
      var self = this;
      this.watch = new ResizeObserver(function (entries) {
        self.width = Math.max(240, Math.floor(entries[0].contentRect.width));
      });
      this.watch.observe(this.$el);
    },
    unmounted: function () { this.watch.disconnect(); },
    methods: {
      path: function (l) {
        var m = (l.from[0] + l.to[0]) / 2;
        return "M" + l.from[0] + "," + (l.from[1] + 4) + " C" + m + "," + (l.from[1] + 4) + " " + m + "," +
          (l.to[1] + 4) + " " + l.to[0] + "," + (l.to[1] + 4);
      },
      href: function (b) { return b.centre ? "#/latent/" + b.number : b.kind === "meta" ? "#/meta/" + b.number : "#/graph/" + b.number; },
      name: function (b) { return cut(this.label(b), b.w - 14); },
    },
    template:
      '<div class="graph"><svg :width="width" :height="drawn.height + 8" :viewBox="`0 0 ${width} ${drawn.height + 8}`" ' +
      'role="group" aria-label="The latent, its meta-latents, and the latents that share them">' +
      '<path v-for="(l, i) in drawn.lines" :key="i" :d="path(l)" class="edge" :style="{strokeWidth: 1 + 5 * Math.min(1, l.a)}" />' +
      '<a v-for="(b, i) in drawn.boxes" :key="b.kind + i + b.number" :href="href(b)" class="node" :class="[b.kind, {centre: b.centre}]">' +
      '<title>{{ label(b) }}</title>' +
      '<rect :x="b.x" :y="b.y - 7" :width="b.w" height="22" rx="4" />' +
      '<text :x="b.x + 7" :y="b.y + 8">{{ name(b) }}</text></a></svg></div>',
  };
})(window.Canon);
