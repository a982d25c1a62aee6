"""Gates on the committed notebooks: in step with their sources, executed, small, and easy to read.

``python -m canonlib.book.pairing`` prints the findings; each check returns one line per finding.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Any

from canonlib.book.clean import MAX_OUTPUT, output_problems

MAX_CELL_LINES = 25
MEDIAN_CELL_LINES = (3, 10)
MAX_BOOK_BYTES = 6_000_000


def _read(path: Path) -> Any:
    import jupytext
    import nbformat

    return nbformat.read(path, as_version=4) if path.suffix == ".ipynb" else jupytext.read(path)


def in_step(source: Path, notebook: Path) -> list[str]:
    """Cells of the executed ``notebook`` against its ``source``: same kinds and texts in the same order."""
    if not notebook.exists():
        return [f"{notebook.name}: missing; run `canonlib notebooks {source.stem}`"]
    want = [(c.cell_type, c.source) for c in _read(source).cells]
    have = [(c.cell_type, c.source) for c in _read(notebook).cells]
    for place, (a, b) in enumerate(zip(want, have, strict=False), 1):
        if a != b:
            return [f"{notebook.name}: cell {place} is out of step with {source.name}"]
    if len(want) != len(have):
        return [f"{notebook.name}: {len(have)} cells, {source.name} has {len(want)}"]
    return []


def executed(notebook: Path) -> list[str]:
    """Every code cell has run, in order from 1, and none failed (unless tagged ``raises-exception``)."""
    found = []
    code = [c for c in _read(notebook).cells if c.cell_type == "code" and c.source.strip()]
    for number, cell in enumerate(code, 1):
        where = f"{notebook.name}: code cell {number}"
        if cell.execution_count is None:
            found.append(f"{where} has not been executed")
        elif cell.execution_count != number:
            found.append(f"{where} was executed out of order (count {cell.execution_count})")
        failed = any(o.output_type == "error" for o in cell.outputs)
        if failed and "raises-exception" not in cell.metadata.get("tags", []):
            found.append(f"{where} failed")
    return found if code else [f"{notebook.name}: no code cell"]


def code_lines(source: str) -> int:
    """Lines of a cell that are neither blank nor only a comment."""
    return sum(1 for line in source.splitlines() if line.strip() and not line.strip().startswith("#"))


def cell_lengths(path: Path) -> list[str]:
    """No code cell above 25 lines, and the median between 3 and 10."""
    lengths = [code_lines(c.source) for c in _read(path).cells if c.cell_type == "code"]
    found = [f"{path.name}: code cell {n} has {k} lines (at most {MAX_CELL_LINES})"
             for n, k in enumerate(lengths, 1) if k > MAX_CELL_LINES]  # fmt: skip
    low, high = MEDIAN_CELL_LINES
    if lengths and not low <= median(lengths) <= high:
        found.append(f"{path.name}: the median code cell has {median(lengths)} lines ({low} to {high} wanted)")
    return found


def sizes(notebooks: list[Path]) -> list[str]:
    """All notebooks together at most 6 MB, each output at most 300,000 characters and the same in every run."""
    total = sum(n.stat().st_size for n in notebooks)
    found = [f"{n.name}: {line}" for n in notebooks for line in output_problems(_read(n), limit=MAX_OUTPUT)]
    if total > MAX_BOOK_BYTES:
        found.append(f"the notebooks take {total:,} bytes (at most {MAX_BOOK_BYTES:,})")
    return found


def problems(root: Path) -> list[str]:
    """All findings for the repository at ``root``; also a notebook in ``book/`` that has no source."""
    sources = sorted((root / "notebooks").glob("*.py"))
    notebooks = sorted((root / "book").glob("*.ipynb"))
    found = [] if sources else [f"{root / 'notebooks'}: no chapter"]
    stems = {s.stem for s in sources}
    found += [f"{n.name}: no source notebooks/{n.stem}.py" for n in notebooks if n.stem not in stems]
    for source in sources:
        found += in_step(source, root / "book" / f"{source.stem}.ipynb") + cell_lengths(source)
    for notebook in notebooks:
        found += executed(notebook)
    return found + sizes(notebooks)


def main() -> int:
    """Print the findings for the repository around the working folder; 0 when there are none."""
    from canonlib.book.runner import repository_root

    found = problems(repository_root())
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
