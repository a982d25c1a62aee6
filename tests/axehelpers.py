"""axe-core on an open page: what shuts out readers who use a keyboard, a screen reader or need contrast.

The package axe-playwright-python brings axe-core (4.12.1) as one file, so nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from browserhelpers import Reader

GRAVE = {"serious", "critical"}
# A drawn figure is hidden from screen readers in favour of its alternative text, and browserhelpers.CONTRAST judges its
# texts, which axe-core does not do inside an SVG: it would only take long over thousands of elements.
LEFT_OUT = [[".canon-plotly .main-svg"]]
# Colour of code depends on the token's class and the background alone: one of each on a page is enough, and the contrast
# of thousands of them is most of axe-core's time. The others become plain text of their block, which is still checked.
ONE_OF_EACH = """() => {
  const seen = new Set();
  document.querySelectorAll('.highlight pre').forEach(block => {
    const surface = getComputedStyle(block).backgroundColor;
    block.querySelectorAll('span[class]').forEach(span => {
      const key = span.className + getComputedStyle(span).color + surface;
      if (seen.has(key)) span.replaceWith(...span.childNodes);
      else seen.add(key);
    });
    block.normalize();
  });
}"""
RUN = """async (left_out) => {
  const found = await axe.run({ exclude: left_out }, { resultTypes: ['violations'], preload: false });
  return found.violations.map(v => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => n.target.join(' ')) }));
}"""


def blocked_readers(reader: Reader, page: Path) -> list[str]:
    """The serious and critical violations on the open ``page``, one line per rule; its code loses some colour."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed ([dev])")
    reader.tab.evaluate(ONE_OF_EACH)
    reader.tab.evaluate(axe.AXE_SCRIPT)
    grave = [v for v in reader.tab.evaluate(RUN, LEFT_OUT) if v["impact"] in GRAVE]
    where = f"{page.name} at {reader.width} px, {reader.theme}"
    return [
        f"{where}: {v['id']} ({v['impact']}: {v['help']}) at {len(v['nodes'])} places: {v['nodes'][:3]}" for v in grave
    ]
