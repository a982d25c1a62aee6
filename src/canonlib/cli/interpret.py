"""``canonlib interpret``: meta-latents explained and tested by a language model of your choice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canonlib.cli.notes import note

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from canonlib.judge import Case, Interpretation


def interpret_command(
    base_url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint, such as http://localhost:8000/v1.")],
    model: Annotated[str, typer.Option(help="The model's name there.")],
    meta: Annotated[Path | None, typer.Option(help="Folder of a meta-SAE (MetaSAE.save).")] = None,
    sae: Annotated[Path | None, typer.Option(help="Folder of the SAE on whose decoder it was trained.")] = None,
    contexts: Annotated[
        Path | None, typer.Option(help="JSON: for each latent of the SAE a list of texts in which it is most active.")
    ] = None,
    tier: Annotated[str, typer.Option(help="Without the three folders: this profile's meta-SAE.")] = "world",
    limit: Annotated[int, typer.Option(help="Explain this many meta-latents, those with most users.", min=1)] = 20,
    key_env: Annotated[str, typer.Option(help="Environment variable that holds the key.")] = "OPENAI_API_KEY",
    price_in: Annotated[float, typer.Option(help="Price of a million tokens sent, to show the cost.")] = 0.0,
    price_out: Annotated[float, typer.Option(help="Price of a million tokens received.")] = 0.0,
    max_tokens: Annotated[
        int, typer.Option(help="Tokens of a reply at most; reasoning models need more.", min=1)
    ] = 300,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 0.0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a reply.")] = 60.0,
    retries: Annotated[int, typer.Option(help="Further tries after a timeout, a rate limit or a server's error.")] = 5,
    cache: Annotated[Path | None, typer.Option(help="Where replies are kept (else in your cache folder).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the results here, as JSON.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Say what it would cost, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the first request.")] = False,
) -> None:
    """Let a language model explain meta-latents, and test the explanations on latents held out.

    Two questions for each meta-latent: what do these latents that use it have in common? and, given that answer, which
    of ten other latents use it? The score is the accuracy on those ten (guessing gives one half), beside the accuracy
    with another meta-latent's explanation. The key is read from the environment and nowhere else. Replies are kept:
    an interrupted run goes on, and one that is done costs nothing again.

    Examples:

      canonlib interpret --base-url http://localhost:8000/v1 --model my-model --cost

      canonlib interpret --base-url ... --model ... --meta my-meta --sae my-sae --contexts texts.json --out names.json
    """
    from rich.console import Console

    from canonlib.judge import Endpoint, Judge, Prices, estimate, interpret
    from canonlib.store import write_json

    _require_places(out, cache or default_cache())
    console, prices = Console(), Prices(price_in, price_out)
    endpoint = Endpoint(base_url, model, key_env, temperature, max_tokens, timeout, retries)
    judge = Judge(endpoint, cache or default_cache())
    cases = _cases(meta, sae, contexts, tier)[:limit]
    needed = estimate(cases, judge)
    console.print(f"{len(cases)} meta-latents: {needed.told(prices)}", highlight=False)
    if cost:
        return
    judge.endpoint.key()
    if not yes and needed.n_requests:
        typer.confirm("Send them?", abort=True)
    found = interpret(cases, judge)
    if out is not None:
        write_json(out, [row.to_json() for row in found])
    console.print(as_table(found))


def _require_places(out: Path | None, cache: Path) -> None:
    """Raise ``ConfigError`` for a place that cannot be written to, before the requests are paid for."""
    from canonlib.store.files import require_writable

    if out is not None:
        require_writable("--out", out)
    require_writable("--cache", cache, folder=True)


def default_cache() -> Path:
    """Where replies are kept when nothing else is said."""
    from platformdirs import user_cache_path

    return user_cache_path("canonlib") / "judge"


def _cases(meta: Path | None, sae: Path | None, contexts: Path | None, tier: str) -> list[Case]:
    from canonlib.errors import ConfigError
    from canonlib.judge import build_cases

    given = [path for path in (meta, sae, contexts) if path is not None]
    if len(given) not in (0, 3):
        raise ConfigError("--meta, --sae and --contexts belong together: give all three, or none for the tier's own.")
    if given:
        found = build_cases(*_from_folders(*given))
    else:
        activations, texts, entities = _from_tier(tier)
        found = build_cases(activations, texts, groups=entities)
    if not found:
        raise ConfigError("no meta-latent has enough users with texts (7 at least) to be explained and tested.")
    return found


def _from_folders(meta: Path, sae: Path, contexts: Path) -> tuple[torch.Tensor, list[list[str]]]:
    """What ``build_cases`` takes."""
    from canonlib.errors import ConfigError
    from canonlib.meta import MetaSAE, meta_activations
    from canonlib.sae.io import open_sae
    from canonlib.store.reading import read_json

    texts = read_json(contexts, f"--contexts {contexts}", kind=list)
    listed = all(isinstance(t, list) and all(isinstance(s, str) for s in t) for t in texts)
    if not listed:
        raise ConfigError(f"--contexts {contexts} must hold a list with, for each latent, a list of texts.")
    return meta_activations(
        MetaSAE.load(meta, called="--meta", tell=note), open_sae(sae, called="--sae", tell=note)
    ), texts


def _from_tier(name: str) -> tuple[torch.Tensor, list[list[str]], list[int]]:
    """What ``build_cases`` takes, and the entity of each latent."""
    from canonlib import tiers
    from canonlib.activations import documents
    from canonlib.contexts import top_contexts
    from canonlib.meta import meta_activations
    from canonlib.pipeline import Run, metastage
    from canonlib.sae.selectivity import selectivity
    from canonlib.world import corpus

    run = Run(tiers.get(name))
    base = run.family(metastage.BASE).sae(run.tier.meta_base)
    split = run.data.eval.only("entities")
    texts = top_contexts(base.encode(split.activations), split, documents(run.tier, "eval"), list(corpus.token_ids()))
    _, entity = selectivity(base, split).best_entity()
    return meta_activations(run.meta.meta, base), texts, entity.tolist()


def as_table(found: list[Interpretation]) -> Table:
    """A row for each meta-latent, and the means; explanations are somebody else's text, and shown as they are."""
    from rich.table import Table
    from rich.text import Text

    table = Table("meta-latent", "explanation", "accuracy", "another's explanation", title="Meta-latents, explained")
    for row in found:
        scores = ["–" if value is None else f"{value:.0%}" for value in (row.accuracy, row.shuffled)]
        table.add_row(str(row.meta_latent), Text(row.explanation or f"no reply: {row.error}"), *scores)
    means = []
    for values in ([r.accuracy for r in found], [r.shuffled for r in found]):
        known = [v for v in values if v is not None]
        means.append(f"{sum(known) / len(known):.0%}" if known else "–")
    table.add_section()
    table.add_row("", f"mean of {len(found)}", *means)
    return table
