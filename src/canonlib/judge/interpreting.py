"""Explain a meta-latent, then test the explanation: can the judge tell by it which held-out latents use it?

The score is the accuracy on held-out latents, half of which use the meta-latent, so that guessing gives one half. The
control puts the same question with another meta-latent's explanation: what is left of the score then is owed to the
latents (some are easy to tell apart), not to the explanation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.resources import files
from string import Template
from typing import Any

from canonlib.judge.cases import Case, Texts
from canonlib.judge.client import Judge, MalformedReplyError
from canonlib.judge.cost import Estimate, tokens

_LIKELY = "a fairly long explanation of what such latents have in common"
"""Stands in for an explanation that is not known yet when the cost is estimated."""


@dataclass(frozen=True)
class Interpretation:
    """What the judge says of a meta-latent, and how far that can be trusted."""

    meta_latent: int
    explanation: str
    """Empty when no reply could be read."""
    accuracy: float | None
    """Share of the held-out latents told rightly by the explanation; one half by guessing. None when a reply failed."""
    shuffled: float | None
    """The same by the explanation of another meta-latent; None also when there is no other."""
    n_held_out: int
    error: str = ""
    """Why there is no score."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""
        return asdict(self)


def explain_prompt(case: Case) -> str:
    """The question for an explanation."""
    return _template("explain").substitute(latents=_numbered(case.shown))


def detect_prompt(case: Case, explanation: str) -> str:
    """The question which of the held-out latents the explanation fits."""
    return _template("detect").substitute(
        explanation=explanation, latents=_numbered(case.held_out), n=len(case.held_out)
    )


def interpret(cases: Sequence[Case], judge: Judge, progress: bool = True) -> list[Interpretation]:
    """Explanations and scores of all ``cases``, in their order.

    A case whose replies cannot be read gets none, and says why; the others go on. Raises ``JudgeError`` when the
    endpoint fails: what it had answered is kept, and the same call goes on from there.
    """
    from tqdm.auto import tqdm

    explained: list[str | MalformedReplyError] = []
    for case in tqdm(cases, desc="explaining", unit="meta-latent", disable=not progress):
        explained.append(_try(judge, explain_prompt(case), _explanation))
    readable = [text for text in explained if isinstance(text, str)]
    found = []
    for case, text in zip(
        tqdm(cases, desc="detecting", unit="meta-latent", disable=not progress), explained, strict=True
    ):
        found.append(_score(case, text, _other(text, readable), judge))
    return found


def estimate(cases: Sequence[Case], judge: Judge) -> Estimate:
    """What ``interpret`` would still have to ask, without asking it."""
    asked: list[str] = []
    n_all = 0
    known = [judge.known(explain_prompt(case), _explanation) for case in cases]
    readable = [text for text in known if text is not None]
    for case, text in zip(cases, known, strict=True):
        explanations = [text or _LIKELY]
        if len(cases) > 1:  # a case alone has no other's explanation for its control
            explanations.append(_other(text, readable) or _LIKELY)
        detected = partial(_matches, n=len(case.held_out))
        unread = [prompt for e in explanations if judge.known(prompt := detect_prompt(case, e), detected) is None]
        asked += [explain_prompt(case)] * (text is None) + unread
        n_all += 1 + len(explanations)
    return Estimate(
        n_requests=len(asked),
        n_kept=n_all - len(asked),
        input_tokens=sum(map(tokens, asked)),
        output_tokens=len(asked) * judge.endpoint.max_tokens,
    )


def _score(case: Case, explained: str | MalformedReplyError, other: str | None, judge: Judge) -> Interpretation:
    n = len(case.held_out)
    if not isinstance(explained, str):
        return Interpretation(case.meta_latent, "", None, None, n, str(explained))
    scores: list[float | None] = []
    for text in (explained, other):
        matched = None if text is None else _try(judge, detect_prompt(case, text), partial(_matches, n=n))
        if isinstance(matched, MalformedReplyError):
            return Interpretation(case.meta_latent, explained, None, None, n, str(matched))
        scores.append(None if matched is None else _accuracy(case, matched))
    return Interpretation(case.meta_latent, explained, scores[0], scores[1], n)


def _try(judge: Judge, prompt: str, parse: Any) -> Any:
    """The parsed reply, or the error that says why there is none."""
    try:
        return judge.ask(prompt, parse)
    except MalformedReplyError as exc:
        return exc


def _accuracy(case: Case, matched: frozenset[int]) -> float:
    right = sum((i + 1 in matched) == uses for i, uses in enumerate(case.uses))
    return right / len(case.uses)


def _other(text: object, readable: Sequence[str]) -> str | None:
    """The next different explanation in the list, around its end; None when there is no other."""
    if text not in readable:
        return None
    start = readable.index(str(text))
    return next((t for t in [*readable[start:], *readable[:start]] if t != text), None)


def _explanation(reply: str) -> str:
    text = _object(reply).get("explanation")
    if not isinstance(text, str) or not text.strip():
        raise ValueError('there is no text under "explanation"')
    return " ".join(text.split())


def _matches(reply: str, n: int) -> frozenset[int]:
    numbers = _object(reply).get("matches")
    if not isinstance(numbers, list) or not all(isinstance(i, int) and not isinstance(i, bool) for i in numbers):
        raise ValueError('there is no list of whole numbers under "matches"')
    strange = [i for i in numbers if not 1 <= i <= n]
    if strange:
        raise ValueError(f"the latents are numbered 1 to {n}, and {strange[0]} is none of them")
    return frozenset(numbers)


def _object(reply: str) -> dict[str, Any]:
    """The JSON object in a reply, which may stand in a fenced block or between sentences."""
    first, last = reply.find("{"), reply.rfind("}")  # a pattern would try every brace of a reply of braces
    try:
        value = json.loads(reply[first : last + 1]) if 0 <= first < last else None
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"it is not JSON ({getattr(exc, 'msg', exc)})") from exc
    if not isinstance(value, dict):
        raise ValueError("there is no JSON object in it")
    return value


def _numbered(latents: Sequence[Texts]) -> str:
    blocks = [f"Latent {i}:\n" + "\n".join(f"  - {text}" for text in texts) for i, texts in enumerate(latents, 1)]
    return "\n".join(blocks)


@cache
def _template(name: str) -> Template:
    return Template((files("canonlib.judge") / "prompts" / f"{name}.txt").read_text(encoding="utf-8"))
