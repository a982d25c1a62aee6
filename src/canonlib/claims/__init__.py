"""Claims: what the paper reports, what we measured, and whether they agree."""

from canonlib.claims.model import Claim, verdict

__all__ = ["Claim", "verdict"]
