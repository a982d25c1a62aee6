"""Does the model know its facts, and does the entity's token at the hook carry them?

Patching replaces the residual stream of one entity's name by another's at the hook point, in the same prompt. Where
the model is causal there, the answer becomes the other entity's (interchange intervention).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from canonlib.world import corpus
from canonlib.world.questions import Question, Swap

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


class Rate(NamedTuple):
    """Successes of a count, in all and for each attribute of each kind."""

    overall: float
    by_attribute: dict[str, float]
    """Keys such as ``person.country``."""
    n: int


def encode(words: Sequence[str]) -> list[int]:
    """Token ids of words of the world."""
    ids = corpus.token_ids()
    return [ids[w] for w in words]


def by_length(questions: Iterable[Question]) -> list[list[int]]:
    """Indices of questions grouped by prompt length and place of the name, so that each group is one batch."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, q in enumerate(questions):
        groups[len(q.words), q.position].append(i)
    return list(groups.values())


def rate(questions: Sequence[Question], right: Sequence[bool]) -> Rate:
    """Share of right answers in all and by attribute."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for q, r in zip(questions, right, strict=True):
        hits[f"{q.kind}.{q.attribute}"].append(r)
    each = {key: sum(v) / len(v) for key, v in sorted(hits.items())}
    return Rate(sum(right) / len(right), each, len(right))


@torch.no_grad()
def answers(lm: TransformerBridge, questions: Sequence[Question]) -> list[str]:
    """The model's most likely next word for each question."""
    vocabulary = list(corpus.token_ids())
    out = [""] * len(questions)
    for group in by_length(questions):
        tokens = torch.tensor([encode(questions[i].words) for i in group])
        best = lm(tokens)[:, -1].argmax(-1).tolist()
        for i, token in zip(group, best, strict=True):
            out[i] = vocabulary[token]
    return out


def accuracy(lm: TransformerBridge, questions: Sequence[Question]) -> Rate:
    """Share of questions whose most likely next word is the right answer."""
    return rate(questions, [a == q.answer for a, q in zip(answers(lm, questions), questions, strict=True)])


@torch.no_grad()
def patched_answers(lm: TransformerBridge, swaps: Sequence[Swap], hook: str) -> list[str]:
    """Answers to each source question when its name's residual stream at ``hook`` is the target's."""
    vocabulary = list(corpus.token_ids())
    out = [""] * len(swaps)
    for group in by_length(s.source for s in swaps):
        position = swaps[group[0]].source.position
        targets = torch.tensor([encode(swaps[i].target.words) for i in group])
        _, cache = lm.run_with_cache(targets, names_filter=[hook])
        donor = cache[hook][:, position]

        def put(value: torch.Tensor, hook: object, donor: torch.Tensor = donor, at: int = position) -> torch.Tensor:
            value = value.clone()
            value[:, at] = donor
            return value

        sources = torch.tensor([encode(swaps[i].source.words) for i in group])
        best = lm.run_with_hooks(sources, fwd_hooks=[(hook, put)])[:, -1].argmax(-1).tolist()
        for i, token in zip(group, best, strict=True):
            out[i] = vocabulary[token]
    return out


def flip_rate(lm: TransformerBridge, swaps: Sequence[Swap], hook: str) -> Rate:
    """Share of swaps after which the model gives the target's answer."""
    got = patched_answers(lm, swaps, hook)
    return rate([s.source for s in swaps], [a == s.target.answer for a, s in zip(got, swaps, strict=True)])
