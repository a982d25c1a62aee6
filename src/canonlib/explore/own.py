"""An explorer of one's own: an SAE and its meta-SAE from folders, and texts read by the model they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canonlib.errors import ConfigError
from canonlib.explore import names as named
from canonlib.explore.opening import open_model, recipe_for, require_hook
from canonlib.explore.reading import read_documents, read_texts
from canonlib.explore.subject import Smaller, Subject, Texts, seeded_start
from canonlib.meta.model import MetaSAE
from canonlib.rows import Rows
from canonlib.sae.dictionary import Need
from canonlib.sae.io import open_sae
from canonlib.sae.metrics import Reconstruction, reconstruction
from canonlib.sae.space import hook_identity, known, require_one_space, same_model

if TYPE_CHECKING:
    from sae_lens import SAE

FIT_TOKENS = 16_384
"""Tokens of the texts on which L0 and FVU are measured."""
FAR_BELOW = 0.1
"""Share of the variance that a meta-SAE may explain less of, on these directions, than its report says."""


def own_subject(
    sae: Path, meta: Path, smaller: Sequence[Path] = (), *, texts: Path | None = None, model: str | None = None,
    hook: str | None = None, names: Path | None = None, meta_names: Path | None = None, context: int | None = None,
    max_norm: float | None = None, progress: bool = True, tell: Callable[[str], None] = lambda told: None,
) -> Subject:  # fmt: skip
    """What ``canonlib explore`` shows of SAELens folders ``sae`` and ``smaller`` and the meta-SAE folder ``meta``.

    texts: a file with one document a line, or ``.jsonl`` with a ``text`` each; without it there are no top texts, no
        output tokens and no classes.
    model, hook, context: read the texts; by default those that the SAE's own metadata name. A folder or a hub name.
    max_norm: leave out tokens whose norm is more than this many times the median.
    names, meta_names: JSON, ``{"12": "a name"}``; for ``meta_names`` also what ``canonlib interpret --out`` writes.
    tell: is called with what the reader should know and is no error.

    Raises ``ConfigError`` naming the option that cannot be used, ``ModelError`` for a model that cannot be opened.
    """
    given = {"--model": model, "--hook": hook, "--context": context, "--max-norm": max_norm}
    for option, value in given.items():
        if value is not None and texts is None:
            raise ConfigError(f"{option} says how texts are read: give --texts too, or leave it out.")
    need = Need.DIRECTIONS if texts is None else Need.SUM
    base, opened = open_sae(sae, called="--sae", need=need, tell=tell), MetaSAE.load(meta, called="--meta", tell=tell)
    n = int(base.cfg.d_sae)
    others = sorted((_open_smaller(folder, base, tell) for folder in smaller), key=lambda s: int(s.cfg.d_sae))
    _require_width(base, opened)
    called = named.latent_names(names, n) if names else []
    parts = named.meta_names(meta_names, opened.n_latents) if meta_names else None
    _compare(opened, base, tell)
    lm, read, fit = None, None, None
    if texts is not None:
        documents = read_documents(texts)
        name, point = model or _metadata(base, "model_name", "--model"), hook or _metadata(base, "hook_name", "--hook")
        lm = open_model(name, base, tell)
        require_hook(lm, point, int(base.cfg.d_in))
        _tell_others(base, name, point, tell)
        read = read_texts(lm, documents, point, recipe_for(base, lm, context, tell), progress, max_norm)
        read = replace(read, source=f"{name} at {point}")
        fit = _fit(base, read, tell)
    return Subject(
        title=f"{sae.resolve().name}: {n:,} latents",
        sae=base, meta=opened, texts=read, lm=lm, fit=fit,
        smaller=[Smaller(s, f"{int(s.cfg.d_sae):,} latents") for s in others],
        names=called,
        meta_names=parts.names if parts else [],
        meta_scores=parts.scores if parts else [],
        meta_score="accuracy",
        start=[j for j, name in enumerate(called) if name][:12] or seeded_start(n, min(8, n)),
    )  # fmt: skip


def _open_smaller(folder: Path, base: SAE[Any], tell: Callable[[str], None]) -> SAE[Any]:
    sae, n = open_sae(folder, called="--smaller", tell=tell), int(base.cfg.d_sae)
    if int(sae.cfg.d_sae) >= n:
        raise ConfigError(f"--smaller {folder} has {int(sae.cfg.d_sae):,} latents, and --sae {n:,}: give smaller ones.")
    require_one_space(sae, base, (f"--smaller {folder}", "--sae"), "To show them side by side,", tell)
    return sae


def _fit(base: SAE[Any], texts: Texts, tell: Callable[[str], None]) -> Reconstruction | None:
    """L0 and FVU on a sample of the texts' tokens; None, and told why, where they are not defined."""
    try:
        return reconstruction(base, Rows([texts.split.activations]).scattered(FIT_TOKENS), tell=tell)
    except ConfigError as exc:
        tell(f"how well --sae reconstructs --texts cannot be said: {exc}")
        return None


def _tell_others(base: SAE[Any], name: str, point: str, tell: Callable[[str], None]) -> None:
    """Tell when texts are read by another model, or at another hook point, than the SAE's metadata name."""
    said, hook = known(base, "model_name"), known(base, "hook_name")
    if said is not None and not same_model(said, name):
        tell(f"texts are read by {name}, and the SAE's metadata name {said}.")
    if hook is not None and hook_identity(hook) != hook_identity(point):
        tell(f"texts are read at {point}, and the SAE's metadata name {hook}.")


def _require_width(base: SAE[Any], meta: MetaSAE) -> None:
    ours, theirs = int(base.cfg.d_in), int(meta.sae.cfg.d_in)
    if ours != theirs:
        raise ConfigError(f"--meta has d_model {theirs} and --sae {ours}: give the meta-SAE of this SAE's decoder.")


def _compare(meta: MetaSAE, base: SAE[Any], tell: Callable[[str], None]) -> None:
    """Tell when the meta-SAE seems to be of another SAE."""
    from canonlib.meta import variance_explained

    rows = base.W_dec.detach().float()
    rows = rows[rows.norm(dim=1) > 0]
    report, n = meta.report, len(rows)
    if report.n_directions > n:
        tell(
            f"--meta was trained on {report.n_directions:,} directions, and --sae has {n:,}: is it another SAE's, or of "
            "several SAEs together?"
        )
        return
    explained = variance_explained(meta, rows)
    if explained < report.variance_explained - FAR_BELOW:
        fewer = f" (it was trained on {report.n_directions:,} of them at most)" if report.n_directions < n else ""
        tell(
            f"--meta explains {explained:.0%} of the variance of the {n:,} directions of --sae{fewer}, and "
            f"{report.variance_explained:.0%} of those it was trained on: is it another SAE's?"
        )


def _metadata(sae: SAE[Any], name: str, option: str) -> str:
    found = known(sae, name)
    if found is None:
        raise ConfigError(f"the SAE does not say its {name}: give {option}.")
    return str(found)
