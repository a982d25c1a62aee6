"""What a command tells that is no error: a line on standard error."""

from __future__ import annotations

import typer


def note(told: str) -> None:
    """Print ``told`` as a note."""
    typer.echo(f"note: {told}", err=True)
