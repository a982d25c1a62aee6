"""Meta-SAEs: is a latent atomic? SAEs on the decoder directions of another SAE, their controls and their names."""

from canonlib.meta.config import MetaConfig, MetaReport
from canonlib.meta.controls import random_directions, shuffled_coordinates, with_controls
from canonlib.meta.decomposition import Decomposition, Users, decompose, users
from canonlib.meta.model import MetaSAE, meta_activations, variance_explained
from canonlib.meta.naming import MetaName, name_meta_latents
from canonlib.meta.training import train_meta_sae

__all__ = [
    "Decomposition",
    "MetaConfig",
    "MetaName",
    "MetaReport",
    "MetaSAE",
    "Users",
    "decompose",
    "meta_activations",
    "name_meta_latents",
    "random_directions",
    "shuffled_coordinates",
    "train_meta_sae",
    "users",
    "variance_explained",
    "with_controls",
]
