"""One tier's whole line, stage by stage, each taken from the store or computed when first asked for.

``Run(tiers.get("world"))`` costs nothing; ``run.data``, ``run.family("standard-all")``, ``run.evaluation(...)``,
``run.pairs(...)``, ``run.meta`` and ``run.knowledge`` compute what they need. Chapters use it, and so does the
command line: ``canonlib run`` walks all stages in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from canonlib import activations
from canonlib.activations import Activations
from canonlib.errors import ConfigError, unknown
from canonlib.pipeline import gathered, knowledge, losses, paths, repeats, stitching
from canonlib.pipeline.paths import StoredPath
from canonlib.pipeline.stitching import Pair
from canonlib.sae import evaluation
from canonlib.sae.engine import Engine
from canonlib.sae.family import TrainedFamily, train_families
from canonlib.store import Store
from canonlib.tiers import Tier

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

    from canonlib.pipeline.metafamily import MetaFamily
    from canonlib.pipeline.metastage import MetaResult


class Stage(NamedTuple):
    """One step of a run."""

    name: str
    work: Callable[[], Any]


def watched() -> bool:
    """Whether somebody looks on: yes, unless ``CANONLIB_PROGRESS`` is 0, as where chapters run by themselves."""
    return os.environ.get("CANONLIB_PROGRESS", "1") not in ("", "0")


class Run:
    """A tier's results; every property is computed once and kept.

    ``progress`` shows bars for what the store lacks (None: when ``watched()``); ``engine`` says where SAEs are trained.
    Raises ``ConfigError`` for a tier that needs the hub (not supported yet).
    """

    def __init__(
        self, tier: Tier, store: Store | None = None, progress: bool | None = None, engine: Engine | None = None
    ) -> None:
        if tier.needs_hub:
            raise ConfigError(
                f"tier {tier.name!r} needs {tier.sae_release or tier.model!r} from the hub; running it is not built yet. "
                "Use --tier world, which needs no network."
            )
        self.tier, self.store, self.engine = tier, store or Store(), engine
        self.progress = watched() if progress is None else progress
        self._families: dict[str, TrainedFamily] = {}
        self._evaluations: dict[str, list[dict[str, Any]]] = {}
        self._pairs: dict[tuple[str, int, int, int | None], Pair] = {}
        self._paths: dict[tuple[str, int | None], list[StoredPath]] = {}
        self._gathered: dict[str, list[dict[str, Any]]] = {}
        self._repeats: dict[str, list[dict[str, Any]]] = {}
        self._metas: dict[int, MetaResult] = {}

    @cached_property
    def lm(self) -> TransformerBridge:
        """The tier's model, a TransformerLens bridge."""
        from canonlib.world import model

        return model.load()

    @cached_property
    def data(self) -> Activations:
        """Harvested activations."""
        return activations.harvest(self.tier, self.store, self.progress)

    @cached_property
    def families(self) -> dict[str, TrainedFamily]:
        """All SAE families, by name."""
        every = self.tier.every_family
        trained = train_families(self.tier, every, self.store, self.data, self.progress, self.engine)
        return {t.family.name: t for t in trained}

    def family(self, name: str) -> TrainedFamily:
        """One family by name, trained without the others unless ``families`` is there; ConfigError lists the choices."""
        wanted = self.tier.family(name)
        if "families" in self.__dict__:  # the cached property, filled
            return self.families[name]
        if name not in self._families:
            trained = train_families(self.tier, (wanted,), self.store, self.data, self.progress, self.engine)
            self._families[name] = trained[0]
        return self._families[name]

    @cached_property
    def knowledge(self) -> dict[str, Any]:
        """What the world's model knows, and whether it is causal at the hook (see ``pipeline.knowledge``)."""
        return knowledge.measure(self.tier, self.store)

    def evaluation(self, name: str) -> list[dict[str, Any]]:
        """Table of one family, a row for each size (see ``sae.evaluation``)."""
        if name not in self._evaluations:
            self._evaluations[name] = evaluation.evaluate(
                self.tier, self.family(name), self.store, self.data, self.progress
            )
        return self._evaluations[name]

    @property
    def frontier(self) -> dict[str, list[dict[str, Any]]]:
        """By architecture, a row for each sparsity target at one dictionary size (see ``sae.evaluation``)."""
        return {family.architecture: self.evaluation(family.name) for family in self.tier.frontier}

    def pairs(self, name: str, seed: int | None = None) -> list[Pair]:
        """Insertion effects for each pair of neighbouring sizes of one family, of its first seed or the given one."""
        return self._stitch(name, stitching.neighbours, seed)

    def doublings(self, name: str) -> list[Pair]:
        """Insertion effects for each size and its double, where the family has both."""
        return self._stitch(name, stitching.doublings)

    def followed(self, name: str) -> Pair | None:
        """The pair that the stitching chapters follow, the middle one of the doublings; None where there is none."""
        doubled = self.doublings(name)
        return doubled[len(doubled) // 2] if doubled else None

    def all_pairs(self, name: str) -> list[Pair]:
        """Insertion effects for each size and every larger one."""
        return self._stitch(name, stitching.all_pairs)

    def losses(self, name: str, pair: Pair) -> dict[str, Any]:
        """What inserting single latents of that pair does to the next-token loss (see ``pipeline.losses``)."""
        return losses.losses(self.tier, self.family(name), pair, self.store, self.data, self.progress)

    def paths(self, name: str, order: str = paths.ORDERS[0]) -> list[StoredPath]:
        """From each size of one family to the next, the novel latents inserted in that order.

        Raises ``ConfigError`` listing the orders (``paths.ORDERS``) for another.
        """
        if order not in paths.ORDERS:
            raise unknown("order", order, paths.ORDERS)
        return [path for path in self._walk(name) if path.order == order]

    def repeats(self, name: str) -> list[dict[str, Any]]:
        """For each seed and pair of neighbouring sizes of one family, the stitching results (``pipeline.repeats``)."""
        if name not in self._repeats:
            trained = self.family(name)
            seeds = trained.family.seeds
            pairs, walked = {s: self.pairs(name, s) for s in seeds}, {s: self._walk(name, s) for s in seeds}
            self._repeats[name] = repeats.rows(self.tier, trained, pairs, walked, self.store, self.data, self.progress)
        return self._repeats[name]

    def gathered(self, name: str) -> list[dict[str, Any]]:
        """For each size of one family, the best dictionary from all of its SAEs (see ``pipeline.gathered``)."""
        if name not in self._gathered:
            self._gathered[name] = gathered.gathered(self.family(name), self.store, self.data, self.progress)
        return self._gathered[name]

    def _stitch(
        self, name: str, choose: Callable[[Sequence[int]], list[tuple[int, int]]], seed: int | None = None
    ) -> list[Pair]:
        trained = self.family(name)
        wanted = choose(trained.sizes)
        missing = [w for w in wanted if (name, *w, seed) not in self._pairs]
        bar = self.progress and bool(missing)
        for pair in stitching.stitch_pairs(trained, missing, self.store, self.data, bar, seed):
            self._pairs[name, pair.small, pair.large, seed] = pair
        return [self._pairs[(name, *w, seed)] for w in wanted]

    def _walk(self, name: str, seed: int | None = None) -> list[StoredPath]:
        """Every order's paths between neighbouring sizes."""
        if (name, seed) not in self._paths:
            trained = self.family(name)
            steps = stitching.neighbours(trained.sizes)
            followed = name == self.tier.families[0].name  # its paths are drawn with the model's loss at every point
            losses = {} if seed is not None else paths.FULL if followed else paths.FEW
            self._paths[name, seed] = paths.walk_paths(
                self.tier, trained, steps, self.store, self.data, self.progress, seed, losses
            )
        return self._paths[name, seed]

    @property
    def meta(self) -> MetaResult:
        """The meta-SAE of the first seed, its controls and its meta-latents' names."""
        return self.meta_of(0)

    def meta_of(self, seed: int) -> MetaResult:
        """The meta-SAE on the base SAE of that seed (see ``pipeline.metastage``)."""
        from canonlib.pipeline import metastage

        if seed not in self._metas:
            self._metas[seed] = metastage.meta_stage(self, seed)
        return self._metas[seed]

    @cached_property
    def meta_truth(self) -> list[dict[str, Any]]:
        """For each seed, its meta-SAE against the facts, other lists and smaller SAEs (see ``pipeline.metatruth``)."""
        from canonlib.pipeline import metaparts, metastage, metatruth

        metaparts.make_all(self)  # the sweep and the family with them, side by side
        return [metatruth.truth_stage(self, seed) for seed in metastage.seeds(self.tier)]

    @cached_property
    def meta_sweep(self) -> dict[str, Any]:
        """Variance explained by size, k, number of directions and recipe (see ``pipeline.metasweep``)."""
        from canonlib.pipeline import metasweep

        return metasweep.sweep_stage(self)

    @cached_property
    def meta_family(self) -> MetaFamily:
        """One meta-SAE on all sizes; replacement and adjacency (see ``pipeline.metafamily``)."""
        from canonlib.pipeline import metafamily

        return metafamily.family_stage(self)

    def _stitch_all(self, name: str) -> None:
        self.all_pairs(name)
        if (pair := self.followed(name)) is not None:
            self.losses(name, pair)
        self.paths(name)
        self.gathered(name)

    def stages(self) -> Iterator[Stage]:
        """Every stage in order."""
        yield Stage("model", lambda: self.knowledge)
        yield Stage("activations", lambda: self.data)
        yield Stage("SAE families", lambda: self.families)
        for family in self.tier.families:
            yield Stage(f"evaluate {family.name}", partial(self.evaluation, family.name))
        if self.tier.frontier:
            yield Stage("evaluate frontier", lambda: self.frontier)
        for family in self.tier.families:
            yield Stage(f"stitch {family.name}", partial(self._stitch_all, family.name))
        for family in self.tier.repeats:
            yield Stage(f"repeat {family.name}", partial(self.repeats, family.name))
        yield Stage("meta-SAEs", lambda: (self.meta_truth, self.meta_sweep, self.meta_family))
