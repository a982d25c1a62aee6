"""Checks for the chapter on canonical units: the price of an atom, a vector moved to another sentence, twin facts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from canonlib.errors import ConfigError
from canonlib.exercises.feedback import WAITING, Feedback, check_number, check_set, check_tensor

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

    from canonlib.world.questions import Question

__all__ = ["check_combination_cost", "check_moved_vectors", "check_twins"]


def check_combination_cost(answer: Any, angle: float) -> Feedback:
    """The activation of one latent of length 1 along the sum of two unit atoms that stand ``angle`` degrees apart.

    Right is the length of the sum, √(2 + 2 cos θ). Raises ``ConfigError`` for an angle outside 0 ... 180.

    >>> print(check_combination_cost(2, 90))
    ✗ That is what the two atoms cost. The one latent along their sum needs a single activation.
    """
    if not 0 <= angle <= 180:
        raise ConfigError(f"angle is {angle!r}: give degrees between 0 and 180.")
    cosine = math.cos(math.radians(angle))
    slips = {
        "That is what the two atoms cost. The one latent along their sum needs a single activation.": 2.0,
        "That is the square of the length: take the root.": 2 + 2 * cosine,
        "The direction has length 1, and the sum of the atoms has not: the activation makes up for it.": 1.0,
        "That is the length of the difference of the atoms, not of their sum.": math.sqrt(2 - 2 * cosine),
        "The angle is in degrees, and math.cos takes radians.": math.sqrt(2 + 2 * math.cos(angle)),
        "The product term counts twice: |u + v|² = |u|² + |v|² + 2 u·v.": math.sqrt(2 + cosine),
    }
    return check_number(answer, math.sqrt(2 + 2 * cosine), "Yes, the length of the sum, which is at most 2.", slips,
                        hint="Use |u + v|² = |u|² + |v|² + 2 u·v.", abs_=1e-3)  # fmt: skip


def check_moved_vectors(
    answer: Any, lm: TransformerBridge, asked: Sequence[Question], donors: Sequence[Question], hook: str
) -> Feedback:
    """Two shares of ``asked`` that stay right: with each name's own vector from the ``donors`` prompt, and with the next one's.

    The questions of either list are about the same entities in the same order, and all of a list have one length and one
    place of the name; the last entity gets the first one's vector. The shares are measured here, at ``hook``. Raises
    ``ConfigError`` for lists of different entities.
    """
    import torch

    if answer is None or answer is ...:
        return Feedback(None, WAITING)
    if [q.entity for q in asked] != [q.entity for q in donors]:
        raise ConfigError("asked and donors are about different entities: give one question of each for every entity.")
    at, source, following = asked[0].position, donors[0].position, [*donors[1:], donors[0]]
    following_truth = [q.answer for q in [*asked[1:], asked[0]]]
    truth = [q.answer for q in asked]

    def two(source: int, at: int, wanted: Sequence[str] = truth) -> torch.Tensor:
        own = _patched(lm, asked, donors, hook, source, at)
        other = _patched(lm, asked, following, hook, source, at)
        return torch.tensor([_share(own, truth), _share(other, wanted)], dtype=torch.float64)

    right = two(source, at)
    slips = {
        "The wrong way round: first the share with their own vectors.": right.flip(0),
        "These are the shares of answers that *change*: the rest stays right.": 1 - right,
        "The second share counts the *next* person's answers (count those still right for the person asked about), or no "
        "patch reached the name, which stands at another place in the two prompts.":
            two(source, at, following_truth),
        "Nothing changed, so no patch reached the name: it stands at another place in the two prompts.": two(source, source),
        "The vectors came from the wrong token: look where the name stands in the donors' prompt.": two(at, at),
    }  # fmt: skip
    well_done = (
        f"Yes: with their own vector {float(right[0]):.1%} stay right, with the next person's {float(right[1]):.1%}."
    )
    return check_tensor(answer, right, well_done, slips, atol=0.002)


def _share(given: Sequence[str], wanted: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(given, wanted, strict=True)) / len(wanted)


def _patched(
    lm: TransformerBridge, asked: Sequence[Question], donors: Sequence[Question], hook: str, source: int, at: int
) -> list[str]:
    """The model's answers with the donors' vectors at place ``source`` put at place ``at``."""
    import torch

    from canonlib.world import causal, corpus

    with torch.no_grad():
        _, cache = lm.run_with_cache(torch.tensor([causal.encode(q.words) for q in donors]), names_filter=[hook])
        vectors = cache[hook][:, source]

        def put(residual: torch.Tensor, hook: object) -> torch.Tensor:
            residual = residual.clone()
            residual[:, at] = vectors
            return residual

        batch = torch.tensor([causal.encode(q.words) for q in asked])
        best = lm.run_with_hooks(batch, fwd_hooks=[(hook, put)])[:, -1].argmax(-1).tolist()
    vocabulary = list(corpus.token_ids())
    return [vocabulary[token] for token in best]


def check_twins(answer: Any, facts: Sequence[Any], matrix: Sequence[Sequence[bool]]) -> Feedback:
    """The facts that some other fact can't be told apart from, because both hold of exactly the same entities.

    ``facts`` and ``matrix`` ``[n_entities][n_facts]`` are those of ``world.table.truth_matrix()``. The answer lists facts, as
    such or written ``"country=Germany"``, in any order, one by one or in groups.
    """
    if answer is None or answer is ...:
        return Feedback(None, WAITING)
    groups = _alike(facts, zip(*matrix, strict=True))
    by_count = _alike(facts, [sum(column) for column in zip(*matrix, strict=True)])
    slips = {
        "These are held by *equally many* entities. Twins are held by the very same ones.": _members(by_count),
        "That is one of each group: every fact that has a twin counts, the first of a group too.": {
            name for group in groups for name in group[1:]
        },
        "That is the first of each group: its twins count too.": {group[0] for group in groups},
    }
    well_done = (
        f"Yes, {len(_members(groups))} facts in {len(groups)} groups. Nobody can tell these apart, in this world."
    )
    return check_set(_names(answer), _members(groups), well_done, slips, what="facts")


def _alike(facts: Iterable[Any], keys: Iterable[Any]) -> list[list[str]]:
    """Facts that share a key, in groups of two or more."""
    groups: dict[Any, list[str]] = {}
    for fact, key in zip(facts, keys, strict=True):
        groups.setdefault(key, []).append(str(fact))
    return [group for group in groups.values() if len(group) > 1]


def _members(groups: Iterable[Iterable[str]]) -> set[str]:
    return {name for group in groups for name in group}


def _names(answer: Any) -> Any:
    """Facts as texts, whether they came as facts, texts or groups of either."""
    if isinstance(answer, str) or hasattr(answer, "attribute"):
        return [str(answer).replace(" = ", "=")]
    if not isinstance(answer, Iterable):
        return answer
    return [name for one in answer for name in (_names(one) if isinstance(one, (str, Iterable)) else [one])]
