"""Tiers: frozen profiles that say what we look at and with what budget.

A tier names the model, the hook point, the data, the SAE families and the meta-SAE. The same notebooks run on each.
``get("world", seed=1)`` gives a tier with fields overridden; every field is checked when the tier is made.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from canonlib.errors import ConfigError, require_positive, unknown

Architecture = Literal["standard", "batchtopk"]
Tokens = Literal["all", "entities"]
ARCHITECTURES: tuple[str, ...] = ("standard", "batchtopk")
TOKENS: tuple[str, ...] = ("all", "entities")


@dataclass(frozen=True)
class Family:
    """SAEs of one architecture on one set of tokens, one SAE for each dictionary size."""

    architecture: Architecture
    """"standard" (ReLU + L1, the paper's) or "batchtopk"."""
    tokens: Tokens
    """Which tokens the SAEs see: all but ``<bos>``, or entity mentions only."""
    sizes: tuple[int, ...]
    """Dictionary sizes (numbers of latents), ascending."""
    sparsity: float
    """L1 coefficient (standard) or average number of active latents k (batchtopk)."""
    steps: int
    """Training steps."""
    batch: int
    """Activations per training step."""
    lr: float
    """Peak learning rate (Adam), falling to zero over the last fifth."""

    @property
    def name(self) -> str:
        """Short name, such as ``standard-all``."""
        return f"{self.architecture}-{self.tokens}"

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
        for field in ("sparsity", "lr"):
            if not getattr(self, field) > 0:
                raise ConfigError(f"{field} must be above zero, got {getattr(self, field)!r}.")


@dataclass(frozen=True)
class Tier:
    """Model, hook point, data, SAE families and meta-SAE of one profile."""

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
    seed: int = 0
    sae_release: str | None = None
    """SAELens release to load the SAEs from; None when the SAEs are trained here."""

    @property
    def needs_hub(self) -> bool:
        """Whether the model or its SAEs are fetched from the hub."""
        return self.model != "embedded" or self.sae_release is not None

    def family(self, name: str) -> Family:
        """The family of that name; ConfigError lists the choices otherwise."""
        for family in self.families:
            if family.name == name:
                return family
        raise unknown("family", name, [f.name for f in self.families])

    def __post_init__(self) -> None:
        for field in ("context", "train_documents", "eval_documents", "meta_base", "meta_latents", "meta_k"):
            require_positive(field, getattr(self, field))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(f"seed must be a whole number of at least 0, got {self.seed!r}.")
        if self.meta_k > self.meta_latents:
            raise ConfigError(f"meta_k ({self.meta_k}) must not exceed meta_latents ({self.meta_latents}).")


STITCHED_SIZES = (16, 20, 24, 32, 48, 64, 96, 128)
"""On all tokens, up to d_model: beyond it, most of what is left to explain is the shrinkage of the L1 penalty."""
ENTITY_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
"""On entity mentions: up to about two latents for each of the world's entities."""
WORLD = Tier(
    name="world",
    model="embedded",
    hook="blocks.2.hook_resid_pre",
    context=64,
    train_documents=8_000,
    eval_documents=1_500,
    families=(
        Family("standard", "all", STITCHED_SIZES, sparsity=1.0, steps=2_500, batch=1_024, lr=1e-3),
        Family("batchtopk", "entities", ENTITY_SIZES, sparsity=2, steps=1_000, batch=1_024, lr=1e-3),
    ),
    meta_base=1_024,
    meta_latents=64,
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
    """
    if name not in TIERS:
        raise unknown("tier", name, TIERS)
    names = [f.name for f in fields(Tier) if f.name != "name"]
    for key in overrides:
        if key not in names:
            raise unknown(f"field of tier {name!r}", key, names)
    return replace(TIERS[name], **overrides)
