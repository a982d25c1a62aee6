// Draws the figures of a page from the JSON beside them; follows the theme, the page's width and printing.
(function () {
  "use strict";
  var NARROW = 540;
  var DARK = { paper: "#121212", plot: "#121212", text: "#ced6dd", grid: "#33383d", zero: "#6b737b",
    // Heatmaps on the dark page run from dark to light: what is strong stands out, what is zero recedes.
    heat: ["#1c232a", "#13508a", "#165e9b", "#1f6daa", "#307fb9", "#4792c7", "#61a4d3", "#7db7df", "#9ac9ea"] };

  // Few buttons, each of them a stop for the Tab key, and none that would send the figure elsewhere.
  var CONFIG = { displaylogo: false, displayModeBar: "hover", showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"] };

  function spec(el) {
    if (!el.canonSpec) {
      var s = el.querySelector('script[type="application/json"]');
      el.canonSpec = s ? JSON.parse(s.textContent) : null;
    }
    return el.canonSpec;
  }

  function isDark(printing) {
    return !printing && document.documentElement.dataset.theme === "dark";
  }

  // Plotly does not break long titles: do it at words, to the width at hand.
  function wrap(text, chars) {
    return text.split("<br>").map(function (part) {
      var lines = [""];
      part.split(" ").forEach(function (word) {
        var last = lines[lines.length - 1];
        var shown = (last + " " + word).replace(/<[^>]*>/g, "");
        if (last && shown.length > chars) lines.push(word);
        else lines[lines.length - 1] = last ? last + " " + word : word;
      });
      return lines.join("<br>");
    }).join("<br>");
  }

  function darken(layout) {
    var theme = layout.template && layout.template.layout;
    if (!theme) return;
    theme.paper_bgcolor = DARK.paper;
    theme.plot_bgcolor = DARK.plot;
    theme.font = Object.assign({}, theme.font, { color: DARK.text });
    ["xaxis", "yaxis"].forEach(function (name) {
      theme[name] = Object.assign({}, theme[name],
        { gridcolor: DARK.grid, zerolinecolor: DARK.zero, linecolor: DARK.zero, tickcolor: DARK.zero });
    });
    (layout.annotations || []).forEach(function (a) { if (a.bgcolor === "white") a.bgcolor = DARK.paper; });
    theme.hoverlabel = Object.assign({}, theme.hoverlabel, { bordercolor: DARK.zero });
  }

  function darkTraces(data) {
    return data.map(function (trace) {
      if (trace.type !== "heatmap") return trace;
      var scale = DARK.heat.map(function (color, i) { return [i / (DARK.heat.length - 1), color]; });
      return Object.assign({}, trace, { colorscale: scale });
    });
  }

  // On a phone every second label of a long row of fixed ticks is enough; the last one stays.
  function thin(axis) {
    if (!axis || !axis.ticktext || axis.ticktext.length < 6 || !Array.isArray(axis.ticktext)) return;
    var last = axis.ticktext.length - 1;
    axis.ticktext = axis.ticktext.map(function (t, i) { return (last - i) % 2 ? "" : t; });
    axis.tickangle = 0;
  }

  // The layout for this width: title in lines, and on a phone smaller type and narrower margins.
  function fit(layout, width) {
    var narrow = width < NARROW;
    var base = (layout.template && layout.template.layout) || {};
    var margin = Object.assign({}, base.margin, layout.margin);
    var title = layout.title && layout.title.text;
    if (title) {
      var size = narrow ? 14 : 16;
      layout.title.font = Object.assign({}, layout.title.font, { size: size });
      layout.title.text = wrap(title, Math.floor((width - 16) / (size * 0.53)));
      var lines = layout.title.text.split("<br>").length;
      layout.title.yref = "container";
      layout.title.y = 1;
      layout.title.yanchor = "top";
      layout.title.pad = Object.assign({ l: 4 }, layout.title.pad,
        { t: lines > 1 ? 8 + 0.72 * size : 8 }); // Plotly drops the first line's own height when there are several
      margin.t = Math.max(margin.t || 0, 26 + lines * size * 1.35);
    }
    if (narrow) {
      layout.font = Object.assign({}, layout.font, { size: 11 });
      margin.l = Math.min(margin.l || 60, 44);
      margin.r = margin.r > 40 ? Math.min(margin.r, Math.floor(width * 0.3)) : Math.min(margin.r || 12, 12);
      (layout.annotations || []).forEach(function (a) {
        a.font = Object.assign({}, a.font, { size: 10 });
        if (a.text && a.xref !== "paper" && a.xanchor === "left") a.text = wrap(a.text, Math.floor((margin.r - 12) / 5.4));
      });
      thin(layout.xaxis);
    }
    layout.margin = margin;
    return layout;
  }

  function narrowTraces(data, width) {
    if (width >= NARROW) return data;
    return data.map(function (trace) {
      if (!trace.colorbar || trace.type !== "heatmap") {
        return trace.textposition ? Object.assign({}, trace, { textfont: { size: 10 } }) : trace;
      }
      var bar = { orientation: "h", y: 1, yanchor: "bottom", thickness: 8, len: 1, title: { text: "" } };
      return Object.assign({}, trace, { colorbar: Object.assign({}, trace.colorbar, bar) });
    });
  }

  function drawPlotly(el, printing) {
    var figure = spec(el);
    if (!figure || !window.Plotly) return;
    var width = el.clientWidth || 720;
    var layout = JSON.parse(JSON.stringify(figure.layout || {}));
    layout.uirevision = "canon";
    layout.width = width;
    layout.height = layout.height || 420;
    if (isDark(printing)) darken(layout);
    fit(layout, width);
    el.canonWidth = width;
    var config = Object.assign({}, CONFIG, figure.config || {});
    var data = isDark(printing) ? darkTraces(figure.data) : figure.data;
    window.Plotly.react(el, narrowTraces(data, width), layout, config);
    // The alternative text says it; loose numbers from the axes, read out one by one, would not.
    each(".main-svg", function (svg) { svg.setAttribute("aria-hidden", "true"); }, el);
    el.classList.add("canon-drawn");
  }

  function drawTokens(el, i) {
    var props = spec(el);
    if (!props || !window.CircuitsVis || !window.CircuitsVis[el.dataset.component]) return;
    el.id = el.id || "circuits-vis-" + el.dataset.key + "-" + i;
    window.CircuitsVis.render(el.id, window.CircuitsVis[el.dataset.component], props);
  }

  function each(selector, action, root) {
    Array.prototype.forEach.call((root || document).querySelectorAll(selector), action);
  }

  function redraw(printing) {
    each(".canon-plotly", function (el) { drawPlotly(el, printing === true); });
  }

  function run() {
    redraw();
    each(".canon-cv", drawTokens);
    new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    if (window.ResizeObserver) {
      var watch = new ResizeObserver(function (entries) {
        window.requestAnimationFrame(function () {
          entries.forEach(function (e) {
            if (e.target.clientWidth && Math.abs(e.target.clientWidth - e.target.canonWidth) > 1) drawPlotly(e.target);
          });
        });
      });
      each(".canon-plotly", function (el) { watch.observe(el); });
    }
    window.addEventListener("beforeprint", function () { redraw(true); });
    window.addEventListener("afterprint", function () { redraw(false); });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", run);
  else run();
})();
