"""Sparse autoencoders: training families of them, loading them, and the one definition of each metric."""

from canonlib.sae.dictionary import Need, require_dictionary
from canonlib.sae.io import open_sae

__all__ = ["Need", "open_sae", "require_dictionary"]
