"""A small subject for the explorer's tests: random SAEs, random documents, and tokens that mean harm."""

from __future__ import annotations

from typing import Any

import torch
from saehelpers import random_sae

from canonlib.activations import Split
from canonlib.explore import Fit, Smaller, Subject, Texts, Truth
from canonlib.meta import MetaConfig, train_meta_sae

HOSTILE = (
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(2)">',
    "{{ constructor.constructor('alert(3)')() }}",
    "\u202eright to left\u202c",
    "שלום עולם",
    "مرحبا",
    "👩‍🔬🇩🇪",
    "long" * 2_500,
    "\n\t\x00",
    "",
    "\ud800",
    "\u2028",
)
"""Texts that a page must show and never run; the last ones are a lone surrogate and a line separator."""


def words(n: int) -> list[str]:
    """``n`` token texts, the hostile ones first."""
    return [*HOSTILE, *(f"w{i}" for i in range(len(HOSTILE), n))]


def texts(n_documents: int = 40, context: int = 16, d: int = 12, n_words: int = 50, seed: int = 0) -> Texts:
    """Random documents with random activations; column 0 is ``<bos>`` and has none."""
    generator = torch.Generator().manual_seed(seed)
    documents = torch.randint(0, n_words, (n_documents, context), generator=generator)
    document = torch.arange(n_documents).repeat_interleave(context - 1)
    position = torch.arange(1, context).repeat(n_documents)
    activations = torch.randn(len(document), d, generator=generator) + 0.7
    split = Split(activations, documents[document, position], document, position, torch.full_like(document, -1))
    return Texts(split, documents, words(n_words), spaced=True)


def subject(n_latents: int = 30, d: int = 12, **changes: Any) -> Subject:
    """A subject with everything in it, hostile names too."""
    sae = random_sae("jumprelu", n_latents, d, dtype="float32")
    small = [random_sae("jumprelu", n, d, seed=n, dtype="float32") for n in (8, 16)]
    meta = train_meta_sae(sae, MetaConfig(n_latents=10, k=2.0, steps=60, seed=0), progress=False)
    facts = ["country=Germany", HOSTILE[0]]
    truth = Truth(
        facts=facts,
        owner=[HOSTILE[j % len(HOSTILE)] if j % 2 else None for j in range(n_latents)],
        true=[[j % 2] if j % 2 else [] for j in range(n_latents)],
        fits=[[Fit(j % 2, 0.5, 0.75, 0.6)] for j in range(n_latents)],
        meta_fits=[Fit(m % 2, 0.5, 0.75, 0.6, beyond_chance=m % 3 == 0) if m else None for m in range(10)],
        q_values=[0.01 * m for m in range(10)],
    )
    settings: dict[str, Any] = {
        "title": "A test & <b>more</b>", "sae": sae, "meta": meta, "texts": texts(d=d),
        "smaller": [Smaller(s, f"{n} latents", [f"<i>{i}</i>" for i in range(n)]) for s, n in zip(small, (8, 16), strict=True)],
        "names": [HOSTILE[j] if j < len(HOSTILE) else f"name {j}" for j in range(n_latents)],
        "meta_names": ["", *(facts[m % 2] if m % 3 == 0 else "" for m in range(1, 10))],
        "truth": truth, "start": [12, 1, 2],
    }  # fmt: skip
    return Subject(**{**settings, **changes})
