"""The ``canonlib`` command.

Each sub-command lives in a module of its own that is imported when it is called, so ``canonlib --help`` stays quick.
Errors that canonlib raises on purpose become one red line and exit code 2; ``CANONLIB_DEBUG=1`` shows the traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import typer

from canonlib import __version__, machine
from canonlib.errors import CanonlibError

INTERRUPTED = "interrupted; run the same command again to go on"


class Room(NamedTuple):
    """Where a sub-command lives: a Typer app (several commands) or a plain function (one command)."""

    module: str
    attribute: str
    summary: str


ROOMS = {
    "run": Room("canonlib.cli.run", "run_command", "Run a tier from model to claims table, reusing what is stored."),
    "notebooks": Room("canonlib.cli.book", "notebooks", "Execute chapters, with other parameters if asked."),
    "pdf": Room("canonlib.cli.book", "pdf_command", "Print the whole book as one PDF (needs Chromium)."),
    "claims": Room("canonlib.cli.claims", "claims_command", "Show the claims table: the paper, ours, the verdict."),
    "store": Room("canonlib.cli.store", "app", "List, verify and clean up what has been computed."),
    "explore": Room("canonlib.cli.explore", "explore_command", "Write the explorer, of the world or of your own SAEs."),
    "interpret": Room("canonlib.cli.interpret", "interpret_command", "Let a language model explain meta-latents."),
    "world": Room("canonlib.cli.world", "app", "Look into the world of facts and train its model."),
}

app = typer.Typer(
    name="canonlib",
    help="Are sparse-autoencoder latents canonical units of analysis?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; the console script ``canonlib`` calls this."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # in a locale of ASCII alone, a sign that it lacks is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="canonlib")


@contextmanager
def told() -> Iterator[None]:
    """Turn an expected error (exit code 2) or Ctrl-C (130) into one line on stderr; with CANONLIB_DEBUG, re-raise."""
    try:
        yield
    except CanonlibError as error:
        if os.environ.get("CANONLIB_DEBUG", "0") not in ("", "0"):
            raise
        from canonlib.judge.secrets import without_steering

        _say(f"error: {without_steering(' '.join(str(error).split()))}", "bold red")
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        _say(INTERRUPTED, "yellow")
        raise typer.Exit(130) from error


def load(name: str) -> Any:
    """Import the module behind a sub-command and return its Click command."""
    room = ROOMS[name]
    target = getattr(importlib.import_module(room.module), room.attribute)
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(target)
    return typer.main.get_command(single)


def _say(message: str, style: str) -> None:
    from rich.console import Console

    # soft_wrap keeps one message on one line; markup off, because values such as [0, 1] would be taken for tags.
    Console(stderr=True).print(message, style=style, markup=False, highlight=False, soft_wrap=True)


def _forward(name: str) -> Callable[[typer.Context], None]:
    def forward(ctx: typer.Context) -> None:
        with told():
            machine.settle()  # before anything heavy is imported
            command = load(name)
            # A child of the outermost context: usage lines then read "canonlib store ls".
            with command.make_context(name, list(ctx.args), parent=ctx.parent) as inner:
                command.invoke(inner)

    return forward


def _register() -> None:
    # No --help of their own: that option too goes to the module behind the name.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for name, room in ROOMS.items():
        app.command(name, help=room.summary, context_settings=settings)(_forward(name))


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"canonlib {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Are sparse-autoencoder latents canonical units of analysis?"""


_register()
