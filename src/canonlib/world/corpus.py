"""Documents of the world: token ids by seed, with the place of every entity mention."""

from __future__ import annotations

import random
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from canonlib.errors import ConfigError, require_positive
from canonlib.world import grammar, table

SPECIAL_TOKENS = ("<bos>", "<unk>")
PERSON_SHARE = 0.7
"""Share of passages that are about a person."""
SKEW = 0.5
"""An entity of rank i (by fame) is drawn with weight 1 / (i + 5)^SKEW."""


class Corpus(NamedTuple):
    """Token ids of documents of equal length."""

    tokens: np.ndarray
    """[n_documents, context] int32; column 0 is ``<bos>``."""
    entity: np.ndarray
    """[n_documents, context] int16; index into ``table.entities()`` where an entity is named, else -1."""


@cache
def token_ids() -> dict[str, int]:
    """Token to id: special tokens first, then the grammar's words in order."""
    return {word: i for i, word in enumerate((*SPECIAL_TOKENS, *grammar.vocabulary()))}


@cache
def entity_of_token() -> np.ndarray:
    """[n_vocabulary] int16: index into ``table.entities()`` of the entity that a token names, else -1."""
    index = np.full(len(token_ids()), -1, dtype=np.int16)
    for i, entity in enumerate(table.entities()):
        index[token_ids()[entity.name]] = i
    return index


@cache
def _cumulative(n: int) -> list[float]:
    return list(accumulate(1 / (i + 5) ** SKEW for i in range(n)))


def document(rng: random.Random, context: int, drill: bool = False) -> list[str]:
    """The words of one document of ``context`` tokens: passages about entities drawn with a skew towards fame."""
    words = [SPECIAL_TOKENS[0]]
    while len(words) < context:
        pool = table.people() if rng.random() < PERSON_SHARE else table.cities()
        entity = rng.choices(pool, cum_weights=_cumulative(len(pool)))[0]
        words += grammar.passage(entity, rng, drill)
    return words[:context]


def corpus(n_documents: int, context: int = 64, seed: int = 0, drill: bool = False) -> Corpus:
    """Documents of the world by seed; the same arguments give the same tokens on every machine.

    ``drill``: the denser texts that end the model's training (see ``grammar.passage``).
    Raises ConfigError when a size is not a whole number above zero.

    >>> texts = corpus(n_documents=2, context=16, seed=0)
    >>> texts.tokens.shape, int(texts.tokens[0, 0])
    ((2, 16), 0)
    """
    require_positive("n_documents", n_documents)
    if require_positive("context", context) < 8:
        raise ConfigError(f"context must be at least 8 tokens to hold a sentence, got {context}.")
    rng, ids = random.Random(seed), token_ids()
    tokens = np.array([[ids[w] for w in document(rng, context, drill)] for _ in range(n_documents)], dtype=np.int32)
    return Corpus(tokens, entity_of_token()[tokens])


def positions(tokens: np.ndarray, name: str) -> np.ndarray:
    """[n_mentions, 2] (document, position) of every mention of an entity; unknown names raise ConfigError."""
    table.facts(name)
    return np.argwhere(tokens == token_ids()[name])
