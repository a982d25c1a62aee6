"""Which SAEs can be stitched exactly, and a reason and a remedy for those that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from canonlib.sae.dictionary import Need, require_dictionary
from canonlib.sae.space import require_one_space

if TYPE_CHECKING:
    from sae_lens import SAE


def one_space(small: SAE[Any], large: SAE[Any], called: tuple[str, str] = ("the small SAE", "the large SAE")) -> None:
    """Raise ``ConfigError`` unless both SAEs read one activation space, as far as their metadata say."""
    require_one_space(small, large, called, "To stitch,")


def require_same_space(small: SAE[Any], large: SAE[Any]) -> None:
    """Raise ``ConfigError`` unless both SAEs read and write one activation space, in which reconstructions add up.

    Compared are ``d_in``, input scaling, and what both SAEs know of their model and hook point: see
    ``canonlib.sae.space``.
    """
    one_space(small, large)
    require_dictionary(small, Need.SUM, "the small SAE")
    require_dictionary(large, Need.SUM, "the large SAE")


def require_stitchable(small: SAE[Any], large: SAE[Any]) -> None:
    """Raise ``ConfigError`` unless both SAEs have independent latents and share one activation space.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> require_stitchable(small, large)  # two ReLU SAEs in one space: nothing to complain of
    """
    require_dictionary(small, Need.INDEPENDENT, "the small SAE")
    require_dictionary(large, Need.INDEPENDENT, "the large SAE")
    one_space(small, large)
