// Makes every page usable without a mouse and with a screen reader where the theme and token views leave gaps.
(function () {
  "use strict";
  function each(root, selector, action) {
    Array.prototype.forEach.call(root.querySelectorAll(selector), action);
  }

  function words(el) {
    return (el ? el.textContent : "").replace(/\s+/g, " ").trim();
  }

  // The arrow that folds a part of the contents has a picture and no name.
  function nameArrows() {
    each(document, "details > summary", function (summary) {
      if (words(summary) || summary.getAttribute("aria-label")) return;
      var link = summary.closest("li") && summary.closest("li").querySelector("a");
      summary.setAttribute("aria-label", link ? "Pages below " + words(link) : "More");
    });
  }

  // The bibliography is called a list whose children are no items; as plain blocks it reads well.
  function plainCitations() {
    each(document, ".citation-list[role=list], .citation[role]", function (el) { el.removeAttribute("role"); });
  }

  // A cell in the corner of a table heads nothing: no empty heading there.
  function plainCorners() {
    each(document, ".bd-article th", function (th) { if (!words(th)) th.setAttribute("role", "cell"); });
  }

  // What scrolls sideways can be scrolled with the arrow keys once it can have the focus.
  function scrollers() {
    each(document, ".bd-article :is(table, pre, .math, .canon-cv, .pst-scrollable-table-container, .output, dt.sig)", function (el) {
      var style = getComputedStyle(el);
      var moves = /auto|scroll/.test(style.overflowX + style.overflowY) &&
        (el.scrollWidth > el.clientWidth || el.scrollHeight > el.clientHeight);
      if (moves && !el.querySelector("a[href], button, input, select")) el.tabIndex = 0;
      else if (!moves && el.hasAttribute("tabindex")) el.removeAttribute("tabindex");
    });
  }

  // Token views: fields get the name that stands beside them, and words that answer to a click answer to a key.
  function nameFields(view) {
    each(view, "input, select", function (field, i) {
      var label = field.parentElement && field.parentElement.querySelector("label");
      if (!field.getAttribute("aria-label")) field.setAttribute("aria-label", words(label) || "Choice " + (i + 1));
      if (field.id) field.removeAttribute("id"); // every field of every view has the same one
    });
    each(view, "div[style*='cursor: pointer'], span[style*='cursor: pointer']", function (word) {
      if (word.tabIndex === 0) return;
      word.setAttribute("role", "button");
      word.tabIndex = 0;
      word.addEventListener("keydown", function (event) {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        word.click();
      });
    });
  }

  function run() {
    nameArrows();
    plainCitations();
    plainCorners();
    scrollers();
    each(document, ".canon-cv", function (view) {
      nameFields(view);
      new MutationObserver(function () { nameFields(view); }).observe(view, { childList: true, subtree: true });
    });
    var waiting = 0;
    function later() {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(scrollers, 120);
    }
    window.addEventListener("resize", later);
    window.addEventListener("load", later);
    document.addEventListener("toggle", later, true); // a dropdown opened: what it holds has a width now
    if (window.ResizeObserver && document.querySelector(".bd-article")) {
      new ResizeObserver(later).observe(document.querySelector(".bd-article"));
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", run);
  else run();
})();
