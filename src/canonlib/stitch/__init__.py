"""SAE stitching: what each latent of a large SAE adds to a small one, and SAEs built of both."""

from canonlib.stitch.classes import Classes, Predictor, auc_interval, classify, cosine_predictor
from canonlib.stitch.insertion import InsertionEffects, insert, insertion_effects
from canonlib.stitch.support import require_independent, require_same_space, require_stitchable

__all__ = [
    "Classes",
    "InsertionEffects",
    "Predictor",
    "auc_interval",
    "classify",
    "cosine_predictor",
    "insert",
    "insertion_effects",
    "require_independent",
    "require_same_space",
    "require_stitchable",
]
