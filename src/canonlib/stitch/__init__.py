"""SAE stitching: what each latent of a large SAE adds to a small one, and SAEs built of both."""

from canonlib.sae.kinds import require_independent
from canonlib.stitch.assembly import Part, combine, insert, swap
from canonlib.stitch.classes import Classes, Predictor, auc_interval, classify, cosine_predictor
from canonlib.stitch.gathering import Frankenstein, frankenstein
from canonlib.stitch.groups import Group, SwapEffects, swap_effects, swap_groups
from canonlib.stitch.insertion import InsertionEffects, insertion_effects
from canonlib.stitch.losses import InsertionLosses, insertion_losses
from canonlib.stitch.mixture import Change, Mixture
from canonlib.stitch.ordering import greedy_moves, greedy_order
from canonlib.stitch.path import Move, Path, plan, walk
from canonlib.stitch.pooling import Pool, pool
from canonlib.stitch.support import require_same_space, require_stitchable

__all__ = [
    "Change",
    "Classes",
    "Frankenstein",
    "Group",
    "InsertionEffects",
    "InsertionLosses",
    "Mixture",
    "Move",
    "Part",
    "Path",
    "Pool",
    "Predictor",
    "SwapEffects",
    "auc_interval",
    "classify",
    "combine",
    "cosine_predictor",
    "frankenstein",
    "greedy_moves",
    "greedy_order",
    "insert",
    "insertion_effects",
    "insertion_losses",
    "plan",
    "pool",
    "require_independent",
    "require_same_space",
    "require_stitchable",
    "swap",
    "swap_effects",
    "swap_groups",
    "walk",
]
