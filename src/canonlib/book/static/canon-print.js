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

  article.querySelectorAll(".headerlink").forEach((a) => a.remove());
  // Code that only draws a figure or puts numbers into a sentence stays folded away; a cell folded whole is a solution.
  article.querySelectorAll(".cell.tag_hide-input > details.hide").forEach((d) => d.remove());
  article.querySelectorAll("details.hide").forEach((d) => {
    d.querySelector("summary").remove();
    const open = make("div", "", "canon-unfolded");
    open.append(...d.childNodes);
    d.replaceWith(open);
  });
  // A table that fits on a page stays in one piece.
  article.querySelectorAll("table").forEach((t) => t.classList.toggle("canon-whole", t.rows.length <= 16));
  // Ids repeat from chapter to chapter ("summary"), so each heading gets one of its own for the link from the contents.
  let count = 0;
  const entry = (h) => {
    const anchor = make("a");
    anchor.id = "canon-heading-" + (count += 1);
    h.prepend(anchor);
    const link = make("a", h.textContent.trim());
    link.href = "#" + anchor.id;
    const item = make("li");
    item.append(link);
    return item;
  };
  // Sphinx marks the place where each document begins; the first one, around all others, has no mark.
  const list = make("ol");
  list.append(entry(article.querySelector("h1")));
  article.querySelectorAll("span[id^='document-']").forEach((mark) => {
    const inside = mark.nextElementSibling || mark.parentElement;
    const heading = inside.querySelector("h1, h2, h3, h4");
    if (!heading) return;
    const item = entry(heading);
    list.append(item);
    const section = heading.parentElement;
    const name = mark.id.replace("document-", "");
    if (!name.includes("/") || name.endsWith("/index")) section.classList.add("canon-chapter");
    if (name.startsWith("api/")) {
      section.classList.add("canon-reference");
      return;
    }
    const below = "H" + (Number(heading.tagName[1]) + 1);
    const inner = make("ol");
    section.querySelectorAll(below).forEach((h) => inner.append(entry(h)));
    if (inner.children.length) item.append(inner);
  });

  const title = make("section", "", "canon-title-page");
  title.append(make("p", front.title, "canon-title"), make("p", front.subtitle, "canon-subtitle"),
    make("p", front.author), make("p", "Version " + front.version),
    make("p", "Code that only draws figures is left out here; the notebooks have it.", "canon-note"));
  const contents = make("nav", "", "canon-contents");
  contents.append(make("p", "Contents", "canon-title"), list);
  // Nothing of the site's frame goes to paper: only the title, the contents and the text.
  document.body.replaceChildren(title, contents, article);
  return {
    figures: article.querySelectorAll(".canon-plotly.canon-drawn").length,
    formulas: article.querySelectorAll("mjx-container").length,
    headings: count,
  };
}
