"""SAE stitching: what each latent of a large SAE adds to a small one, and SAEs built of both."""

from canonlib.stitch.assembly import Part, combine, insert, swap
from canonlib.stitch.classes import Classes, Predictor, auc_interval, classify, cosine_predictor
from canonlib.stitch.gathering import Frankenstein, frankenstein
from canonlib.stitch.greedy import Greedy, greedy_order
from canonlib.stitch.groups import Group, SwapEffects, swap_effects, swap_groups
from canonlib.stitch.insertion import InsertionEffects, insertion_effects
from canonlib.stitch.path import Move, Path, plan, walk
from canonlib.stitch.running import Running, Source, into, out, source
from canonlib.stitch.support import require_independent, require_same_space, require_stitchable

__all__ = [
    "Classes",
    "Frankenstein",
    "Greedy",
    "Group",
    "InsertionEffects",
    "Move",
    "Part",
    "Path",
    "Predictor",
    "Running",
    "Source",
    "SwapEffects",
    "auc_interval",
    "classify",
    "combine",
    "cosine_predictor",
    "frankenstein",
    "greedy_order",
    "insert",
    "insertion_effects",
    "into",
    "out",
    "plan",
    "require_independent",
    "require_same_space",
    "require_stitchable",
    "source",
    "swap",
    "swap_effects",
    "swap_groups",
    "walk",
]
