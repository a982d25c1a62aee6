"""The committed chapters beside those in the work tree: what this machine made otherwise, why, and how to go back."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from canonlib.book.changes import Change, Comparison, compare_chapter, compare_claims
from canonlib.book.runner import repository_root
from canonlib.book.status import RECORDS, machine_of
from canonlib.claims.table import BEGIN, END, write_block
from canonlib.errors import CanonlibError, ConfigError
from canonlib.machine import REPRODUCIBLE, in_words, this_machine

CLAIMS = "book/claims.json"
MADE = ("book/*.ipynb", CLAIMS, f"book/{RECORDS}", "book/explorer/data")
"""What ``make book`` writes and git keeps, beside the claims table in README.md."""
SOURCES = ("notebooks", "src", "requirements.lock")
"""What decides how the chapters come out, beside the machine."""


def _git(root: Path, *arguments: str) -> bytes | None:
    """What git prints, or None where there is no git, no repository or no such thing."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def committed(root: Path, name: str) -> Any:
    """A JSON file as the last commit has it, or None when it has none."""
    data = _git(root, "show", f"HEAD:{name}")
    return None if data is None else json.loads(data)


def compare(root: Path) -> tuple[list[Comparison], list[Change]]:
    """Every chapter and the claims of the work tree, compared with the last commit; chapters that are new are left out.

    Raises ``ConfigError`` where there is no commit to compare with.
    """
    if _git(root, "rev-parse", "--verify", "HEAD") is None:
        raise ConfigError(f"{root} has no git commit: there are no committed chapters to compare with.")
    chapters = []
    for path in sorted((root / "book").glob("*.ipynb")):
        before = committed(root, f"book/{path.name}")
        if before is not None:
            chapters.append(compare_chapter(path.stem, before, json.loads(path.read_text(encoding="utf-8"))))
    claims = committed(root, CLAIMS)
    here = root / CLAIMS
    return chapters, compare_claims(
        claims, json.loads(here.read_text(encoding="utf-8"))
    ) if claims and here.is_file() else []


def _machines(root: Path) -> list[str]:
    """The machines that the committed chapters were executed on, in words."""
    records = committed(root, f"book/{RECORDS}") or {}
    return sorted({in_words(machine_of(record)) for record in records.values() if "machine" in record})


def why(root: Path, chapters: Sequence[Comparison] = ()) -> str:
    """Why ``chapters`` may differ from the committed ones: other sources, other code, another machine, or neither."""
    if any(chapter.sources for chapter in chapters):
        return "Their cells are not those that were executed for the commit."
    if _git(root, "diff", "--quiet", "HEAD", "--", *SOURCES) is None:
        return f"What makes them ({', '.join(SOURCES)}) differs from the commit."
    there, here = _machines(root), in_words(this_machine())
    if not there:
        return f"The commit does not say which processor ran them; this one is {here}."
    if there == [here]:
        return f"The processor is of the same kind ({here}), so another library or another number of threads may be the reason."
    return f"Processors round differently: those were run by {' and '.join(there)}; this is {here}."


def summary(root: Path) -> list[str]:
    """A few lines for the end of ``make book``: how many chapters differ, why, which verdicts do, how to go back."""
    chapters, claims = compare(root)
    differ = [c.chapter for c in chapters if c.differs]
    if not differ and not claims:
        return [f"All {len(chapters)} chapters are the committed ones, byte for byte."]
    verdicts = [f"{c.place}: {c.before} → {c.after}" for c in claims if c.kind == "verdict"]
    said = sum(len(c.said) for c in chapters) + len(claims) - len(verdicts)
    return [
        f"{len(differ)} of {len(chapters)} chapters differ from the committed ones. {why(root, chapters)}",
        f"Verdicts that changed: {'; '.join(verdicts)}." if verdicts else "No verdict changed.",
        *(
            [f"Sentences and titles that did: {said}. `python -m canonlib.book.committed report` lists them."]
            if said
            else []
        ),
        f"`make restore` puts the committed ones back; {REPRODUCIBLE}=1 makes x86 processors round alike.",
    ]


def report(root: Path) -> tuple[list[str], int]:
    """Everything that differs, as lines, and how much of it is a fault: what is said otherwise, numbers apart."""
    chapters, claims = compare(root)
    said = [change for c in chapters for change in c.said] + claims
    lines = [f"{root}: against the last commit. {why(root, chapters)}", ""]
    for change in sorted(said, key=lambda c: c.kind):
        lines += [
            f"{change.kind} of {change.place}",
            f"  - {change.before or '(nothing)'}",
            f"  + {change.after or '(nothing)'}",
        ]
    lines += [f"{c.chapter}: {c.sources} cells have another source" for c in chapters if c.sources]
    lines += ["", "numbers that moved:", *(f"  {place}: {numbers}" for c in chapters for place, numbers in c.moved)]
    by_kind = {kind: sum(c.kind == kind for c in said) for kind in ("compared output", "sentence", "title", "verdict")}
    counts = ", ".join(f"{kind}s: {n}" for kind, n in by_kind.items())
    return [*lines, "", f"{counts}; cells in which numbers moved: {sum(len(c.moved) for c in chapters)}"], len(said)


def restore(root: Path) -> list[str]:
    """Put the committed chapters, claims, records and explorer data back, and the claims table into README.md.

    Nothing else is touched. Returns the names of the files that changed. Raises ``ConfigError`` without a commit.
    """
    readme = _git(root, "show", "HEAD:README.md")
    if readme is None:
        raise ConfigError(f"{root} has no git commit with a README.md: there is nothing to restore from.")
    changed = (_git(root, "diff", "--name-only", "HEAD", "--", *MADE) or b"").decode().splitlines()
    if changed:
        subprocess.run(["git", "restore", "--source=HEAD", "--worktree", "--", *changed], cwd=root, check=True)
    path = root / "README.md"
    before = path.read_text(encoding="utf-8")
    write_block(path, readme.decode("utf-8").split(BEGIN, 1)[1].split(END, 1)[0].removeprefix("\n"))
    return [*changed, *(["README.md"] if path.read_text(encoding="utf-8") != before else [])]


def main(arguments: Sequence[str] | None = None) -> int:
    """``summary``, ``report`` (1 when something is said otherwise) or ``restore``; 2 for these two where there is no commit."""
    parser = argparse.ArgumentParser(prog="python -m canonlib.book.committed", description=__doc__)
    parser.add_argument("what", choices=("summary", "report", "restore"))
    what, root = parser.parse_args(arguments).what, repository_root()
    try:
        lines, faults = (summary(root), 0) if what == "summary" else report(root) if what == "report" else (
            [f"restored {name}" for name in restore(root)] or ["Nothing to restore."], 0)  # fmt: skip
    except CanonlibError as error:
        sys.stderr.write(f"{'note' if what == 'summary' else 'error'}: {error}\n")
        return 0 if what == "summary" else 2  # the book is made all the same
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
