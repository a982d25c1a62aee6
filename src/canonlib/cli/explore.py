"""``canonlib explore``: write the explorer of an SAE and its meta-SAE, as a page that opens from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canonlib.cli.notes import note

if TYPE_CHECKING:
    from canonlib.explore import Subject


def explore_command(
    out: Annotated[Path, typer.Argument(help="Folder to write; an explorer there is replaced.")] = Path("explorer"),
    sae: Annotated[Path | None, typer.Option(help="Folder of your SAE (SAELens).")] = None,
    meta: Annotated[Path | None, typer.Option(help="Folder of the meta-SAE on its decoder (MetaSAE.save).")] = None,
    smaller: Annotated[
        list[Path] | None, typer.Option(help="Folder of a smaller SAE of the same hook point; repeatable.")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(help="Documents to find top texts in: one a line, or .jsonl with a text each.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model that reads them (default: the SAE's metadata).")] = None,
    hook: Annotated[str | None, typer.Option(help="Its hook point (default: the SAE's metadata).")] = None,
    names: Annotated[Path | None, typer.Option(help='Names of latents, as JSON: {"12": "a name"}.')] = None,
    meta_names: Annotated[
        Path | None, typer.Option(help="Names of meta-latents: the same, or what `canonlib interpret --out` wrote.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(help="Tokens of a document read at once (default: the SAE's metadata, or 128).", min=2)
    ] = None,
    max_norm: Annotated[
        float | None,
        typer.Option(help="Leave out tokens whose activations' norm is more than this many times the median.", min=1),
    ] = None,
    tier: Annotated[
        str | None, typer.Option(help="Without --sae and --meta: this profile's SAEs (default: world).")
    ] = None,
    data_only: Annotated[bool, typer.Option("--data-only", help="Write the data alone, for a book's build.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
) -> None:
    """Write the explorer: latents, their meta-latents, the texts they fire on, and a graph to walk through.

    One folder with a page that needs neither server nor network: open index.html, copy the folder, or publish it. With
    --sae and --meta it shows yours; texts, smaller SAEs and names each add what they can tell.

    Examples:

      canonlib explore                                                the world's, into explorer/

      canonlib explore mine --sae my-sae --meta my-meta-sae           the parts of your own latents

      canonlib explore mine --sae my-sae --meta my-meta-sae --smaller my-smaller-sae --texts documents.txt
    """
    from canonlib.errors import ConfigError
    from canonlib.explore.folders import place_for
    from canonlib.explore.site import write_book_data, write_explorer
    from canonlib.store.files import folder_bytes

    if data_only and show:
        raise ConfigError("--open opens a page, and --data-only writes none: leave one of them out.")
    try:
        place_for(out, whole=not data_only)  # before minutes of work, and once more after it
    except OSError as exc:
        raise ConfigError(f"{out} cannot be looked into ({exc}): give another folder.") from exc
    if data_only:
        import torch

        torch.set_num_threads(1)  # what is committed must not depend on the number of threads
    subject = _subject(sae, meta, smaller or [], texts, model, hook, names, meta_names, context, max_norm, tier)
    try:
        if data_only:
            write_book_data(subject, out)
            typer.echo(f"{out}  {folder_bytes(out) / 2**20:.1f} MiB")
            return
        site = write_explorer(subject, out)
    except OSError as exc:
        raise ConfigError(f"{out} cannot be written ({exc}): give another folder, or make room.") from exc
    typer.echo(f"{site.page}  {site.n_latents:,} latents, {site.n_meta:,} meta-latents, {site.n_bytes / 2**20:.1f} MiB")
    if show:
        typer.launch(site.page.resolve().as_uri())


def _subject(
    sae: Path | None, meta: Path | None, smaller: list[Path], texts: Path | None, model: str | None, hook: str | None,
    names: Path | None, meta_names: Path | None, context: int | None, max_norm: float | None, tier: str | None,
) -> Subject:  # fmt: skip
    from canonlib.errors import ConfigError

    if (sae is None) != (meta is None):
        raise ConfigError(
            "--sae and --meta belong together: a meta-SAE is of one SAE's decoder. Give both, or neither."
        )
    if sae is not None and meta is not None:
        from canonlib.explore.own import own_subject

        if tier is not None:
            raise ConfigError(f"--tier {tier} is for canonlib's own SAEs: leave it out, or --sae and --meta.")
        return own_subject(sae, meta, smaller, texts=texts, model=model, hook=hook, names=names, meta_names=meta_names,
                           context=context, max_norm=max_norm, tell=note)  # fmt: skip
    given = {"--smaller": smaller, "--texts": texts, "--model": model, "--hook": hook, "--names": names,
             "--meta-names": meta_names, "--context": context, "--max-norm": max_norm}  # fmt: skip
    for option, value in given.items():
        if value:
            raise ConfigError(f"{option} describes an SAE of your own: give --sae and --meta too.")
    return _of_tier(tier or "world")


def _of_tier(name: str) -> Subject:
    from canonlib import tiers
    from canonlib.explore.world import to_train, world_subject
    from canonlib.pipeline import Run

    run = Run(tiers.get(name))
    if lacking := to_train(run):
        note(
            f"the store at {run.store.root} lacks {lacking}: training them first, which takes minutes. "
            "`canonlib run` trains the same and can be interrupted as well."
        )
    return world_subject(run)
