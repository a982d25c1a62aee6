"""``canonlib claims``: the claims table, computed from what the store holds (and from what it lacks, if need be)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from canonlib.claims import Claim

BLOCKS = ("README.md",)
"""Files with a marked block; the book's pages compute the table themselves."""


def claims_command(
    tier: Annotated[str, typer.Option(help="Which profile's claims.")] = "world",
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the table into README.md and book/ here.")] = False,
) -> None:
    """Show the claims table: what the paper reports, what we measured, the verdict.

    What the store lacks is computed first, with progress bars on stderr. Exits with 1 when a claim fails.

    Examples:

      canonlib claims

      canonlib claims --json > claims.json
    """
    from rich.console import Console

    from canonlib import tiers
    from canonlib.claims import table
    from canonlib.claims.compute import compute
    from canonlib.pipeline import Run

    if write:
        check_checkout(Path.cwd())  # before the minutes that computing may take
    claims = compute(Run(tiers.get(tier, seed=seed)))
    if as_json:
        typer.echo(table.dumps(claims), nl=False)
    elif write:
        write_files(Path.cwd(), claims)
    else:
        Console().print(table.rich_table(claims))
    if any(claim.broken for claim in claims):
        raise typer.Exit(1)


def check_checkout(root: Path) -> None:
    """Raise ``ConfigError`` where there is nothing to write the table into."""
    from canonlib.errors import ConfigError

    missing = [name for name in (*BLOCKS, "book") if not (root / name).exists()]
    if missing:
        raise ConfigError(
            f"{root} has no {', '.join(missing)}: run 'canonlib claims --write' in a checkout of canonlib."
        )


def write_files(root: Path, claims: list[Claim]) -> None:
    """Put the table into README.md and book/claims.json of a checkout."""
    from canonlib.claims import table

    check_checkout(root)
    for name in BLOCKS:
        table.write_block(root / name, "\n" + table.markdown(claims) + "\n")
    (root / "book" / "claims.json").write_text(table.dumps(claims), encoding="utf8")
