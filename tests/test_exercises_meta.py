"""The checks of chapter 5: right answers, each slip by its name, no answer and nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from saehelpers import random_sae

from canonlib import exercises
from canonlib.compare import decoder_directions, nearest
from canonlib.meta import MetaConfig, MetaName, MetaReport, MetaSAE, meta_activations, variance_explained

ROWS = 3 * torch.randn(40, 12, generator=torch.Generator().manual_seed(3)) + 0.4
SEEN, UNSEEN = ROWS[:28], ROWS[28:]


@pytest.fixture(scope="module")
def meta() -> MetaSAE:
    sae = random_sae("jumprelu", 8, dtype="float32")
    with torch.no_grad():
        sae.threshold.fill_(0.15)
        sae.b_enc.add_(1.0)
    report = MetaReport(**{**dict.fromkeys(MetaReport.__dataclass_fields__, 0.0), "threshold": 0.15, "loss": ()})
    return MetaSAE(sae.requires_grad_(False), MetaConfig(n_latents=8, k=2), report)


def activations(meta: MetaSAE, d: torch.Tensor, *, b: Any = None, c: Any = None, cut: Any = None) -> torch.Tensor:
    """The four lines of the chapter, each of which can be left out."""
    sae = meta.sae
    z = ((d - (sae.b_dec if b is None else b)) @ sae.W_enc + (sae.b_enc if c is None else c)).relu()
    return z * (z > (0.15 if cut is None else cut))


def test_activations_by_hand_are_the_librarys(meta: MetaSAE) -> None:
    for row, right in zip(ROWS, meta_activations(meta, ROWS)):
        assert exercises.check_meta_activations(right, meta, row)
        assert exercises.check_meta_activations(right.tolist(), meta, row)


def test_each_slip_of_the_encoding_is_named(meta: MetaSAE) -> None:
    below = activations(meta, decoder_directions(ROWS), cut=0.0) > 0
    below &= meta_activations(meta, ROWS) == 0  # where the threshold matters
    row = ROWS[int(below.sum(1).argmax())]
    d = row / row.norm()
    slips = {
        "scale it to length 1": activations(meta, row),
        "encode d - b": activations(meta, d, b=0.0),
        "encoder bias c is missing": activations(meta, d, c=0.0),
        "threshold is missing": activations(meta, d, cut=0.0),
        "not subtracted": (activations(meta, d, cut=0.0) - 0.15).relu(),
        "shape is [3]": torch.zeros(3),
        "values differ": torch.full((8,), 9.0),
        "A tensor is asked for": "latent",
    }
    for words, answer in slips.items():
        found = exercises.check_meta_activations(answer, meta, row)
        assert found.right is False and words in found.message, (words, str(found))
    assert exercises.check_meta_activations(None, meta, row).right is None


def name(m: int, fact: str | None, q: float) -> MetaName:
    return MetaName(m, fact, 0.5, 0.5, 0.5, 5, 0.2, q, q)


NAMES = [name(0, "country=Germany", 0.01), name(1, "country=France", 0.01), name(2, "letter=E", 0.6),
         name(3, "field=science", 0.04), name(4, None, 0.001), name(5, "laureate=no", 0.02)]  # fmt: skip
FACTS = {"country": "Germany", "letter": "E", "field": "science", "laureate": "yes"}


@pytest.mark.parametrize(("answer", "right", "words"), [
    ((4, 2), True, "4 named, 2"),
    (torch.tensor([4, 2]), True, "Right"),
    ((6, 3), False, "only where q is below 0.05"),
    ((4, 3), False, "unnamed parts too"),
    ((2, 4), False, "other way round"),
    (4, False, "shape"),
    ((1, 1), False, "values differ"),
    (None, None, "No answer yet"),
])  # fmt: skip
def test_named_and_true(answer: Any, right: bool | None, words: str) -> None:
    found = exercises.check_named_parts(answer, [0, 1, 2, 3, 4, 5], NAMES, FACTS)
    assert found.right is right and words in found.message, str(found)


def test_names_that_are_not_true_are_told_apart() -> None:
    found = exercises.check_named_parts((3, 1), torch.tensor([0, 1, 3]), NAMES, FACTS)
    assert found.right is False and "*not* true" in found.message


def test_the_least_composed_latents(meta: MetaSAE) -> None:
    rebuilt = meta.sae.decode(meta_activations(meta, ROWS))
    numbers = torch.arange(40) * 3 + 100
    left = (decoder_directions(ROWS) - rebuilt).norm(dim=1)
    likeness = nearest(decoder_directions(ROWS), meta.sae.W_dec).cosine[:, 0]
    one, other = int(likeness.argmax()), int(left.argmax())
    assert one != other
    answers = {
        "Right": (numbers[one], numbers[other]),
        "places in the list": (one, other),
        "other way round": (numbers[other], numbers[one]),
        "rebuilt *best*": (numbers[one], numbers[left.argmin()]),
        "*least* like": (numbers[likeness.argmin()], numbers[other]),
        "may take several parts": (numbers[left.argmin()], numbers[other]),
        "values differ": (1000, 2000),
    }
    for words, answer in answers.items():
        found = exercises.check_least_composed(answer, numbers, ROWS, rebuilt, meta.sae.W_dec)
        assert words in found.message and found.right is (words == "Right"), (words, str(found))
    assert exercises.check_least_composed(..., numbers, ROWS, rebuilt, meta.sae.W_dec).right is None


def test_variance_of_rows_held_out(meta: MetaSAE) -> None:
    d, kept = decoder_directions(UNSEEN).double(), decoder_directions(SEEN).double()
    error = (d - meta.sae.decode(meta.sae.encode(d.float())).double()).square().sum()
    raw = (UNSEEN - meta.sae.decode(meta.sae.encode(UNSEEN))).double().square().sum()
    right = variance_explained(meta, UNSEEN)
    answers = {
        "Right": right,
        "in sample": variance_explained(meta, SEEN),
        "over all rows": variance_explained(meta, ROWS),
        "FVU": 1 - right,
        "not about zero": 1 - error / d.square().sum(),
        "not of those trained on": 1 - error / (d - kept.mean(0)).square().sum(),
        "length 1": 1 - raw / (UNSEEN - UNSEEN.mean(0)).double().square().sum(),
        "too high": 7.0,
        "One finite number": "much",
    }
    for words, answer in answers.items():
        found = exercises.check_held_out(answer, meta, SEEN, UNSEEN)
        assert words in found.message and found.right is (words == "Right"), (words, str(found))
    assert exercises.check_held_out(None, meta, SEEN, UNSEEN).right is None
