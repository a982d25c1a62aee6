# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Are the parts we find the real parts?
#
# A sparse autoencoder turns what a language model thinks into a list of parts, its *latents*. It is tempting to read that list as *the* list: the same for everyone who looks, complete, and made of atoms. [Leask et al. (2025)](https://arxiv.org/abs/2502.04878) tested this on GPT-2 and found otherwise. This book repeats the tests on a small model of a world whose facts we wrote down ourselves, so that for once the right answer is known. Figure 1 shows one test at work, on one latent; the sentences below it say what came of them all.

# %% tags=["remove-cell"]
# In Colab and on Binder: install canonlib, with pinned dependencies. Elsewhere: nothing.
import importlib.util
import os
import subprocess
import sys

if os.environ.keys() & {"COLAB_RELEASE_TAG", "BINDER_LAUNCH_HOST"} and not importlib.util.find_spec("canonlib"):
    canonlib = "canonlib[pinned] @ git+https://github.com/canonlib/canonlib@main"
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", canonlib])

# %% tags=["parameters", "remove-input"]
tier = "world"
seed = 0

# %% tags=["remove-input"]
from canonlib import tiers, viz
from canonlib.claims.compute import compute
from canonlib.claims.meta import over_seeds
from canonlib.claims.rules import ENTITY, STITCHED
from canonlib.pipeline import Run

viz.setup_plotly()
run = Run(tiers.get(tier, seed=seed))

# %% tags=["hide-input"]
sae, parts = run.family(ENTITY).sae(run.tier.meta_base), run.meta
who = next(name for name in ["Einstein", *parts.entity_latents] if name in parts.entity_latents)
viz.entity_graph(
    who, parts.meta, sae, parts.names, parts.entity_latents, title=f"What the latent for <b>{who}</b> is made of"
)

# %% tags=["remove-input"]
lacking = viz.misfits(viz.entity_parts(who, parts.meta, sae, parts.names, parts.entity_latents))
viz.say(f"""**Figure 1.** Left: of {run.tier.meta_base:,} latents, the one that detects *{who}* best. Middle: the parts
(*meta-latents*) that a second, smaller autoencoder rebuilds its direction from, with their weights. Right: the entities
whose latents use the same part most. A part is named after the fact that it matches best over all entities; ✓ and ✗ say
whether our table holds that fact of {who} (– where it has no such attribute), and a part that no fact fits better than chance (q of 0.05 or more) is left
unnamed. Hover for precision, recall and shared facts. {lacking}""")

# %% tags=["remove-input"]
claims = compute(run)
holds = {c.id for c in claims if c.verdict in ("agrees", "holds")}
doublings = run.doublings(STITCHED)
shares = [p.summary["share_novel"] for p in doublings]
viz.say(f"""**A bigger dictionary is not a longer list.** When its size doubles, {sum(shares) / len(shares):.0%} of its
latents on average say something that the smaller one lacks ({shares[0]:.0%} from {doublings[0].small} to {doublings[0].large}, {shares[-1]:.0%} from
{doublings[-1].small} to {doublings[-1].large}); the others say again what it has.""")

# %% tags=["remove-input"]
share = {
    key: over_seeds(run, f"variance_{key}").mean
    for key in ("explained", "held_out", "shuffled", "gaussian", "gaussian_held_out")
}
mostly = share["gaussian"] - share["shuffled"] > share["explained"] - share["gaussian"]
common = "Latents have directions in common." if "meta-parts" in holds else "Whether latents share parts stays open."
viz.say(f"""**{common}** A list of {run.tier.meta_latents} shared parts, about {
    run.tier.meta_k
} for each latent, explains
{share["explained"]:.0%} of the variance of the directions of some {
    round(parts.summary["n_alive"], -1)
} latents (in sample, mean of
five seeds; {share["held_out"]:.0%} on rows held out); when each coordinate is shuffled among the latents, {
    share["shuffled"]:.0%}. {
    "Most of that difference is shared dimensions rather than particular parts"
    if mostly
    else "Less than half of that difference is shared dimensions alone"
}: rows drawn from a Gaussian of the same covariance reach {share["gaussian"]:.0%} ({
    share["gaussian_held_out"]:.0%} held out).""")

# %% tags=["remove-input"]
rows = run.evaluation(ENTITY)
viz.say(f"""**The size you choose decides what you see.** At {rows[0]["n_latents"]:,} latents {rows[0]["own_entities"]:.0%} of
the people and cities have a latent of their own, at {rows[-1]["n_latents"]:,} latents {rows[-1]["own_entities"]:.0%}. So
choose it for the question at hand.""")

# %% [markdown]
# ## What we found
#
# "Paper" is what the authors report, on GPT-2 unless it says otherwise; "ours" is measured on the world. [Chapter 7](07-findings.ipynb) goes through the verdicts, and says what to do about them on Monday.

# %% tags=["hide-input"]
viz.claims_table(claims)

# %% [markdown]
# The table's words, in the glossary: {term}`hook point`, {term}`latent`, {term}`F1`, {term}`L0`, {term}`FVU`, {term}`BatchTopK`, {term}`decoder direction` and its {term}`max cosine`, {term}`insertion effect`, {term}`swap`, {term}`MSE`, {term}`AUC`, {term}`novel <novel latent>` and {term}`reconstruction <reconstruction latent>` latents, {term}`shared latent`, {term}`meta-SAE`, {term}`meta-latent`, {term}`times chance` and {term}`p and q <p-value>`.

# %% [markdown]
# Walk on in [the explorer](explorer.md), which has such a picture for every latent that fires.
#
# ## Three ways through
#
# - **20 minutes:** this page, then [what did we find, and what do you do on Monday?](07-findings.ipynb)
# - **An afternoon:** the seven chapters in order, from [what would canonical units be, and how could we tell?](01-canonical.ipynb)
# - **Everything:** the chapters with their exercises and another seed, then [the library](api/index.md) on dictionaries of your own.
#
# [How to read this book](reading.md) has the minutes, what to read before what, and what the signs mean. Words and symbols have one meaning throughout: see the [glossary](glossary.md) and the [notation](notation.md). When something does not work, see [troubleshooting](troubleshooting.md).
#
# ## Two commands
#
# On a machine with Python 3.11, make and git:
#
# ```bash
# git clone https://github.com/canonlib/canonlib && cd canonlib
# make book   # set up, run every chapter, build this site
# make test   # set up, run all tests, the chapters' too
# ```
#
# On two CPU cores the first `make book` trains everything in some fourteen minutes, after the set-up; later ones take about three.
#
# `.venv/bin/canonlib notebooks 3 -p seed 1` runs one chapter with another seed, into a folder of its own; the SAEs of that seed are trained first, which takes minutes.
