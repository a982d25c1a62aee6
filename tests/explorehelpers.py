"""A small subject for the explorer's tests, with tokens that mean harm, and tabs that remember all that went wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from browserhelpers import NOISE
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


def read(path: Path) -> Any:
    """What a piece of the explorer's data hands over."""
    text, name = path.read_text(encoding="ascii"), path.stem
    assert text.startswith(f'canonData("{name}",') and text.endswith(");\n")
    return json.loads(text[len(f'canonData("{name}",') : -3])


def ragged(context: int = 16, d: int = 12, n_words: int = 50, seed: int = 0) -> Texts:
    """Documents of 2 to ``context`` tokens, padded with token 0, which occurs in none of them."""
    whole = texts(40, context, d, n_words, seed)
    documents = whole.documents.clamp_min(1)
    lengths = 2 + torch.arange(len(documents)) % (context - 1)
    kept = whole.split.position < lengths[whole.split.document]
    documents[torch.arange(context) >= lengths[:, None]] = 0
    return Texts(whole.split.take(kept), documents, whole.words, whole.spaced, lengths=lengths)


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
    facts = ["country=Germany", HOSTILE[0], "country=France", "currency=Euro"]
    truth = Truth(
        facts=facts,
        owner=[HOSTILE[j % len(HOSTILE)] if j % 2 else None for j in range(n_latents)],
        true=[[1, 2] if j % 2 else [] for j in range(n_latents)],
        fits=[[Fit(j % 2, 0.5, 0.75, 0.6)] for j in range(n_latents)],
        meta_fits=[Fit(m % 2, 0.5, 0.75, 0.6, beyond_chance=m % 3 == 0) if m else None for m in range(10)],
        q_values=[0.01 * m for m in range(10)],
        chance_f1=[0.25] * 10,
        owner_f1=[0.75] * n_latents,
        name_f1=[0.5 + j / 100 if j % 3 else None for j in range(n_latents)],
    )
    settings: dict[str, Any] = {
        "title": "A test & <b>more</b>", "sae": sae, "meta": meta, "texts": texts(d=d),
        "smaller": [Smaller(s, f"{n} latents", [f"<i>{i}</i>" for i in range(n)]) for s, n in zip(small, (8, 16), strict=True)],
        "names": [HOSTILE[j] if j < len(HOSTILE) else f"name {j}" for j in range(n_latents)],
        "meta_names": [facts[{3: 3, 6: 0, 9: 1}[m]] if m in (3, 6, 9) else "" for m in range(10)],
        "meta_scores": [0.6 if m in (3, 6, 9) else None for m in range(10)],
        "truth": truth, "start": [12, 1, 2],
    }  # fmt: skip
    return Subject(**{**settings, **changes})


# A view stands when nothing is being read any more.
SETTLED = "() => document.querySelector('main h1') && !document.querySelector('main .wait')"


class Tab:
    """A page of the explorer that remembers all that went wrong in it."""

    def __init__(self, browser: Any, folder: Path, width: int = 1400, theme: str = "light", **options: Any) -> None:
        self.folder, self.width, self.wrong = folder, width, []
        self.context = browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844}, color_scheme=theme, **options
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("dialog", lambda d: (self.wrong.append(f"dialog: {d.message}"), d.dismiss()))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", lambda r: self.wrong.append(f"failed: {r.url}"))
        self.page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(f"console: {m.text}"))

    def _asked(self, request: Any) -> None:
        if not request.url.startswith("file:") and request.url != "data:,":
            self.wrong.append(f"asked for {request.url}")

    def open(self, view: str = "") -> Tab:
        self.page.goto((self.folder / "index.html").as_uri() + f"#/{view}")
        self.settle()
        return self

    def go(self, view: str) -> None:
        self.page.evaluate("v => { location.hash = '#/' + v; }", view)
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_function(SETTLED)

    def heading(self, text: str) -> None:
        self.page.wait_for_function("t => document.querySelector('h1')?.textContent.trim() === t", arg=text)

    def until(self, test: str, arg: Any = None) -> None:
        self.page.wait_for_function(test, arg=arg)

    def text(self, selector: str = "main") -> str:
        return " ".join(self.page.inner_text(selector).split())

    def focused(self) -> str:
        """What has the focus: its address, or else its text."""
        return self.page.evaluate(
            "() => document.activeElement.getAttribute('href') || document.activeElement.textContent.trim()"
        )

    def findings(self) -> list[str]:
        self.context.close()
        return [w for w in self.wrong if not any(n in w for n in NOISE)]
