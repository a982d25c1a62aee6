"""Tiers: frozen profiles that say what we look at and with what budget.

A tier names the model, the hook point, the data, the SAE families and the meta-SAE. The same notebooks run on each.
``get("world", seed=1)`` gives a tier with fields overridden; every field is checked when the tier is made.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, Literal, NamedTuple

from canonlib.errors import ConfigError, require_positive, require_seed, unknown

Architecture = Literal["standard", "topk", "batchtopk", "matryoshka_batchtopk", "jumprelu", "gated"]
Tokens = Literal["all", "entities"]
TOPK_LIKE: tuple[str, ...] = ("topk", "batchtopk", "matryoshka_batchtopk")
"""Architectures whose sparsity is k, the number of active latents; the others' is the weight of a penalty."""
ARCHITECTURES: tuple[str, ...] = ("standard", "gated", "jumprelu", *TOPK_LIKE)
TOKENS: tuple[str, ...] = ("all", "entities")


class Member(NamedTuple):
    """What tells the SAEs of one family apart."""

    size: int
    """Dictionary size (number of latents)."""
    sparsity: float
    """k or the weight of the sparsity penalty."""
    seed: int
    """Added to the tier's seed."""


@dataclass(frozen=True)
class Family:
    """SAEs of one architecture on one set of tokens: one for each dictionary size, sparsity target and seed.

    Raises ``ConfigError`` naming the field that cannot work.

    >>> family = Family("topk", "all", sizes=(64, 128), sparsities=(4,), steps=1_000, batch=1_024, lr=1e-3)
    >>> family.name, family.members
    ('topk-all', (Member(size=64, sparsity=4, seed=0), Member(size=128, sparsity=4, seed=0)))
    """

    architecture: Architecture
    """SAELens's name: "standard" (ReLU + L1, the paper's), "gated", "jumprelu", "topk", "batchtopk" or
    "matryoshka_batchtopk" (nested dictionaries of an eighth, a quarter, a half and all of the latents)."""
    tokens: Tokens
    """Which tokens the SAEs see: all but ``<bos>``, or entity mentions only."""
    sizes: tuple[int, ...]
    """Dictionary sizes (numbers of latents), ascending."""
    sparsities: tuple[float, ...]
    """L1 coefficients (standard, gated), L0 coefficients (jumprelu) or numbers of active latents k (TopK-like)."""
    steps: int
    """Training steps."""
    batch: int
    """Activations per training step."""
    lr: float
    """Peak learning rate (Adam), falling to zero over the last fifth."""
    seeds: tuple[int, ...] = (0,)
    """Added to the tier's seed, one SAE for each."""
    label: str = ""
    """Tells families of one architecture on the same tokens apart."""

    @property
    def name(self) -> str:
        """Short name, such as ``standard-all``, with the label where there is one."""
        return f"{self.architecture}-{self.tokens}" + (f"-{self.label}" if self.label else "")

    @property
    def sparsity(self) -> float:
        """The first sparsity target, which most families have alone."""
        return self.sparsities[0]

    @property
    def members(self) -> tuple[Member, ...]:
        """One for each SAE, by size, then sparsity, then seed."""
        return tuple(Member(*choice) for choice in product(self.sizes, self.sparsities, self.seeds))

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise unknown("architecture", self.architecture, ARCHITECTURES)
        if self.tokens not in TOKENS:
            raise unknown("tokens", self.tokens, TOKENS)
        if not self.sizes:
            raise ConfigError("sizes must name at least one dictionary size, got none.")
        for size in self.sizes:
            require_positive("sizes", size)
        if list(self.sizes) != sorted(set(self.sizes)):
            raise ConfigError(f"sizes must ascend without repeats, got {self.sizes}.")
        for field in ("steps", "batch"):
            require_positive(field, getattr(self, field))
        for field, values in (("sparsities", self.sparsities), ("lr", (self.lr,))):
            if not values or not all(value > 0 for value in values):
                raise ConfigError(f"{field} must be above zero, got {getattr(self, field)!r}.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError(f"seeds must be whole numbers from 0 on without repeats, got {self.seeds}.")
        for seed in self.seeds:
            require_seed("seeds", seed)
        if self.architecture in TOPK_LIKE and max(self.sparsities) > self.sizes[0]:
            raise ConfigError(
                f"sparsities (k = {max(self.sparsities):g}) must not exceed the smallest dictionary size "
                f"({self.sizes[0]}): lower k or drop that size."
            )
        if self.architecture == "topk" and any(k != int(k) for k in self.sparsities):
            raise ConfigError(f"sparsities of a topk family must be whole numbers, got {self.sparsities}.")


@dataclass(frozen=True)
class Tier:
    """Model, hook point, data, SAE families and meta-SAE of one profile.

    Raises ``ConfigError`` naming the field that cannot work.
    """

    name: str
    model: str
    """"embedded" (ships with canonlib), or a model's name on the hub."""
    hook: str
    """Hook point of the activations, TransformerLens's name."""
    context: int
    """Tokens per document."""
    train_documents: int
    eval_documents: int
    families: tuple[Family, ...]
    meta_base: int
    """Dictionary size of the SAE whose decoder the meta-SAE is trained on."""
    meta_latents: int
    """Dictionary size of the meta-SAE."""
    meta_k: int = 4
    """Meta-latents active on average for each decoder direction (paper: 4)."""
    meta_steps: int | None = None
    """Training steps of every meta-SAE, whatever its recipe says; None leaves them to the recipes."""
    frontier: tuple[Family, ...] = ()
    """Families of one size at several sparsity targets, one for each architecture: who reconstructs best at equal L0."""
    repeats: tuple[Family, ...] = ()
    """Families of several seeds: does what holds for one SAE hold for the next?"""
    meta_bases: Family | None = None
    """SAEs of several seeds with ``meta_base`` latents: on the decoder of each a meta-SAE of its own is trained."""
    seed: int = 0
    sae_release: str | None = None
    """SAELens release to load the SAEs from; None when the SAEs are trained here."""

    @property
    def needs_hub(self) -> bool:
        """Whether the model or its SAEs are fetched from the hub."""
        return self.model != "embedded" or self.sae_release is not None

    def family(self, name: str) -> Family:
        """The family of that name; ConfigError lists the choices otherwise."""
        for family in self.every_family:
            if family.name == name:
                return family
        raise unknown("family", name, [f.name for f in self.every_family])

    @property
    def every_family(self) -> tuple[Family, ...]:
        """All families that are trained; some may share SAEs."""
        bases = () if self.meta_bases is None else (self.meta_bases,)
        return (*self.families, *self.frontier, *self.repeats, *bases)

    def __post_init__(self) -> None:
        for field in ("context", "train_documents", "eval_documents", "meta_base", "meta_latents", "meta_k"):
            require_positive(field, getattr(self, field))
        if self.meta_steps is not None:
            require_positive("meta_steps", self.meta_steps)
        require_seed("seed", self.seed)
        names = [f.name for f in self.every_family]
        if len(set(names)) < len(names):
            raise ConfigError(f"families must have names of their own, got {names}: give a label to one of them.")
        if self.meta_bases is not None and self.meta_base not in self.meta_bases.sizes:
            raise ConfigError(
                f"meta_bases must have SAEs of meta_base ({self.meta_base}) latents, got {self.meta_bases.sizes}."
            )
        if self.meta_k > self.meta_latents:
            raise ConfigError(f"meta_k ({self.meta_k}) must not exceed meta_latents ({self.meta_latents}).")


STITCHED_SIZES = (16, 20, 24, 32, 48, 64, 96, 128)
"""On all tokens, up to d_model: beyond it, most of what is left to explain is the shrinkage of the L1 penalty."""
ENTITY_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
"""On entity mentions: up to about two latents for each of the world's entities."""
FRONTIER_TARGETS: dict[Architecture, tuple[float, ...]] = {
    "standard": (0.25, 0.5, 1.0, 2.0),
    "gated": (0.5, 1.0, 2.0, 4.0),
    "jumprelu": (0.01, 0.03, 0.1, 0.3),
    "topk": (4, 8, 16),
    "batchtopk": (4, 8, 16),
    "matryoshka_batchtopk": (4, 8, 16),
}
"""Penalties and k that give comparable L0 on the world's tokens, some 4 to 20."""
FRONTIER = tuple(
    Family(architecture, "all", (256,), targets, steps=1_000, batch=1_024, lr=1e-3, label="frontier")
    for architecture, targets in FRONTIER_TARGETS.items()
)
SEEDS = (0, 1, 2, 3, 4)
REPEATS = (
    Family("standard", "all", (16, 32, 64, 128), (1.0,), steps=2_500, batch=1_024, lr=1e-3, seeds=SEEDS, label="seeds"),
    Family("batchtopk", "entities", (64, 128, 256, 512), (2,), steps=1_000, batch=1_024, lr=1e-3, seeds=SEEDS,
           label="seeds"),
)  # fmt: skip
"""The first seed's SAEs are members of the tier's families, and are trained once."""
META_BASES = Family(
    "batchtopk", "entities", (1024,), (2,), steps=1_000, batch=1_024, lr=1e-3, seeds=SEEDS, label="bases"
)
"""As in REPEATS, and for the meta-SAEs alone: the stitching chapters do not follow this size through all seeds."""
WORLD = Tier(
    name="world",
    model="embedded",
    hook="blocks.2.hook_resid_pre",
    context=64,
    train_documents=8_000,
    eval_documents=1_500,
    families=(
        Family("standard", "all", STITCHED_SIZES, sparsities=(1.0,), steps=2_500, batch=1_024, lr=1e-3),
        Family("batchtopk", "entities", ENTITY_SIZES, sparsities=(2,), steps=1_000, batch=1_024, lr=1e-3),
    ),
    meta_base=1_024,
    meta_latents=64,
    frontier=FRONTIER,
    repeats=REPEATS,
    meta_bases=META_BASES,
)
GPT2_SMALL = Tier(
    name="gpt2-small",
    model="gpt2",
    hook="blocks.8.hook_resid_pre",
    context=128,
    train_documents=4_000,
    eval_documents=1_000,
    families=(),
    meta_base=49_152,
    meta_latents=2_304,
    sae_release="gpt2-small-res-jb-feature-splitting",
)
TIERS: dict[str, Tier] = {t.name: t for t in (WORLD, GPT2_SMALL)}


def get(name: str, **overrides: Any) -> Tier:
    """The tier of that name, with fields overridden.

    Raises ConfigError for an unknown tier or field (with the nearest name suggested) and for a value that cannot work.

    >>> get("world", seed=1).meta_latents
    64
    >>> get("wrld")
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: unknown tier 'wrld'. Did you mean 'world'? Choose from: world, gpt2-small.
    """
    if name not in TIERS:
        raise unknown("tier", name, TIERS)
    names = [f.name for f in fields(Tier) if f.name != "name"]
    for key in overrides:
        if key not in names:
            raise unknown(f"field of tier {name!r}", key, names)
    return replace(TIERS[name], **overrides)
