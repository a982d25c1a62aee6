"""Meta-SAEs: is a latent atomic? SAEs on the decoder directions of another SAE, their controls and their names."""

from canonlib.meta.adjacency import Overlap, shared_part_overlap
from canonlib.meta.baselines import Pursuit, attribute_parts, cluster_parts, drawn_parts, principal_parts, pursue
from canonlib.meta.config import MetaConfig, MetaReport
from canonlib.meta.controls import (
    gaussian_directions,
    random_directions,
    shuffled_coordinates,
    untrained_directions,
    with_controls,
)
from canonlib.meta.decomposition import Decomposition, Users, decompose, users
from canonlib.meta.evidence import MetaEvidence, gather_evidence, output_words, readings
from canonlib.meta.model import MetaSAE, meta_activations, variance_explained
from canonlib.meta.naming import FALSE_NAMES, MetaName, name_meta_latents
from canonlib.meta.recipes import RECIPES, recipe
from canonlib.meta.replacement import replace_parts
from canonlib.meta.splitting import Dictionaries, Split, SplitCounts, count_splits, parents, split_tree, stack
from canonlib.meta.training import held_out_variance, train_meta_sae
from canonlib.meta.truth import FactFate, PartScore, fates, rare_facts, score_parts

__all__ = [
    "FALSE_NAMES",
    "RECIPES",
    "Decomposition",
    "Dictionaries",
    "FactFate",
    "MetaConfig",
    "MetaEvidence",
    "MetaName",
    "MetaReport",
    "MetaSAE",
    "Overlap",
    "PartScore",
    "Pursuit",
    "Split",
    "SplitCounts",
    "Users",
    "attribute_parts",
    "cluster_parts",
    "count_splits",
    "decompose",
    "drawn_parts",
    "fates",
    "gather_evidence",
    "gaussian_directions",
    "held_out_variance",
    "meta_activations",
    "name_meta_latents",
    "output_words",
    "parents",
    "principal_parts",
    "pursue",
    "random_directions",
    "rare_facts",
    "readings",
    "recipe",
    "replace_parts",
    "score_parts",
    "shared_part_overlap",
    "shuffled_coordinates",
    "split_tree",
    "stack",
    "train_meta_sae",
    "untrained_directions",
    "users",
    "variance_explained",
    "with_controls",
]
