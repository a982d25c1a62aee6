"""Keep a release in step with itself: version, changelog, tag, install cells, launch buttons.

``python scripts/release.py close 0.2.0``  date the changelog's section, and let all chapters install and open v0.2.0
``python scripts/release.py open 0.3.0``   begin the next version: a new section, and everything back to main
``python scripts/release.py check v0.2.0`` say what is out of step with that tag; fails when something is
``python scripts/release.py notes 0.2.0``  print that version's section of CHANGELOG.md

A release is: ``close``, commit, ``git tag v0.2.0``, push both; the workflow ``release`` does the rest. Then ``open``.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from pathlib import Path

from canonlib.book import launch, status

ROOT = Path(__file__).resolve().parents[1]
VERSION = r"\d+\.\d+\.\d+"
# Where the version stands: file, and what stands before and after it.
PLACES = {
    "pyproject.toml": (r'^version = "', r'"$'),
    "CITATION.cff": (r"^version: ", r"$"),
    "src/canonlib/__init__.py": (r'^__version__ = "', r'"$'),
}
HEADING = re.compile(rf"^## ({VERSION}) \((unreleased|\d{{4}}-\d{{2}}-\d{{2}})\)$", re.M)


class ReleaseError(Exception):
    """The tree is not as the step needs it; the message says what to do."""


def read(root: Path, name: str) -> str:
    """A file's text."""
    return (root / name).read_text(encoding="utf8")


def versions(root: Path) -> dict[str, str]:
    """What each file says is the version."""
    found = {name: re.search(f"{a}(.+?){b}", read(root, name), re.M) for name, (a, b) in PLACES.items()}
    return {name: match[1] if match else "none" for name, match in found.items()}


def headings(root: Path) -> list[tuple[str, str]]:
    """Version and state of each section of the changelog, newest first."""
    return HEADING.findall(read(root, "CHANGELOG.md"))


def notes(root: Path, version: str) -> str:
    """The changelog's section of that version, without its heading; an error when there is none or it is empty."""
    text = read(root, "CHANGELOG.md")
    for heading in HEADING.finditer(text):
        if heading[1] == version:
            after = re.search(r"^## ", text[heading.end() :], re.M)
            body = text[heading.end() :][: after.start() if after else None].strip()
            if body:
                return body + "\n"
            raise ReleaseError(f"CHANGELOG.md says nothing about {version}: write what changed.")
    raise ReleaseError(f"CHANGELOG.md has no section '## {version} (...)'; it has {headings(root)}.")


def expected_ref(root: Path) -> str:
    """What chapters install and buttons open: the newest version's tag once it is dated, the branch main until then."""
    version, state = headings(root)[0]
    return "main" if state == "unreleased" else f"v{version}"


def problems(root: Path, tag: str | None = None) -> list[str]:
    """What is out of step in the tree (and with ``tag``), one line each."""
    newest, state = (headings(root) or [("none", "none")])[0]
    found = [f"{name} says {said}, CHANGELOG.md {newest}" for name, said in versions(root).items() if said != newest]
    if tag is not None and tag != f"v{newest}":
        found.append(f"the tag is {tag}, the newest section of CHANGELOG.md {newest}")
    if tag is not None and state == "unreleased":
        found.append(f"CHANGELOG.md calls {newest} unreleased: run scripts/release.py close {newest} before the tag")
    ref = expected_ref(root) if HEADING.search(read(root, "CHANGELOG.md")) else "main"
    if launch.launch_ref(root) != ref:
        found.append(f"_config.yml opens {launch.launch_ref(root)}, it should open {ref}")
    for path in [*sorted((root / "notebooks").glob("*.py")), *sorted((root / "book").glob("*.ipynb"))]:
        if launch.first_code_cell(path).source != launch.install_cell(ref):
            found.append(f"{path.relative_to(root)}: its first code cell does not install {ref}")
    return [*found, *status.problems(root / "book")]


def set_version(root: Path, version: str) -> None:
    """Write the version wherever it stands."""
    for name, (a, b) in PLACES.items():
        text, count = re.subn(f"({a}).+?({b})", rf"\g<1>{version}\g<2>", read(root, name), count=1, flags=re.M)
        if count != 1:
            raise ReleaseError(f"{name} has no line that holds the version.")
        (root / name).write_text(text, encoding="utf8")


def set_date(root: Path, day: str | None) -> None:
    """Say in CITATION.cff when the version was released, below the version; None for a version that is not yet."""
    text = re.sub(r"^date-released: .*\n", "", read(root, "CITATION.cff"), flags=re.M)
    if day is not None:
        text = re.sub(r"^(version: .*\n)", rf"\g<1>date-released: {day}\n", text, flags=re.M)
    (root / "CITATION.cff").write_text(text, encoding="utf8")


def close(root: Path, version: str, today: str) -> None:
    """Date the changelog's newest section, which must be that version's, and let everything point at its tag."""
    if headings(root)[:1] != [(version, "unreleased")]:
        raise ReleaseError(f"the newest section of CHANGELOG.md must be '## {version} (unreleased)'.")
    notes(root, version)  # an empty section is refused
    text = read(root, "CHANGELOG.md").replace(f"## {version} (unreleased)", f"## {version} ({today})", 1)
    (root / "CHANGELOG.md").write_text(text, encoding="utf8")
    set_version(root, version)
    set_date(root, today)
    launch.put(root, f"v{version}")


def begin(root: Path, version: str) -> None:
    """Begin the next version above the newest section, which must be released."""
    newest, state = headings(root)[0]
    if state == "unreleased" or [*map(int, version.split("."))] <= [*map(int, newest.split("."))]:
        raise ReleaseError(f"{version} cannot follow {newest} ({state}): close that first, and choose a higher number.")
    text = read(root, "CHANGELOG.md").replace(f"## {newest} (", f"## {version} (unreleased)\n\n## {newest} (", 1)
    (root / "CHANGELOG.md").write_text(text, encoding="utf8")
    set_version(root, version)
    set_date(root, None)
    launch.put(root, "main")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """One step; 1 with a line for each reason when it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["close", "open", "check", "notes"])
    parser.add_argument("version", help="such as 0.2.0; for check, a tag such as v0.2.0")
    given = parser.parse_args(arguments)
    if not re.fullmatch(("v" if given.step == "check" else "") + VERSION, given.version):
        parser.error(f"{given.version!r} is not a {'tag such as v0.2.0' if given.step == 'check' else 'version'}")
    try:
        if given.step == "notes":
            sys.stdout.write(notes(root, given.version))
        elif given.step == "close":
            close(root, given.version, datetime.datetime.now(datetime.UTC).date().isoformat())
        elif given.step == "open":
            begin(root, given.version)
        elif found := problems(root, given.version):
            raise ReleaseError("\n".join(found))
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
