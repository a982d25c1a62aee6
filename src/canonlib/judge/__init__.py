"""Automated interpretability: a language model explains meta-latents, and is then tested on latents held out.

Any OpenAI-compatible endpoint serves as the judge (``pip install 'canonlib[judge]'``); ``canonlib interpret`` is the
command. Replies are kept, so that an interrupted run goes on and a repeated one costs nothing.
"""

from canonlib.judge.cases import Case, build_cases
from canonlib.judge.client import Endpoint, Judge, JudgeError, MalformedReplyError
from canonlib.judge.cost import Estimate, Prices
from canonlib.judge.interpreting import Interpretation, estimate, interpret

__all__ = [
    "Case",
    "Endpoint",
    "Estimate",
    "Interpretation",
    "Judge",
    "JudgeError",
    "MalformedReplyError",
    "Prices",
    "build_cases",
    "estimate",
    "interpret",
]
