"""A claim is data: what the paper says, what we measured, whether they agree."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from canonlib.errors import ConfigError

Verdict = Literal["agrees", "differs", "holds", "fails", "not tested here"]


@dataclass(frozen=True)
class Claim:
    """One row of the claims table. Raises ``ConfigError`` for a verdict that needs a reason and has none.

    >>> claim = Claim("demo", 3, "Low cosine predicts novelty.", "", "", "AUC 0.96", "above 0.9", "holds", "world")
    >>> claim.broken, sorted(claim.to_json())[:3]
    (False, ['bound', 'chapter', 'id'])
    """

    id: str
    """Short name, stable over versions."""
    chapter: int
    sentence: str
    """What is claimed, with no number of ours in it."""
    paper: str
    """What the paper (or the authors' post) reports; empty where it has no number."""
    source: str
    """Where: paper, section, table or post, as in ``shared`` sources of the bibliography."""
    ours: str
    """What we measured."""
    bound: str
    """What would count as agreement."""
    verdict: Verdict
    """agrees/differs: the paper has a finding to compare with; holds/fails: a claim of this book alone."""
    tier: str
    reason: str = ""
    """Why ours differs or fails, or why it is not tested here."""

    def __post_init__(self) -> None:
        if self.verdict in ("differs", "not tested here") and not self.reason:
            raise ConfigError(f"claim {self.id!r}: verdict {self.verdict!r} needs a reason.")

    @property
    def broken(self) -> bool:
        """True when the claim fails with no stated reason: the tests fail then."""
        return self.verdict == "fails" and not self.reason

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return asdict(self)


def verdict(holds: bool, paper: str, reason: str) -> Verdict:
    """The verdict of a tested claim: a stated reason turns a failure of the paper's claim into a difference.

    >>> verdict(True, paper="55%", reason=""), verdict(True, paper="", reason="")
    ('agrees', 'holds')
    >>> verdict(False, paper="0.7", reason="it depends on the pair"), verdict(False, paper="", reason="chance does too")
    ('differs', 'fails')
    """
    if holds:
        return "agrees" if paper else "holds"
    return "differs" if paper and reason else "fails"
