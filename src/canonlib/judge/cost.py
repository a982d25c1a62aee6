"""What a run will cost, said before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from canonlib.errors import require_finite

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English text; a tokenizer's own count may be a third higher or lower."""


@dataclass(frozen=True)
class Prices:
    """Price of a million tokens, in whatever currency the endpoint bills. Raises ``ConfigError`` for one below zero.

    >>> Estimate(n_requests=100, n_kept=0, input_tokens=200_000, output_tokens=50_000).price(Prices(0.5, 2.0))
    0.2
    """

    input: float = 0.0
    output: float = 0.0

    def __post_init__(self) -> None:
        for field, value in (("input", self.input), ("output", self.output)):
            require_finite(f"the price of {field} tokens", value, least=0)


@dataclass(frozen=True)
class Estimate:
    """Requests to come, and those whose replies are kept already."""

    n_requests: int
    n_kept: int
    input_tokens: int
    """Of the requests to come: characters over ``CHARACTERS_PER_TOKEN``."""
    output_tokens: int
    """At most: every reply as long as it is allowed to be."""

    def price(self, prices: Prices) -> float:
        """What the requests cost when every reply is as long as allowed and can be read (else it is asked for again)."""
        return (self.input_tokens * prices.input + self.output_tokens * prices.output) / 1e6

    def told(self, prices: Prices) -> str:
        """One line for people, with the price where prices are known."""
        line = (
            f"{self.n_requests:,} requests to send ({self.n_kept:,} replies are kept already), about "
            f"{self.input_tokens:,} tokens in and up to {self.output_tokens:,} out"
        )
        return (
            f"{line}: about {self.price(prices):.2f}, more if replies must be asked for again"
            if prices != Prices()
            else line
        )


def tokens(text: str) -> int:
    """Estimated tokens of ``text``, rounded up.

    >>> tokens("A meta-latent is a part.")
    6
    """
    return -(-len(text) // CHARACTERS_PER_TOKEN)
