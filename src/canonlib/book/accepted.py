"""The page that says what each function accepts: computed from what the functions declare, by trying every kind of SAE.

``python -m canonlib.book.accepted`` writes it (``make book`` does), and a test holds it against the code.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canonlib.book.catalogue import ROOMS, entries, room_modules
from canonlib.errors import ConfigError

if TYPE_CHECKING:
    from sae_lens import SAE

    from canonlib.sae import Need

PAGE = Path("book/api/accepts.md")
_D, _N = 4, 3
_HEAD = """# What each function accepts

Every function that takes an SAE declares what it needs of it, and checks it before it begins: the SAE is served rightly,
or refused with one line that says what it is and what to do. `canonlib.sae.open_sae` opens folders and releases behind
the same check; a training checkpoint is opened by SAELens alone. This page is computed from those declarations, by
trying each kind of SAE.

Four needs, each with all those before it:

- **decoder directions**: rows in the space that the SAE reads
- **activations**: a row at a time, encoded as it stands; a latent is active where it is above zero
- **reconstructions that are sums**: $\\hat{x} = b + \\sum_j f_j(x)\\, d_j$
- **independent latents**: each depends on the input alone, not on the others

Whatever the need, weights must be finite (but for thresholds of +∞ and encoder biases of -∞, with which a latent never
fires) and of the shapes that the configuration says. Half precisions are brought to float32 before anything is encoded.
Where a parameter is a matrix or an SAE, a matrix passes as it is.
"""


def declared() -> Iterator[tuple[str, dict[str, Need]]]:
    """Every public function that takes SAEs, by its full name, and what it needs of each parameter."""
    for room in ROOMS:
        for module in room_modules(f"canonlib.{room}"):
            for entry in entries(module):
                home, _, name = entry.home.rpartition(".")
                if entry.kind == "function" and hasattr(
                    found := getattr(importlib.import_module(home), name), "__takes__"
                ):
                    yield entry.name, found.__takes__


def kinds() -> dict[str, Callable[[], SAE[Any]]]:
    """A maker of a small SAE of each kind that SAELens knows, and of each way to scale or reshape its input."""
    import sae_lens as sl
    from sae_lens.saes import temporal_sae, transcoder

    sizes: dict[str, Any] = {"d_in": _D, "d_sae": _N}
    standard = (sl.StandardSAE, sl.StandardSAEConfig)

    def make(kind: Any, config: Any, **fields: Any) -> Callable[[], SAE[Any]]:
        def made() -> SAE[Any]:
            sae: SAE[Any] = kind(config(**sizes, **fields))
            return sae

        return made

    heads = {"reshape_activations": "hook_z"}
    across: dict[str, Any] = {"d_out": _D, "apply_b_dec_to_input": False}
    return {
        "ReLU": make(*standard),
        "JumpReLU (also saved BatchTopK and Matryoshka)": make(sl.JumpReLUSAE, sl.JumpReLUSAEConfig),
        "Gated": make(sl.GatedSAE, sl.GatedSAEConfig),
        "TopK": make(sl.TopKSAE, sl.TopKSAEConfig, k=2),
        "TopK, activations rescaled by decoder norms": make(
            sl.TopKSAE, sl.TopKSAEConfig, k=2, rescale_acts_by_decoder_norm=True
        ),
        "Matching pursuit": make(sl.MatchingPursuitSAE, sl.MatchingPursuitSAEConfig),
        "AbsTopK (negative activations)": make(sl.AbsTopKSAE, sl.AbsTopKSAEConfig, k=2),
        "BatchTopK in training": make(sl.BatchTopKTrainingSAE, sl.BatchTopKTrainingSAEConfig, k=2.0),
        "Matryoshka BatchTopK in training": make(
            sl.MatryoshkaBatchTopKTrainingSAE, sl.MatryoshkaBatchTopKTrainingSAEConfig, k=2.0, matryoshka_widths=[1, _N]
        ),
        "input scaled by layer norm": make(*standard, normalize_activations="layer_norm"),
        "input scaled to constant norm": make(*standard, normalize_activations="constant_norm_rescale"),
        "input scaling not folded": make(*standard, normalize_activations="expected_average_only_in"),
        "whitening not folded": make(*standard, normalize_activations="covariance_whitening"),
        "attention heads reshaped (hook_z)": make(*standard, **heads),
        "transcoder": make(transcoder.Transcoder, transcoder.TranscoderConfig, **across),
        "skip transcoder": make(transcoder.SkipTranscoder, transcoder.SkipTranscoderConfig, **across),
        "JumpReLU transcoder": make(transcoder.JumpReLUTranscoder, transcoder.JumpReLUTranscoderConfig, **across),
        "temporal SAE": make(temporal_sae.TemporalSAE, temporal_sae.TemporalSAEConfig, n_heads=1, bottleneck_factor=1),
    }


def served(make: Callable[[], SAE[Any]], need: Need) -> bool:
    """Whether an SAE of that kind passes the check for ``need``, which raises ``ConfigError`` for one that does not."""
    from canonlib.sae import require_dictionary

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sae = make()
    try:
        require_dictionary(sae, need)
    except ConfigError:
        return False
    return True


def page() -> str:
    """The page's Markdown."""
    from canonlib.sae import Need

    needs = list(Need)
    lines = [
        _HEAD,
        "## Kinds of SAE",
        "",
        "| kind | " + " | ".join(n.value for n in needs) + " |",
        "|---|---|---|---|---|",
    ]
    for kind, make in kinds().items():
        lines.append(f"| {kind} | " + " | ".join("✓" if served(make, need) else "–" for need in needs) + " |")
    lines += ["", "## Functions", "", "| function | needs |", "|---|---|"]
    for name, takes in sorted(declared()):
        by_need: dict[Need, list[str]] = {}
        for parameter, need in takes.items():
            by_need.setdefault(need, []).append(f"`{parameter}`")
        told = "; ".join(f"{', '.join(which)}: {need.value}" for need, which in by_need.items())
        lines.append(f"| {{py:obj}}`{name}` | {told} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
