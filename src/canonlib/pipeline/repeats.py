"""The repeats stage: what the stitching chapters measure, for every seed of a family, as rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from canonlib.activations import Activations, documents
from canonlib.pipeline.paths import StoredPath
from canonlib.pipeline.stitching import ENGINE, Pair
from canonlib.sae.family import TrainedFamily
from canonlib.store import Build, Store, none_for_nan, write_json
from canonlib.tiers import Tier

if TYPE_CHECKING:
    from sae_lens import SAE

CODE = (
    *ENGINE,
    "canonlib.pipeline.stitching",
    "canonlib.sae.evaluation",
    "canonlib.sae.selectivity",
    "canonlib.world.table",
    __name__,
)

CE_DOCUMENTS = 100
"""Evaluation documents on which the model's loss is taken."""


def brought(pair: Pair, small: Any, large: Any, membership: torch.Tensor) -> dict[str, float]:
    """Do the large SAE's latents bring facts or entities that the small SAE lacked?

    ``small`` and ``large`` are the SAEs' ``Selectivity`` on entity mentions, ``membership`` bool [n_facts, n_entities].
    A latent speaks when it detects a fact or an entity with F1 above ``OWN``; what it detects best was lacking when no
    latent of the small SAE detects it so well. Keys: ``n_novel``, ``n_reconstruction`` (latents that speak) and
    ``novel``, ``reconstruction`` (share of them that bring what was lacking; NaN for none).
    """
    from canonlib.sae.selectivity import OWN

    had_fact, had_entity = small.own_facts(membership), small.own_entities()
    f1, fact = large.fact_f1(membership).max(1)
    e1, entity = large.best_entity()
    lacked = torch.where(e1 > f1, ~had_entity[entity], ~had_fact[fact])
    speaks = torch.maximum(f1, e1) > OWN
    row: dict[str, float] = {}
    for word, mask in (("novel", pair.delta_mse < 0), ("reconstruction", pair.delta_mse >= 0)):
        row |= {f"n_{word}": int((speaks & mask).sum()), word: float(lacked[speaks & mask].double().mean())}
    return row


def apart(rows: Iterable[dict[str, Any]]) -> list[float]:
    """For each seed, by how much more of its novel latents than of its reconstruction latents bring what was lacking.

    Of ``rows`` as ``rows`` gives them: the mean over the pairs that have both, NaN for a seed without such a pair.
    """
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        difference = row["brought_novel"] - row["brought_reconstruction"]
        by_seed.setdefault(row["seed"], []).extend([difference] if difference == difference else [])
    return [sum(found) / len(found) if found else float("nan") for found in by_seed.values()]


def rows(
    tier: Tier, trained: TrainedFamily, pairs: dict[int, list[Pair]], paths: dict[int, list[StoredPath]],
    store: Store, data: Activations, progress: bool = True,
) -> list[dict[str, Any]]:  # fmt: skip
    """For each seed and each pair of neighbouring sizes of a family a row, from the store or computed now.

    ``pairs`` and ``paths`` hold, for each seed, what ``stitching`` and ``paths`` found. Keys: ``seed``, ``small``,
    ``large``; ``auc``, ``share_novel``, ``n_novel``, ``mse_all_novel`` and ``mse_large`` (shares of the small SAE's
    MSE) and ``threshold`` as in ``Pair.summary``; ``ce_small``, ``ce_all_novel``, ``ce_large``, next-token losses in
    nats with the small SAE, with all novel latents inserted into it, and with the large one; ``rises`` and ``climb`` by
    order of the path; ``brought_...`` as in ``brought``; ``shared``, the share of the large SAE's firing latents that
    have a partner in another seed's SAE (``compare.shared_latents``), on average over the others.
    """
    config = {"saes": [a.key for a in trained.artefacts.values()], "eval": data.key, "tokens": trained.family.tokens}

    def build(b: Build) -> None:
        write_json(b.folder / "losses.json", _measure(tier, trained, pairs, data, progress))

    measured = store.get_or_build("repeats", config, build, code=list(CODE)).json("losses.json")
    missing = float("nan")
    return [
        {"seed": seed, "small": p.small, "large": p.large, **_told(p, paths[seed])}
        | {key: missing if value is None else value for key, value in measured[f"{seed} {p.small}"].items()}
        for seed, found in pairs.items()
        for p in found
    ]


def _told(pair: Pair, paths: list[StoredPath]) -> dict[str, Any]:
    """What a pair and its paths say."""
    s = pair.summary
    ours = [p for p in paths if (p.small, p.large) == (pair.small, pair.large)]
    return {
        **{key: s[key] for key in ("auc", "share_novel", "n_novel", "threshold")},
        "mse_all_novel": s["mse_all_novel"] / s["mse_small"],
        "mse_large": s["mse_large"] / s["mse_small"],
        "rises": {p.order: p.n_rises for p in ours},
        "climb": {p.order: p.climb for p in ours},
    }


def _measure(
    tier: Tier, trained: TrainedFamily, pairs: dict[int, list[Pair]], data: Activations, progress: bool
) -> dict[str, dict[str, float | None]]:
    from tqdm.auto import tqdm

    from canonlib.sae.evaluation import ce_loss, replaced_positions
    from canonlib.sae.selectivity import fact_membership, selectivity
    from canonlib.stitch import insert
    from canonlib.world import model

    lm, tokens, mentions = model.load(), documents(tier, "eval")[:CE_DOCUMENTS], data.eval.only("entities")
    where = replaced_positions(tokens, trained.family.tokens)
    _, membership = fact_membership()
    every = {seed: {size: trained.sae(size, seed=seed) for size in trained.sizes} for seed in pairs}
    found: dict[str, dict[str, float | None]] = {}
    for seed, of_seed in tqdm(pairs.items(), desc=f"seeds {trained.family.name}", unit="seed", disable=not progress):
        saes = every[seed]
        told = {size: selectivity(sae, mentions) for size, sae in saes.items()}
        for p in of_seed:
            novel = ((p.delta_mse < 0) & (p.fires > 0)).nonzero()[:, 0].tolist()
            three = {
                "small": saes[p.small],
                "all_novel": insert(saes[p.small], saes[p.large], novel),
                "large": saes[p.large],
            }
            row = {f"ce_{name}": ce_loss(lm, tokens, tier.hook, where, sae) for name, sae in three.items()}
            news = brought(p, told[p.small], told[p.large], membership)
            others = [of_other[p.large] for other, of_other in every.items() if other != seed]
            row["shared"] = _shared(saes[p.large], others, p.fires > 0)
            row |= {f"brought_{key}": value for key, value in news.items()}
            found[f"{seed} {p.small}"] = none_for_nan(row)
    return found


def _shared(sae: SAE[Any], others: list[SAE[Any]], fires: torch.Tensor) -> float:
    """Share of the latents that fire (bool ``[n_latents]``) with a partner in another SAE, on average over the others."""
    from canonlib.compare import shared_latents

    shares = [float(shared_latents(sae, other)[fires].double().mean()) for other in others]
    return sum(shares) / len(shares) if shares else float("nan")
