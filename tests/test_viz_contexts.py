"""Top contexts of latents, against texts read off by hand; tables with values that do not exist."""

from __future__ import annotations

import pytest
import torch

from canonlib.activations import Split
from canonlib.errors import ConfigError
from canonlib.viz import table, top_contexts

WORDS = ["<bos>", "the", "cat", "sat", "<dog>"]
DOCUMENTS = torch.tensor([[0, 1, 2, 3], [0, 1, 4, 3], [0, 1, 2, 3]])


def _split() -> Split:
    tokens = DOCUMENTS[:, 1:].flatten()
    return Split(
        activations=torch.zeros(9, 2),
        token=tokens,
        document=torch.arange(3).repeat_interleave(3),
        position=torch.arange(1, 4).repeat(3),
        entity=torch.full((9,), -1),
    )


def test_strongest_first_repeats_once_and_markup_escaped() -> None:
    latents = torch.zeros(9, 2)
    latents[2, 0], latents[5, 0], latents[8, 0] = 1.0, 2.0, 3.0  # "sat" in all documents, strongest in the third
    latents[4, 1] = 1.0
    cat, dog = top_contexts(latents, _split(), DOCUMENTS, WORDS, k=2, width=2)
    assert cat == ["the cat <b>sat</b>", "the &lt;dog&gt; <b>sat</b>"]
    assert dog == ["the <b>&lt;dog&gt;</b>"]  # neither <bos> nor tokens where it is silent


def test_width_and_silence() -> None:
    latents = torch.zeros(9, 2)
    latents[2, 0] = 1.0
    assert top_contexts(latents, _split(), DOCUMENTS, WORDS, width=1) == [["cat <b>sat</b>"], []]


def test_distinct_texts_end_in_different_tokens() -> None:
    latents = torch.zeros(9, 1)
    latents[2, 0], latents[5, 0], latents[4, 0] = 3.0, 2.0, 1.0  # "sat" twice, then "<dog>"
    (found,) = top_contexts(latents, _split(), DOCUMENTS, WORDS, k=2, width=1, distinct=True)
    assert found == ["cat <b>sat</b>", "the <b>&lt;dog&gt;</b>"]


def test_rows_must_be_the_splits() -> None:
    with pytest.raises(ConfigError, match=r"latents must be \[9, n_latents\]"):
        top_contexts(torch.zeros(8, 2), _split(), DOCUMENTS, WORDS)


def test_table_shows_a_dash_for_what_does_not_exist() -> None:
    rows = [{"a": None, "b": float("nan")}, {"a": 0.5, "b": 2}]
    shown = table(rows, {"a": ("A", ".0%"), "b": ("B", "")})._repr_markdown_()
    assert shown.splitlines()[2:] == ["| – | – |", "| 50% | 2 |"]
