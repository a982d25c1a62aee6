"""Novel, reconstruction and silent latents, and how well decoder cosine alone tells the first two apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.stitch.insertion import InsertionEffects


@dataclass(frozen=True, eq=False)
class Classes:
    """Three masks, bool ``[n_latents]``, of which exactly one holds for each latent of the large SAE."""

    novel: torch.Tensor
    reconstruction: torch.Tensor
    silent: torch.Tensor

    @property
    def n_novel(self) -> int:
        """Number of latents that lower the small SAE's error."""
        return int(self.novel.sum())

    @property
    def n_reconstruction(self) -> int:
        """Number of latents that fire and do not lower it."""
        return int(self.reconstruction.sum())

    @property
    def n_silent(self) -> int:
        """Number of latents that never fire, which belong to neither share."""
        return int(self.silent.sum())

    @property
    def share_novel(self) -> float:
        """Novel latents among those that fire; NaN when none fires."""
        firing = self.n_novel + self.n_reconstruction
        return self.n_novel / firing if firing else float("nan")


def classify(effects: InsertionEffects) -> Classes:
    """Class of every latent: novel when inserting it alone lowers the MSE (ΔMSE < 0), reconstruction when it does not
    (ΔMSE ≥ 0), silent when it never fires on these tokens, so that nothing is known of it (Leask et al. 2025).

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> from canonlib.stitch import insertion_effects
    >>> classes = classify(insertion_effects(small, large, truth.activations))
    >>> classes.novel.nonzero()[:, 0].tolist(), classes.share_novel
    ([6, 7, 8, 9, 10, 11], 0.5)
    """
    silent = effects.silent
    lowers = effects.delta_mse < 0
    return Classes(novel=lowers & ~silent, reconstruction=~lowers & ~silent, silent=silent)


def _empty() -> torch.Tensor:
    return torch.empty(0, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Predictor:
    """How well 'the maximum cosine is at most ``threshold``' predicts that a latent is novel.

    ``auc`` is the probability that a random novel latent has a lower cosine than a random reconstruction latent (ties
    count half). ``threshold`` maximises Youden's J = tpr - fpr, and ``accuracy`` is the share predicted rightly
    there. ``fpr``, ``tpr`` and ``thresholds``, ``[n_points]`` each, are the ROC curve, from -inf (nothing called novel)
    up. When only one class is present there is no curve: ``auc``, ``threshold`` and ``accuracy`` are None, and
    ``reason`` says why.
    """

    auc: float | None
    threshold: float | None
    accuracy: float | None
    share_novel: float
    n_novel: int
    n_reconstruction: int
    n_silent: int
    fpr: torch.Tensor = field(default_factory=_empty)
    tpr: torch.Tensor = field(default_factory=_empty)
    thresholds: torch.Tensor = field(default_factory=_empty)
    reason: str = ""

    def to_json(self) -> dict[str, float | int | str | None]:
        """The scalar figures as JSON-ready values (the share is None where no latent fires)."""
        names = ("auc", "threshold", "accuracy", "share_novel", "n_novel", "n_reconstruction", "n_silent", "reason")
        values = {name: getattr(self, name) for name in names}
        return {name: None if value != value else value for name, value in values.items()}


def cosine_predictor(cosine: torch.Tensor, effects: InsertionEffects) -> Predictor:
    """Score low maximum cosine ``[n_latents]`` (``compare.max_cosine(large, small)``) as a predictor of novelty.

    Silent latents are left out and counted. With a single class the result holds ``auc=None`` and a reason rather
    than an error, so that a table over many pairs of SAEs is complete. Raises ``ConfigError`` for a cosine of another
    length, or one that is not finite.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> from canonlib.compare import max_cosine
    >>> from canonlib.stitch import insertion_effects
    >>> found = cosine_predictor(max_cosine(large, small), insertion_effects(small, large, truth.activations))
    >>> found.auc, found.n_novel, found.n_reconstruction
    (1.0, 6, 6)
    """
    if tuple(cosine.shape) != (effects.n_latents,):
        raise ConfigError(
            f"cosine has shape {list(cosine.shape)} and the effects are of {effects.n_latents} latents: give the "
            "maximum cosine of each latent of the large SAE, max_cosine(large, small)."
        )
    if not bool(torch.isfinite(cosine).all()):
        raise ConfigError(f"cosine holds {int((~torch.isfinite(cosine)).sum())} values that are not finite.")
    classes = classify(effects)
    firing = ~classes.silent
    similarity, novel = cosine.double().cpu()[firing], classes.novel[firing]
    if bool(novel.all()) or not bool(novel.any()):
        return _no_curve(classes)
    return _curve(similarity, novel, classes)


def auc_interval(
    cosine: torch.Tensor, effects: InsertionEffects, level: float = 0.95, draws: int = 1_000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of ``cosine_predictor(...).auc`` for ``cosine`` ``[n_latents]``: latents drawn anew, with
    replacement, within each class.

    Classes keep their sizes, so every draw has an AUC. (NaN, NaN) when only one class is present. The interval knows
    nothing of latents that were not seen: when every novel latent lies below every other, it has no width, however few
    they are. Raises ``ConfigError`` as ``cosine_predictor`` does, for ``draws`` below 1 and a ``level`` not in (0, 1).
    """
    require_positive("draws", draws)
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level!r}.")
    if cosine_predictor(cosine, effects).auc is None:
        return float("nan"), float("nan")
    classes, similarity = classify(effects), cosine.double().cpu()
    novel, other = similarity[classes.novel.cpu()], similarity[classes.reconstruction.cpu()]
    generator = torch.Generator().manual_seed(seed)
    aucs = torch.tensor([_auc(_redrawn(novel, generator), _redrawn(other, generator)) for _ in range(draws)])
    low, high = aucs.double().quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)).tolist()
    return low, high


def _redrawn(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return values[torch.randint(len(values), (len(values),), generator=generator)]


def _auc(novel: torch.Tensor, other: torch.Tensor) -> float:
    """Share of pairs (novel, other) in which the novel one is lower; ties count half."""
    ranked = other.sort().values
    above = len(ranked) - torch.searchsorted(ranked, novel, right=True)
    tied_or_above = len(ranked) - torch.searchsorted(ranked, novel, right=False)
    return float((above + tied_or_above).double().mean()) / (2 * len(ranked))


def _no_curve(classes: Classes) -> Predictor:
    present = "novel" if classes.n_novel else "reconstruction" if classes.n_reconstruction else "silent"
    return Predictor(
        auc=None,
        threshold=None,
        accuracy=None,
        share_novel=classes.share_novel,
        n_novel=classes.n_novel,
        n_reconstruction=classes.n_reconstruction,
        n_silent=classes.n_silent,
        reason=f"every latent is {present}: an ROC curve needs novel and reconstruction latents",
    )


def _curve(similarity: torch.Tensor, novel: torch.Tensor, classes: Classes) -> Predictor:
    from sklearn.metrics import auc, roc_curve

    fpr, tpr, scores = roc_curve(novel.numpy(), -similarity.numpy(), drop_intermediate=False)
    best = int((tpr - fpr).argmax())
    threshold = float(-scores[best])
    return Predictor(
        auc=float(auc(fpr, tpr)),
        threshold=threshold,
        accuracy=float(((similarity <= threshold) == novel).double().mean()),
        share_novel=classes.share_novel,
        n_novel=classes.n_novel,
        n_reconstruction=classes.n_reconstruction,
        n_silent=classes.n_silent,
        fpr=torch.from_numpy(fpr.copy()),
        tpr=torch.from_numpy(tpr.copy()),
        thresholds=torch.from_numpy(-scores),
    )
