"""Meta-SAEs: is a latent atomic? SAEs on the decoder directions of another SAE, their controls and their names."""

from canonlib.meta.config import MetaConfig, MetaReport
from canonlib.meta.controls import gaussian_directions, random_directions, shuffled_coordinates, with_controls
from canonlib.meta.decomposition import Decomposition, Users, decompose, users
from canonlib.meta.model import MetaSAE, meta_activations, variance_explained
from canonlib.meta.naming import BEYOND_CHANCE, MetaName, name_meta_latents
from canonlib.meta.training import held_out_variance, train_meta_sae

__all__ = [
    "BEYOND_CHANCE",
    "Decomposition",
    "MetaConfig",
    "MetaName",
    "MetaReport",
    "MetaSAE",
    "Users",
    "decompose",
    "gaussian_directions",
    "held_out_variance",
    "meta_activations",
    "name_meta_latents",
    "random_directions",
    "shuffled_coordinates",
    "train_meta_sae",
    "users",
    "variance_explained",
    "with_controls",
]
