"""``canonlib store``: see what has been computed, check it, and make room."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from canonlib.errors import ConfigError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from canonlib.store import Artefact, Removal, Store

ROOT = typer.Option(None, "--store", metavar="FOLDER", help="The store; by default CANONLIB_STORE or the user's cache.")
ROOM = typer.Option(None, "--room", metavar="ROOM", help="Only this room (sae, meta, ...); may be repeated.")

app = typer.Typer(
    name="store",
    help=(
        "List, check and clean up what canonlib has computed.\n\n"
        "Every slow result (a harvest, a trained SAE, a meta-SAE) is an artefact: a folder of safetensors and JSON "
        "with a manifest, named by a hash of its whole configuration. Deleting one is always safe: the next run that "
        "needs it builds it again."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("ls", short_help="List artefacts: size, age, what they are.")
def list_artefacts(
    room: list[str] | None = ROOM,
    as_json: bool = typer.Option(False, "--json", help="One JSON list with every manifest field that ls knows."),
    root: Path | None = ROOT,
) -> None:
    """List artefacts: room, key, size, age, time it took to build, and what it is.

    \b
    Examples:
      canonlib store ls                      everything
      canonlib store ls --room sae           only the trained SAEs
      canonlib store ls --json               for scripts
    """
    store = _open(root)
    found = store.artefacts(_known_rooms(store, room))
    if as_json:
        typer.echo(json.dumps([_facts(a) for a in found], indent=1))
        return
    console = _console()
    if not found:
        console.print(f"The store at {store.root} holds no artefacts yet.", soft_wrap=True, markup=False)
        return
    rows = [
        (a.room, a.key[:12], _size(a.nbytes), _span(_age(a.created)), _span(timedelta(seconds=a.seconds)), describe(a))
        for a in found
    ]
    console.print(_table(["room", "key", "size", "age", "took", "what"], rows))
    total = _size(sum(a.nbytes for a in found))
    console.print(f"{_count(len(found), 'artefact')}, {total}, in {store.root}", soft_wrap=True, markup=False)


@app.command("verify", short_help="Read every byte and name what is damaged.")
def verify(room: list[str] | None = ROOM, root: Path | None = ROOT) -> None:
    """Read every byte of every artefact and compare it with its manifest; exit code 1 when something is damaged.

    \b
    Examples:
      canonlib store verify                  everything
      canonlib store verify --room sae       only the trained SAEs
      canonlib store gc --corrupt            then drop what is damaged
    """
    store = _open(root)
    rooms = _known_rooms(store, room)
    problems = store.verify(rooms)
    console = _console()
    for problem in problems:
        line = f"{problem.room}/{problem.key[:12]}: {problem.reason}"
        console.print(line, style="red", soft_wrap=True, markup=False, highlight=False)
    if problems:
        console.print(problems[0].fix, soft_wrap=True, markup=False)
        raise typer.Exit(1)
    console.print(f"{_count(len(store.folders(rooms)), 'artefact')} checked, none damaged.", soft_wrap=True)


@app.command("gc", short_help="Remove leftovers, and artefacts on request.")
def collect(
    room: list[str] | None = ROOM,
    older_than: str | None = typer.Option(None, metavar="SPAN", help="Also artefacts older than this: 12h, 30d, 2w."),
    corrupt: bool = typer.Option(False, "--corrupt", help="Also damaged artefacts; the next run builds them again."),
    everything: bool = typer.Option(False, "--all", help="Also every artefact and checkpoint (of --room, if given)."),
    checkpoints: str = typer.Option(
        "7d", "--checkpoints-older-than", metavar="SPAN", help="Checkpoints untouched for this long go."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would go, and how many bytes; remove nothing."),
    root: Path | None = ROOT,
) -> None:
    """Remove what nobody needs: folders of builds that died, old checkpoints, and on request artefacts.

    Without options only leftovers go, never an artefact. Builds that are running are left alone.

    \b
    Examples:
      canonlib store gc --dry-run                  what would go?
      canonlib store gc                            leftovers of killed builds
      canonlib store gc --corrupt                  and damaged artefacts
      canonlib store gc --older-than 30d           and artefacts older than a month
      canonlib store gc --room sae --all           and every trained SAE
    """
    store = _open(root)
    removed = store.gc(
        dry_run,
        None if older_than is None else parse_span("--older-than", older_than),
        _known_rooms(store, room),
        corrupt=corrupt,
        everything=everything,
        stale_checkpoints=parse_span("--checkpoints-older-than", checkpoints),
    )
    _show_removed(_console(), removed, dry_run)


def _show_removed(console: Console, removed: list[Removal], dry_run: bool) -> None:
    if not removed:
        console.print("Nothing to remove.")
        return
    rows = [(r.room, r.key[:12], _size(r.nbytes), r.reason) for r in removed]
    console.print(_table(["room", "key", "size", "why"], rows))
    freed = _size(sum(r.nbytes for r in removed))
    said = "Would remove" if dry_run else "Removed"
    console.print(f"{said} {_count(len(removed), 'folder')}, {freed}.")


def parse_span(option: str, text: str) -> timedelta:
    """``"30d"`` (also h for hours, w for weeks) as a ``timedelta``. Raises ``ConfigError`` naming the option."""
    match = re.fullmatch(r"(\d{1,5})([hdw])", text.strip())
    if match is None:
        raise ConfigError(f"{option} must be a number with h, d or w (12h, 30d, 2w), got {text!r}.")
    unit = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match.group(2)]
    return int(match.group(1)) * unit


def describe(artefact: Artefact) -> str:
    """A few words on what an artefact is: its ``description`` note, or the plain fields of its configuration."""
    said = artefact.notes.get("description")
    if isinstance(said, str) and said.strip():
        return " ".join(said.split())
    return ", ".join(f"{name}={value}" for name, value in _plain_fields(artefact.config))


def _plain_fields(config: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(config, Mapping):
        return
    for name, value in config.items():
        if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
            yield name, value[:12]  # an upstream artefact
        elif isinstance(value, (str, int, float)) and name != "__class__":
            yield name, str(value)


def _facts(artefact: Artefact) -> dict[str, Any]:
    return {
        "room": artefact.room,
        "key": artefact.key,
        "folder": str(artefact.folder),
        "bytes": artefact.nbytes,
        "created": artefact.created.isoformat(),
        "seconds": artefact.seconds,
        "description": describe(artefact),
        "files": artefact.files,
        "notes": artefact.notes,
        "config": artefact.config,
    }


def _open(root: Path | None) -> Store:
    from canonlib.store import Store

    return Store(root)


def _known_rooms(store: Store, names: list[str] | None) -> list[str] | None:
    if not names:
        return None
    present = [folder.name for folder in store.room_folders()]
    for name in names:
        if name not in present and present:
            raise unknown("--room", name, present)
    return names


def _console() -> Console:
    from rich.console import Console

    return Console()


def _table(columns: list[str], rows: Sequence[tuple[str, ...]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns[:-1]:
        table.add_column(name, no_wrap=True, justify="right" if name in ("size", "age", "took") else "left")
    table.add_column(columns[-1], overflow="ellipsis", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in a cell are no markup
    return table


def _age(created: datetime) -> timedelta:
    return datetime.now(timezone.utc) - created


def _span(span: timedelta) -> str:
    seconds = max(span.total_seconds(), 0.0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _size(nbytes: int) -> str:
    size = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
