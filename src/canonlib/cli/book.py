"""``canonlib notebooks``: execute chapters, with parameters when wanted. ``canonlib pdf``: print the book."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


def join_pairs(arguments: list[str]) -> list[str]:
    """``-p NAME VALUE`` becomes ``-p NAME=VALUE`` (Typer has no repeated option with two values)."""
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in ("-p", "--parameter") and rest:
            name = rest.pop(0)
            joined.append(f"{name}={rest.pop(0)}" if "=" not in name and rest else name)
    return joined


class NotebooksCommand(TyperCommand):
    """The command class that accepts ``-p NAME VALUE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the pairs, then parse as usual."""
        return super().parse_args(ctx, join_pairs(args))


def _pairs(given: list[str]) -> dict[str, str]:
    from canonlib.errors import ConfigError

    pairs: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise ConfigError(f"-p needs a name and a value, such as `-p seed 1`; got {item!r}.")
        if name in pairs:
            raise ConfigError(f"parameter {name} is given twice.")
        pairs[name] = value
    return pairs


def run_notebooks(
    chapters: Annotated[list[str] | None, typer.Argument(help="Number, name or its start; all when none.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME VALUE", help="Set a parameter; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the executed notebooks (not book/).")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Chapters at a time.", min=1)] = min(2, os.cpu_count() or 1),
) -> None:
    """Execute chapters into book/, or with -p or --out into a folder of their own (runs/<chapter>-<parameters>/).

    Examples:

      canonlib notebooks                      all chapters

      canonlib notebooks 3 -p seed 1          chapter 3 with another seed
    """
    from canonlib.book.runner import NotebookError, run_chapters
    from canonlib.store.files import require_writable

    if out is not None:
        require_writable("--out", out, folder=True)
    try:
        done = run_chapters(chapters or [], _pairs(parameter or []), out, jobs=jobs)
    except NotebookError as error:
        # Printed here as it is: the cell's source and the traceback need their lines.
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    for item in done:
        typer.echo(f"{item.path}  {'written' if item.changed else 'unchanged'}")


notebooks = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
"""The command as an application of one, because a bare function could not carry its command class."""
notebooks.command("notebooks", cls=NotebooksCommand)(run_notebooks)


def pdf_command(
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; default: book/_build/pdf/canonical-units.pdf.")
    ] = None,
) -> None:
    """Print the whole book as one PDF: light, every dropdown open, with a title page, contents and page numbers.

    Needs Chromium (Debian: apt-get install chromium); builds from the committed notebooks and runs nothing.
    """
    from canonlib.book.pdf import print_book
    from canonlib.book.runner import repository_root
    from canonlib.store.files import require_writable

    if out is not None:
        require_writable("--out", out)
    done = print_book(repository_root(), out)
    megabytes = done.path.stat().st_size / 1e6
    typer.echo(f"{done.path}  {megabytes:.1f} MB, {done.figures} figures, {done.formulas} formulas")
