"""The meta-SAE stage: train it on a base SAE's decoder, set it against controls, name meta-latents by facts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import unknown
from canonlib.sae.selectivity import fact_membership, selectivity
from canonlib.store import Artefact, Build, write_json, write_tensors
from canonlib.tiers import Tier
from canonlib.world import table

if TYPE_CHECKING:
    from sae_lens import SAE

    from canonlib.meta import MetaConfig, MetaName, MetaReport, model, naming
    from canonlib.pipeline.run import Run

BASE = "batchtopk-entities"
"""The family whose decoder the meta-SAE is trained on."""
TRAINER = ("canonlib.sae.fast", "canonlib.sae.entries", "canonlib.sae.gradients", "canonlib.sae.preselect",
           "canonlib.sae.select")  # fmt: skip
CODE = (
    "canonlib.meta",
    "canonlib.compare",
    *TRAINER,
    "canonlib.world.table",
    "canonlib.world.match",
    "canonlib.sae.dictionary",
    "canonlib.sae.selectivity",
    "canonlib.sae.streaming",
    __name__,
)
OWN = 0.5
"""F1 above which a latent of the base SAE answers to an entity."""
N_BEST = 4
"""Names quoted in the summary."""


@dataclass(frozen=True, eq=False)
class MetaResult:
    """The stage's outcome."""

    artefact: Artefact

    @property
    def meta(self) -> model.MetaSAE:
        """The trained meta-SAE."""
        from canonlib.meta import MetaSAE

        return MetaSAE.load(self.artefact.folder / "meta")

    @property
    def summary(self) -> dict[str, Any]:
        """variance_explained, _held_out, _gaussian, _shuffled, _untrained, mean_best_f1, chance_best_f1, best_names, ..."""
        found: dict[str, Any] = self.artefact.json("summary.json")
        return found

    @property
    def names(self) -> list[naming.MetaName]:
        """A name for each meta-latent: the fact it matches best, with precision and recall."""
        from canonlib.meta import MetaName

        return [MetaName(**row) for row in self.artefact.json("names.json")]

    @property
    def entity_latents(self) -> dict[str, int]:
        """Name of an entity to the latent of the base SAE that detects it best, for entities with one of F1 > 0.5."""
        found: dict[str, int] = self.artefact.json("entity-latents.json")
        return found

    @property
    def active(self) -> torch.Tensor:
        """bool [n_latents, n_meta]: which meta-latents each latent of the base SAE uses."""
        return self.artefact.tensors("active.safetensors")["active"]

    @property
    def alive(self) -> torch.Tensor:
        """bool [n_latents]: latents of the base SAE that fire in training; the meta-SAE is trained on these alone."""
        return self.artefact.tensors("active.safetensors")["alive"]

    @property
    def own(self) -> torch.Tensor:
        """int64 [n_entity_latents]: latents of the base SAE that detect an entity with F1 > 0.5, ascending."""
        return self.artefact.tensors("active.safetensors")["own"]

    @property
    def entity(self) -> torch.Tensor:
        """int64 [n_entity_latents]: the entity that each of ``own`` detects."""
        return self.artefact.tensors("active.safetensors")["entity"]


def meta_config(tier: Tier, seed: int = 0) -> MetaConfig:
    """The tier's meta-SAE, its seed counted from the tier's."""
    from canonlib.meta import MetaConfig

    config = MetaConfig(n_latents=tier.meta_latents, k=float(tier.meta_k), seed=tier.seed + seed)
    return config if tier.meta_steps is None else replace(config, steps=tier.meta_steps)


def seeds(tier: Tier) -> tuple[int, ...]:
    """Seeds for which the tier has a base SAE."""
    return (0,) if tier.meta_bases is None else tier.meta_bases.seeds


def base_artefact(run: Run, seed: int = 0) -> Artefact:
    """The base SAE of that seed; ``ConfigError`` lists the seeds for another."""
    if seed not in seeds(run.tier):
        raise unknown("seed", seed, [str(s) for s in seeds(run.tier)])
    if seed == 0 or run.tier.meta_bases is None:
        return run.family(BASE).artefact(run.tier.meta_base)
    return run.family(run.tier.meta_bases.name).artefact(run.tier.meta_base, seed=seed)


def load_base(run: Run, seed: int = 0) -> SAE[Any]:
    """The base SAE of that seed as a SAELens SAE."""
    from canonlib.sae import training

    return training.load(base_artefact(run, seed).folder)


def base_rows(run: Run, seed: int = 0) -> torch.Tensor:
    """Decoder rows ``[n_alive, d_model]`` of the base SAE of that seed that its meta-SAE is trained on: those that fire."""
    rows: torch.Tensor = load_base(run, seed).W_dec.detach()[run.meta_of(seed).alive]
    return rows


def live_rows(run: Run, family: str, size: int, seed: int = 0) -> torch.Tensor:
    """Decoder rows ``[n_alive, d_model]`` of the latents that fire in training, of an SAE of a family on entity mentions."""
    sae = run.family(family).sae(size, seed=seed)
    rows: torch.Tensor = sae.W_dec.detach()[selectivity(sae, run.data.train.only("entities")).fires > 0]
    return rows


def meta_stage(run: Run, seed: int = 0) -> MetaResult:
    """The meta-SAE of the run's tier on the base SAE of that seed, its controls and names, from the store or made now."""
    return MetaResult(
        run.store.get_or_build("meta", _config(run, seed), lambda b: _build(b, run, seed), code=list(CODE))
    )


def meta_key(run: Run, seed: int = 0) -> str:
    """Key of the meta-SAE's artefact, whether it is made yet or not."""
    return run.store.key("meta", _config(run, seed), code=list(CODE))


def _config(run: Run, seed: int) -> dict[str, Any]:
    base = base_artefact(run, seed)
    return {"base": base.key, "eval": run.data.key, "meta": asdict(meta_config(run.tier, seed))}


def _build(b: Build, run: Run, seed: int) -> None:
    from canonlib.meta import gaussian_directions, held_out_variance, meta_activations, train_meta_sae, with_controls

    sae, config = load_base(run, seed), meta_config(run.tier, seed)
    # A latent that never fires keeps the direction it started with, which says nothing about the model.
    alive = selectivity(sae, run.data.train.only("entities")).fires > 0
    rows = sae.W_dec.detach()[alive]
    meta = train_meta_sae(rows, config, run.progress)
    reports = with_controls(rows, config, run.progress, real=meta)
    control = gaussian_directions(rows, config.seed)
    apart = held_out_variance(rows, config, progress=run.progress)[1]
    control_apart = held_out_variance(control, config, progress=run.progress)[1]
    active = meta_activations(meta, sae) > 0
    score, entity = selectivity(sae, run.data.eval.only("entities")).best_entity()
    score = torch.where(alive, score, 0.0)
    own = (score > OWN).nonzero()[:, 0]
    names = _names(active[own], entity[own])
    meta.save(b.folder / "meta")
    write_json(b.folder / "names.json", [n.to_json() for n in names])
    write_json(b.folder / "entity-latents.json", _best_latents(score, entity))
    write_tensors(
        b.folder / "active.safetensors", {"active": active, "alive": alive, "own": own, "entity": entity[own]}
    )
    counts = {"n_alive": int(alive.sum()), "n_entity_latents": len(own)}
    held_out = {"variance_held_out": apart, "variance_gaussian_held_out": control_apart}
    write_json(b.folder / "summary.json", {**_variances(reports), **held_out, **counts, **_named(names)})


def _names(active: torch.Tensor, entity: torch.Tensor) -> list[MetaName]:
    """Names of the meta-latents by the facts of the entities whose latents use them; none without entity latents."""
    from canonlib.meta import name_meta_latents

    if len(entity) == 0:
        return []
    facts, membership = fact_membership()
    # Facts are dealt to people among people and to cities among cities: a part for "a city" is not capital=no.
    labels, kind = [str(f) for f in facts], kinds()[entity]
    return name_meta_latents(active, membership.T[entity], labels, entities=entity, groups=kind)


def kinds() -> torch.Tensor:
    """int64 [n_entities]: the kind of each entity, as its place in ``table.KINDS``."""
    return torch.tensor([table.KINDS.index(e.kind) for e in table.entities()])


def _best_latents(score: torch.Tensor, entity: torch.Tensor) -> dict[str, int]:
    """For each entity with a latent of F1 above 0.5, the latent of highest F1."""
    best: dict[int, int] = {}
    for latent in score.argsort(descending=True).tolist():
        if score[latent] > OWN:
            best.setdefault(int(entity[latent]), latent)
    everyone = table.entities()
    return {everyone[e].name: latent for e, latent in sorted(best.items())}


def _variances(reports: dict[str, MetaReport]) -> dict[str, float]:
    """Variance explained of the rows and of each control, L0 and dead share."""
    controls = {f"variance_{name}": r.variance_explained for name, r in reports.items() if name != "real"}
    real = reports["real"]
    return {
        "variance_explained": real.variance_explained,
        **controls,
        "l0": real.l0,
        "dead_fraction": real.dead_fraction,
    }


def _named(names: list[MetaName]) -> dict[str, Any]:
    """How well the meta-latents with at least three users match facts, and how well they would by chance."""
    from canonlib.meta.naming import MIN_USERS

    used = [n for n in names if n.n_users >= MIN_USERS]
    best = sorted((n for n in used if n.beyond_chance), key=lambda n: -n.f1)[:N_BEST]
    return {
        "n_used": len(used),
        "mean_best_f1": sum(n.f1 for n in used) / max(len(used), 1),
        "chance_best_f1": sum(n.chance_f1 for n in used) / max(len(used), 1),
        "n_beyond_chance": sum(n.beyond_chance for n in used),
        "best_names": ", ".join(f"{n.fact} {n.f1:.2f}" for n in best),
    }
