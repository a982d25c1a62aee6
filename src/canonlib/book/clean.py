"""Makes an executed notebook the same, byte for byte, whenever its code and results are."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

MAX_OUTPUT = 300_000
"""Characters that one output may take."""

_KEEP_CELL = {"tags", "mystnb", "editable", "slideshow"}
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


def clean_notebook(notebook: Any, stem: str) -> None:
    """Drop, in place, what differs from run to run: times, ids, versions, progress bars (stderr, widgets).

    Cell ids follow from ``stem`` and the cell's place. Execution counts stay: they show that the cell ran.
    """
    import nbformat

    mystnb = {"mystnb": notebook.metadata["mystnb"]} if "mystnb" in notebook.metadata else {}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": kernel, "language_info": {"name": "python", "pygments_lexer": "ipython3"}, **mystnb}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for place, cell in enumerate(notebook.cells):
        cell.id = hashlib.sha256(f"{stem}:{place}".encode()).hexdigest()[:8]
        kept = {k: v for k, v in cell.metadata.items() if k in _KEEP_CELL and v not in ([], {}, None)}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = _clean_outputs(cell.outputs)
    nbformat.validate(notebook)


def _clean_outputs(outputs: Sequence[Any]) -> list[Any]:
    """Outputs without stderr and widgets; neighbouring pieces of stdout joined (where they break is chance)."""
    import nbformat

    kept: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if _WIDGET in output.get("data", {}):
            continue
        if "metadata" in output:
            output.metadata = nbformat.from_dict({})
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def output_size(output: Any) -> int:
    """Characters of one output as JSON."""
    return len(json.dumps(output, ensure_ascii=False))


def output_problems(notebook: Any, private: Sequence[str] = (), limit: int = MAX_OUTPUT) -> list[str]:
    """One line per output that is too large, holds a memory address, or one of the ``private`` folder names."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        for output in cell.outputs:
            size = output_size(output)
            shown = "".join(_texts(output))
            if size > limit:
                found.append(f"cell {number}: an output of {size:,} characters (at most {limit:,})")
            if _ADDRESS.search(shown):
                found.append(f"cell {number}: an output with a memory address, different in every run: {shown[:80]!r}")
            found += [f"cell {number}: an output names the folder {p} of this machine" for p in private
                      if len(p) > 2 and re.search(re.escape(p) + r"(?=[/\s'\"]|$)", shown)]  # fmt: skip
    return found


def _texts(output: Any) -> list[str]:
    data = output.get("data", {})
    return [output.get("text", ""), data.get("text/plain", ""), data.get("text/markdown", "")]


def to_text(notebook: Any) -> str:
    """The notebook as the text that is written to disk, ending in one newline."""
    import nbformat

    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"
