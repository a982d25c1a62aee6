"""The explorer of a large SAE: time to write it, size on disk, and how long a reader waits in Chromium.

    python benchmarks/explorer.py --latents 50000

The SAE is made up: its latents read directions of the world model's own activations, so that they fire on real texts
about as often as ``--l0`` says; the meta-SAE is trained for a few steps. Time depends on numbers, not on meaning. The
page opens from a folder, in a fresh browser each round: the first view is over when a latent's page shows its parts,
texts and tokens. Searches are timed inside the page, by its own clock: from the words to the sorted list, and from a
key pressed in the search box to the frame in which the list stands. The first one of a page reads the index and is told
apart. Needs playwright and Chromium. One JSON file goes to src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from train_report import write_result

from canonlib import tiers
from canonlib.explore import Subject, Texts, write_explorer

# Types a query and waits for its list; the frame after it was put into the page has been painted when the next one begins.
TYPE = """query => new Promise(done => {
  const box = document.querySelector('input[type=search]'), began = performance.now();
  box.value = query;
  box.dispatchEvent(new Event('input', { bubbles: true }));
  const look = () => document.querySelector('.results [role=status]')?.textContent.includes(`“${query}”`)
    ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look);
  look();
})"""
QUERIES = ("einstein", "token:berlin", "raises:physicist", "part:rome", "latent", "a", "4711", "in the city", "zzzz")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--latents", type=int, default=50_000, help="dictionary size (default 50000)")
    add("--meta", type=int, default=2_304, help="meta-latents (default 2304)")
    add("--l0", type=float, default=20.0, help="active latents on a token (default 20)")
    add("--documents", type=int, default=1_500, help="documents of the world to read (default 1500)")
    add("--rounds", type=int, default=5, help="fresh browsers (default 5)")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--keep", type=Path, help="keep the explorer in this folder")
    return parser.parse_args()


def made_up_sae(activations: torch.Tensor, n: int, l0: float) -> Any:
    """A JumpReLU SAE whose latents point along differences of real activations, with thresholds that give ``l0``."""
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig

    generator = torch.Generator().manual_seed(0)
    pick = torch.randint(len(activations), (2, n), generator=generator)
    rows = torch.nn.functional.normalize(activations[pick[0]] - 0.5 * activations[pick[1]], dim=1)
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=activations.shape[1], d_sae=n, dtype="float32", apply_b_dec_to_input=True))
    sample = activations[torch.randperm(len(activations), generator=generator)[:4_096]]
    with torch.no_grad():
        sae.b_dec.copy_(activations.mean(0))
        sae.W_enc.copy_(rows.T)
        sae.W_dec.copy_(rows)
        scores = (sample - sae.b_dec) @ sae.W_enc
        # A threshold of its own for each latent: all fire equally often, so that all have texts to keep.
        sae.threshold.copy_(scores.kthvalue(round(len(scores) * (1 - l0 / n)), dim=0).values)
    return sae.requires_grad_(False).eval()


def made_up_subject(args: argparse.Namespace) -> Subject:
    from canonlib.activations import Split, residual_stream
    from canonlib.meta import MetaConfig, train_meta_sae
    from canonlib.world import corpus, model

    tier, lm = tiers.get("world"), model.load()
    documents = torch.from_numpy(corpus.corpus(args.documents, tier.context, seed=7).tokens).long()
    x = torch.cat([residual_stream(lm, part, tier.hook)[:, 1:].float() for part in documents.split(100)])
    place = torch.ones(x.shape[:2], dtype=torch.bool).nonzero()
    split = Split(x.flatten(0, 1), documents[:, 1:].flatten(), place[:, 0], place[:, 1] + 1, place[:, 0] * 0 - 1)
    sae = made_up_sae(split.activations, args.latents, args.l0)
    config = MetaConfig(n_latents=args.meta, k=4.0, steps=60, batch_size=4_096, seed=0)
    words = list(corpus.token_ids())
    names = [f"{words[j % len(words)]} {j // len(words)}" if j % 2 else "" for j in range(args.latents)]
    parts = [words[-m % len(words)] if m % 2 else "" for m in range(args.meta)]
    return Subject(f"{args.latents:,} made-up latents", sae, train_meta_sae(sae, config), lm=lm, names=names, meta_names=parts,
                   texts=Texts(split, documents, words, spaced=True), start=range(12))  # fmt: skip


def first_view(browser: Any, page: Path, latent: int) -> tuple[float, Any]:
    """Seconds from asking for a latent's page in a fresh context to its texts, and the tab."""
    tab = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    began = time.perf_counter()
    tab.goto(f"{page.as_uri()}#/latent/{latent}", wait_until="commit")
    tab.wait_for_selector("article .context, article section .quiet", state="visible")
    return time.perf_counter() - began, tab


def browse(folder: Path, n: int, rounds: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    views, indexed = [], []
    searches: dict[str, list[float]] = {q: [] for q in QUERIES}
    shown: dict[str, list[float]] = {q: [] for q in QUERIES}
    with sync_playwright() as play:
        for r in range(rounds):
            browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            seconds, tab = first_view(browser, folder / "index.html", (r * 7_919 + n // 2) % n)
            views.append(seconds)
            indexed.append(
                tab.evaluate(
                    "() => { const t = performance.now(); return Canon.search('x').then(() => performance.now() - t); }"
                )
            )
            for query in QUERIES:
                searches[query].append(tab.evaluate("q => Canon.search(q).then(r => r.ms)", query))
                shown[query].append(tab.evaluate(TYPE, query))
            version = browser.version
            browser.close()
            print(f"round {r + 1}/{rounds}: first view {seconds:.2f} s", file=sys.stderr, flush=True)
    median = {query: statistics.median(ms) for query, ms in searches.items()}
    return {"chromium": version, "first_view_seconds": views, "index_ms": indexed, "search_ms": searches,
            "search_ms_median": median, "search_ms_worst": max(max(ms) for ms in searches.values()),
            "shown_ms": shown, "shown_ms_median": {query: statistics.median(ms) for query, ms in shown.items()},
            "shown_ms_worst": max(max(ms) for ms in shown.values())}  # fmt: skip


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    subject = made_up_subject(args)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        site = write_explorer(subject, (args.keep or Path(scratch)) / "explorer")
        seconds = time.perf_counter() - began
        sizes = sorted(p.stat().st_size for p in site.folder.rglob("*") if p.is_file())
        data = site.folder / "data"
        measured = {
            "n_latents": site.n_latents, "n_meta": site.n_meta, "n_tokens": len(subject.texts.split) if subject.texts else 0,
            "l0": args.l0, "write_seconds": seconds, "n_files": len(sizes), "bytes": sum(sizes),
            "bytes_index": (data / "index.js").stat().st_size, "bytes_chunk": (data / "latents-0.js").stat().st_size,
            **browse(site.folder, site.n_latents, args.rounds),
        }  # fmt: skip
    write_result("explorer", f"explorer-{args.latents}", args.threads, measured)


if __name__ == "__main__":
    main()
