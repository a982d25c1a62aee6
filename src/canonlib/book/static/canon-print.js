// Makes the single page of the book ready for paper; run by canonlib.book.pdf with the texts of the title page.
(front) => {
  "use strict";
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const article = document.querySelector("article.bd-article") || document.querySelector("main") || document.body;
  document.documentElement.dataset.theme = "light";
  document.documentElement.classList.add("canon-paper");

  // A chapter is a section at the top; what Sphinx nests (sections of the table of contents) is found by its h1 as well.
  const headings = [...article.querySelectorAll("h1, h2")].filter((h) => h.textContent.trim());
  const label = (h) => {
    const copy = h.cloneNode(true);
    copy.querySelectorAll(".headerlink").forEach((a) => a.remove());
    return copy.textContent.trim();
  };
  const list = make("ol");
  let inner = null;
  headings.forEach((h, i) => {
    // Ids repeat from chapter to chapter ("summary"), so each heading gets one of its own for the contents' link.
    const anchor = make("a");
    anchor.id = "canon-heading-" + i;
    h.prepend(anchor);
    const link = make("a", label(h));
    link.href = "#" + anchor.id;
    const item = make("li");
    item.append(link);
    if (h.tagName === "H1") {
      list.append(item);
      inner = make("ol");
      item.append(inner);
    } else if (inner) inner.append(item);
  });

  const title = make("section", "", "canon-title-page");
  title.append(make("p", front.title, "canon-title"), make("p", front.subtitle, "canon-subtitle"),
    make("p", front.author), make("p", "Version " + front.version));
  const contents = make("nav", "", "canon-contents");
  contents.append(make("p", "Contents", "canon-title"), list);
  // Nothing of the site's frame goes to paper: only the title, the contents and the text.
  document.body.replaceChildren(title, contents, article);
  return {
    figures: article.querySelectorAll(".canon-plotly.canon-drawn").length,
    formulas: article.querySelectorAll("mjx-container").length,
    headings: headings.length,
  };
}
