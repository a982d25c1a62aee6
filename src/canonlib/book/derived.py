"""Where the book derives what no cell calls by name: the section that explains it, for modules and single names.

Many names of the library work behind those that the cells call: a path is planned and walked by ``Run.paths``. Their
entries of the API lead to these sections, and the chapters' lists lead back. A name that a cell uses in view needs no
entry here (``usage`` finds it); the key that fits a name best counts.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from canonlib.book.catalogue import ROOMS, Entry, entries, room_modules

WORKSHOP = ("errors", "machine", "store", "processes", "viz", "explore", "book")
"""Rooms that no chapter derives: how results are kept, drawn, shown and printed."""


class Place(NamedTuple):
    """A section of a chapter."""

    chapter: str
    """Stem of the notebook, such as ``03-stitching``."""
    heading: str
    """The section's heading, as it stands there."""


_ONE, _TWO, _THREE, _FOUR, _FIVE, _SIX, _SEVEN = (
    "01-canonical", "02-training", "03-stitching", "04-paths", "05-meta-saes", "06-truth", "07-findings",
)  # fmt: skip
_WORLD = Place(_ONE, "A world whose facts we wrote")
_FAMILIES = Place(_TWO, "Two families, and why they see different tokens")
_GRADIENT = Place(_TWO, "The gradient, by hand")
_WATCHED = Place(_TWO, "Training, watched")
_NUMBERS = Place(_TWO, "Five numbers")
_LATENTS = Place(_TWO, "What the latents are about")
_EFFECT = Place(_THREE, "What one latent does, in words and in an equation")
_DIRECTIONS = Place(_THREE, "Seeing it in the directions")
_MODEL = Place(_THREE, "Does the model agree?")
_PARTNERS = Place(_FOUR, "Who stands for whom?")
_WAY = Place(_FOUR, "The whole way")
_ORDER = Place(_FOUR, "Does the order matter?")
_BEST = Place(_FOUR, "The best of all lists")
_SEEDS = Place(_FOUR, "Five seeds")
_ARROWS = Place(_FIVE, "An autoencoder for arrows")
_ALL_ROWS = Place(_FIVE, "Does it work on all rows?")
_CHOICES = Place(_FIVE, "How much it depends on what you choose")
_SIZES = Place(_FIVE, "One list of parts for all sizes")
_NOBODY = Place(_FIVE, "Where nobody knows the truth")
_JUDGED = Place(_SIX, "Judged by others")

DERIVED: dict[str, Place] = {
    "canonlib.tiers": _FAMILIES,
    "canonlib.tiers.FRONTIER_TARGETS": Place(_TWO, "The frontier"),
    "canonlib.tiers.REPEATS": _SEEDS,
    "canonlib.tiers.META_BASES": _ALL_ROWS,
    "canonlib.world": _WORLD,
    "canonlib.world.causal": Place(_ONE, "Where it keeps what it knows"),
    "canonlib.world.match": _LATENTS,
    "canonlib.world.model": Place(_ONE, "Its model"),
    "canonlib.world.questions": Place(_ONE, "What it knows"),
    "canonlib.world.training": Place(_ONE, "Doubt: did we find the facts, or only the name?"),
    "canonlib.activations": _FAMILIES,
    "canonlib.rows": _WATCHED,
    "canonlib.contexts": Place(_FIVE, "Meta-latents read text"),
    "canonlib.toy": Place(_TWO, "Four directions for every coordinate"),
    "canonlib.sae": _WATCHED,
    "canonlib.sae.architectures": Place(_TWO, "The frontier"),
    "canonlib.sae.cluster": _FAMILIES,
    "canonlib.sae.engine": _FAMILIES,
    "canonlib.sae.entries": _GRADIENT,
    "canonlib.sae.evaluation": _NUMBERS,
    "canonlib.sae.family": _FAMILIES,
    "canonlib.sae.fast": _GRADIENT,
    "canonlib.sae.gradients": _GRADIENT,
    "canonlib.sae.group": _FAMILIES,
    "canonlib.sae.metrics": _NUMBERS,
    "canonlib.sae.preselect": _GRADIENT,
    "canonlib.sae.select": _GRADIENT,
    "canonlib.sae.selectivity": _LATENTS,
    "canonlib.compare": _DIRECTIONS,
    "canonlib.compare.Pairs": _PARTNERS,
    "canonlib.compare.pairs_above": _PARTNERS,
    "canonlib.compare.shared_latents": _SEEDS,
    "canonlib.intervals": _SEEDS,
    "canonlib.stitch": _EFFECT,
    "canonlib.stitch.assembly": Place(_FOUR, "Put in, take out"),
    "canonlib.stitch.classes": _DIRECTIONS,
    "canonlib.stitch.gathering": _BEST,
    "canonlib.stitch.groups": _PARTNERS,
    "canonlib.stitch.losses": _MODEL,
    "canonlib.stitch.mixture": _WAY,
    "canonlib.stitch.ordering": _ORDER,
    "canonlib.stitch.path": _WAY,
    "canonlib.stitch.pooling": _WAY,
    "canonlib.stitch.support": Place(_THREE, "Doubt, third: another kind of SAE"),
    "canonlib.meta": _ARROWS,
    "canonlib.meta.adjacency": Place(_SIX, "Two graphs"),
    "canonlib.meta.baselines": Place(_SIX, "How good could it be?"),
    "canonlib.meta.controls": _ALL_ROWS,
    "canonlib.meta.decomposition": Place(_FIVE, "The parts of one latent"),
    "canonlib.meta.evidence": _NOBODY,
    "canonlib.meta.model": Place(_FIVE, "By hand, then by library"),
    "canonlib.meta.naming": Place(_SIX, "Are the parts facts?"),
    "canonlib.meta.recipes": _CHOICES,
    "canonlib.meta.replacement": Place(_SIX, "Nearer to small SAEs than to chance"),
    "canonlib.meta.splitting": _SIZES,
    "canonlib.meta.truth": _JUDGED,
    "canonlib.meta.truth.FactFate": Place(_SIX, "Which facts are never found, and why?"),
    "canonlib.meta.truth.fates": Place(_SIX, "Which facts are never found, and why?"),
    "canonlib.judge": _NOBODY,
    "canonlib.pipeline": _FAMILIES,
    "canonlib.pipeline.gathered": _BEST,
    "canonlib.pipeline.knowledge": Place(_ONE, "What it knows"),
    "canonlib.pipeline.losses": _MODEL,
    "canonlib.pipeline.metafamily": _SIZES,
    "canonlib.pipeline.metaparts": _JUDGED,
    "canonlib.pipeline.metastage": _ALL_ROWS,
    "canonlib.pipeline.metasweep": _CHOICES,
    "canonlib.pipeline.metatruth": _JUDGED,
    "canonlib.pipeline.paths": _ORDER,
    "canonlib.pipeline.repeats": _SEEDS,
    "canonlib.pipeline.stitching": Place(_THREE, "Every pair of sizes"),
    "canonlib.claims": Place(_SEVEN, "All claims"),
    "canonlib.exercises": Place(_ONE, "Exercises"),
}
"""Full name of a module, or of a name where it is defined, and the section that derives what lies in it."""


def place_of(home: str) -> Place | None:
    """The section that derives the name defined as ``home``; None for one that no chapter derives.

    >>> place_of("canonlib.stitch.path.plan")
    Place(chapter='04-paths', heading='The whole way')
    """
    parts = home.split(".")
    keys = (".".join(parts[:n]) for n in range(len(parts), 1, -1))
    return next((DERIVED[key] for key in keys if key in DERIVED), None)


@cache
def derived_names() -> dict[str, tuple[Entry, Place]]:
    """Every entry of the reference that has such a section, by its name."""
    every = [e for room in ROOMS for module in room_modules(f"canonlib.{room}") for e in entries(module)]
    found = ((entry, place_of(entry.home)) for entry in every)
    return {entry.name: (entry, place) for entry, place in found if place is not None}
