"""``canonlib world``: look into the world of facts, and train its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look into the world of facts and train its model.")


@app.command()
def facts(name: Annotated[str, typer.Argument(help="A person or a city, such as Einstein or Tokyo.")]) -> None:
    """Print what is true of one entity.

    Example: canonlib world facts Einstein
    """
    from canonlib.world import table

    for attribute, value in table.facts(name).items():
        typer.echo(f"{attribute:<12}{value}")


@app.command()
def sample(
    n: Annotated[int, typer.Option(min=1, help="How many documents.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the grammar.")] = 0,
) -> None:
    """Print documents of the world's corpus.

    Example: canonlib world sample --n 2 --seed 7
    """
    import random

    from canonlib.world import corpus, model

    rng = random.Random(seed)
    for _ in range(n):
        typer.echo(" ".join(corpus.document(rng, model.CONTEXT)) + "\n")


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder to write; the model shipped in the package stays as it is.")],
    scale: Annotated[float, typer.Option(min=0.001, help="Share of the recipe's steps: 0.01 to try it out.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the weights and the corpus.")] = 0,
) -> None:
    """Train the world's model again (about 20 minutes on two cores) and measure what it knows.

    Example: canonlib world train --out my-model
    """
    from canonlib.errors import require_finite, require_seed
    from canonlib.store.files import require_writable
    from canonlib.world import causal, grammar, model, questions, training

    require_finite("--scale", scale, above=0)
    require_seed("--seed", seed)
    require_writable("--out", out, folder=True)
    recipe = training.Recipe(seed=seed)
    phases = tuple(p._replace(steps=max(1, round(p.steps * scale))) for p in recipe.phases)
    recipe = recipe._replace(phases=phases)
    training.save(training.train(recipe), out)
    lm = model.load(out)
    clause = grammar.CLAUSES[0]
    known = causal.accuracy(lm, questions.questions(clause=clause)).overall
    flips = causal.flip_rate(lm, questions.swaps(1_400, clause=clause), model.HOOK).overall
    typer.echo(f"{out}: answers {known:.1%} of the fact prompts; patching {model.HOOK} flips {flips:.1%}")
