"""The gathering stage: for each size, the best dictionary from the latents of all sizes, beside the trained SAE."""

from __future__ import annotations

from typing import Any

from canonlib.activations import Activations
from canonlib.pipeline.stitching import ENGINE
from canonlib.sae.family import TrainedFamily
from canonlib.store import Build, Store, write_json

CODE = (*ENGINE, __name__)
SEARCH_TOKENS = 100_000
"""Training tokens on which latents are chosen; the outcome is judged on the evaluation split."""
EXCHANGES = 200


def gathered(trained: TrainedFamily, store: Store, data: Activations, progress: bool = True) -> list[dict[str, Any]]:
    """For each dictionary size of a family a row, from the store or computed now.

    Keys: ``size`` (latents allowed), ``n_latents`` (taken), ``mse``, ``l0`` and ``mse_trained``, ``l0_trained`` on the
    evaluation split; ``latents``: for each size of the family those that were taken; ``start`` (a size) and
    ``exchanges`` as in ``stitch.Frankenstein``.
    """
    config = {
        "saes": {str(n): trained.artefact(n).key for n in trained.sizes}, "data": data.key,
        "tokens": trained.family.tokens, "search": SEARCH_TOKENS, "exchanges": EXCHANGES,
    }  # fmt: skip

    def build(b: Build) -> None:
        write_json(b.folder / "rows.json", _rows(trained, data, progress))

    rows: list[dict[str, Any]] = store.get_or_build("gathered", config, build, code=list(CODE)).json("rows.json")
    return rows


def _rows(trained: TrainedFamily, data: Activations, progress: bool) -> list[dict[str, Any]]:
    from tqdm.auto import tqdm

    from canonlib.sae.metrics import reconstruction
    from canonlib.stitch import frankenstein, pool

    which = trained.family.tokens
    search = data.rows("train", which).sample(SEARCH_TOKENS)
    held_out, saes = data.eval.only(which).activations, trained.saes()
    everything, rows = pool(list(saes.values()), search), []
    for size in tqdm(trained.sizes, desc=f"gather {trained.family.name}", unit="size", disable=not progress):
        found = frankenstein(everything, size, EXCHANGES)
        taken = {str(n): list(chosen) for n, chosen in zip(saes, found.latents, strict=True)}
        ours, theirs = reconstruction(found.sae, held_out), reconstruction(saes[size], held_out)
        rows.append({
            "size": size, "n_latents": found.sae.cfg.d_sae, "mse": ours.mse, "l0": ours.l0, "mse_trained": theirs.mse,
            "l0_trained": theirs.l0, "latents": taken, "exchanges": found.exchanges,
            "start": None if found.start is None else list(saes)[found.start],
        })  # fmt: skip
    return rows
