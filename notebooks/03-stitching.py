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
# # Is a bigger dictionary a longer list?
#
# > **What you will be able to say at the end.** Which latents of a larger SAE tell the smaller one something new, how to find out without trying them one by one, and why a good latent can make an SAE worse.
# >
# > **Time.** 25 minutes to read, a quarter of a minute to run once its SAEs are in the store, and some four minutes the first time.
# >
# > **Hardware.** Two CPU cores, no GPU, 4 GB of memory.
# >
# > **Read before.** What an SAE is and how ours were trained ([chapter 2](02-training.ipynb)).
# >
# > **May be skipped.** *Doubt, second: half of λ*, at first reading.

# %% tags=["remove-cell"]
# In Colab and on Binder: install canonlib, with pinned dependencies. Elsewhere: nothing.
import importlib.util
import os
import subprocess
import sys

if os.environ.keys() & {"COLAB_RELEASE_TAG", "BINDER_LAUNCH_HOST"} and not importlib.util.find_spec("canonlib"):
    canonlib = "canonlib[pinned] @ git+https://github.com/canonlib/canonlib@main"
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", canonlib])

# %% tags=["parameters"]
tier = "world"
seed = 0

# %% tags=["hide-input"]
import torch
from IPython.display import display

from canonlib import exercises, tiers, viz
from canonlib.claims.compute import claim
from canonlib.pipeline import Run

viz.setup_plotly()
_ = torch.set_grad_enabled(False)
run = Run(tiers.get(tier, seed=seed))

# %% [markdown]
# ## One more latent
#
# Two people make a list of everything that matters in a text, and one list is twice as long. You would expect the longer list to be the shorter one with lines added. If dictionaries were like that, then at a doubling half of the lines would be new, and adding all the new ones would bring you all the way to the longer list.
#
# Let us try. We take two sizes of the {term}`ReLU SAEs <ReLU SAE>` that [chapter 2](02-training.ipynb) trained on all tokens, the *small* one and the *large* one, with twice as many latents, and the tokens that neither was trained on.

# %%
pair = run.followed("standard-all")
family = run.family("standard-all")
small, large = family.sae(pair.small), family.sae(pair.large)
x = run.data.eval.activations  # [n_tokens, d_model]
print(f"small: {pair.small} latents, large: {pair.large} latents, {len(x):,} tokens")

# %% [markdown]
# Now we copy one {term}`latent` of the large SAE, its encoder weights, its bias and its {term}`decoder direction`, into the small one, and measure the mean squared error ({term}`MSE`). We do it for two latents, chosen with some malice; you will see below how.

# %%
from canonlib.sae.metrics import reconstruction
from canonlib.stitch import insert

j, k = int(pair.delta_mse.argmin()), int(pair.delta_mse.argmax())
before = reconstruction(small, x).mse
with_j = reconstruction(insert(small, large, [j]), x).mse
with_k = reconstruction(insert(small, large, [k]), x).mse

# %% tags=["remove-input"]
viz.say(f"""The small SAE alone has an MSE of {before:.4f}. With latent {j} added it is {with_j:.4f}
({with_j / before - 1:+.1%}). With latent {k} added it is {with_k:.4f} ({with_k / before - 1:+.1%}). Both are healthy
latents of a better SAE, trained on the same data. One is welcome, the other does harm.""")

# %% [markdown]
# The harm alone proves nothing against the list: a line that stands in both, added once more, is said twice. What a longer list must have is lines enough that are *welcome*, and with all of these added it must be as good as the longer list. The run has done that for every latent of the large SAE; below you will do it yourself.

# %%
expected = 1 - pair.small / pair.large
welcome = pair.summary["share_novel"]  # of the latents that fire, those that lower the error
gain = 1 - pair.summary["mse_all_novel"] / before  # all of these inserted
goal = 1 - pair.summary["mse_large"] / before  # the large SAE itself

# %% tags=["remove-input"]
like_a_list = abs(welcome - expected) < 0.05 and gain > 0.9 * goal
viz.say(f"""In a longer list {expected:.0%} of the lines would be new; of the large SAE's latents {
    welcome:.0%} are welcome.
In a longer list the new lines would do all that the longer list does; inserting all welcome latents lowers the error by
{gain:.0%}, and the large SAE itself is {goal:.0%} below the small one. {
    "By these two numbers this pair is close to a longer list; look at the other sizes below."
    if like_a_list
    else "So the large SAE is not the small one with lines added: much of what it does better it does by saying old "
    "things in other words."
}""")

# %% [markdown]
# ## What one latent does, in words and in an equation
#
# The small SAE rebuilds each activation $x_t$ (of token $t$) as $\hat x_t$ and leaves a *residual* $r_t = x_t - \hat x_t$: all that it has missed on that token. A latent $j$ of the large SAE, inserted, adds its direction $d_j$ as strongly as it fires, $f_j(x_t)\,d_j$. If that points where the residual points, part of the residual is gone. If the residual has nothing in that direction, for instance because a latent of the small SAE has already put it there, we have added the same thing twice, and *made* an error. The new squared error on a token is $|r_t - f_j(x_t)\,d_j|^2$, so the sum over all tokens changes by
#
# $$ \Delta\mathrm{SSE}_j = \sum_t \left(-2\, f_j(x_t)\; r_t \cdot d_j \;+\; f_j(x_t)^2\, |d_j|^2\right). $$ (eq-insertion-effect)
#
# The first term is what the latent repairs, the second what it costs. Divide by the number of tokens and by $d_\text{model}$, the number of coordinates of an activation, and you have the {term}`insertion effect` on the MSE. Nothing is retrained and nothing else moves: a ReLU latent looks at the input alone, so the others fire as before. Here it is by hand, for latent $j$.

# %%
f = large.encode(x)  # [n_tokens, n_latents]
residual = x - small(x)  # [n_tokens, d_model]
d_j = large.W_dec[j]
repaired = 2 * f[:, j] * (residual @ d_j)  # [n_tokens]
cost = f[:, j] ** 2 * (d_j @ d_j)
by_hand = float((cost - repaired).double().sum() / x.numel())
print(f"by hand {by_hand:+.5f}   by insertion {with_j - before:+.5f}")

# %% [markdown]
# The residual is the same for all latents. So one pass over the data gives the effect of *every* latent, and touches only the entries where one fires. This is what `insertion_effects` does. It must agree with our hands, with the two insertions above, and with what the run has stored.

# %%
from canonlib.stitch import classify, insertion_effects

effects = insertion_effects(small, large, x)
assert abs(float(effects.delta_mse[j]) - by_hand) < 1e-5 * before
assert abs(float(effects.delta_mse[k]) - (with_k - before)) < 1e-5 * before
assert torch.allclose(effects.delta_mse, pair.delta_mse, rtol=1e-3, atol=1e-6 * before)
classes = classify(effects)
print(f"{classes.n_novel} novel, {classes.n_reconstruction} reconstruction, {classes.n_silent} silent")

# %% [markdown]
# (That was the malice: of all latents, $j$ has the lowest effect, and $k$ the highest.)
#
# The first two are the words of the paper. A latent that lowers the error when it is inserted alone is a {term}`novel latent`: it says something that the small SAE does not. One that fires and doesn't lower it is a {term}`reconstruction latent`: it says again what the small SAE says already, in the same or in finer words. A {term}`silent latent` never fires on these tokens; nothing is known of it, and we leave it out.
#
# ## Seeing it in the directions
#
# The effect needs data. Could you tell from the weights? If a latent repeats something, the small SAE should hold a decoder direction much like its own. So look up, for each latent of the large SAE, its nearest neighbour in the small one by cosine, the {term}`max cosine`.
#
# One trap first. Decoder directions need not have length 1; a latent can write long steps with small activations or short steps with large ones. Compare them by dot product, and length passes for likeness. Scale every direction to length 1 first (SAELens calls it folding the norms), as `compare.nearest` does for you.

# %%
from canonlib.compare import decoder_directions, nearest

lengths = small.W_dec.norm(dim=1)
unscaled = (large.W_dec @ small.W_dec.T).argmax(dim=1)
near = nearest(large, small)
cosine, neighbour = near.cosine[:, 0], near.index[:, 0]
changed = int((unscaled != neighbour).sum())
print(f"lengths in the small SAE: {lengths.min():.2f} to {lengths.max():.2f}")
print(f"another neighbour without folding: {changed} of {pair.large} latents")

# %% tags=["remove-input"]
viz.say(f"""Fallen into here, the trap would cost this: {changed} of {pair.large} latents would get another neighbour, with lengths that differ by a factor of
{float(lengths.max() / lengths.min()):.1f}. Where lengths differ more, it costs more, and folding is free.""")

# %% [markdown]
# To know what each point of the figure *is*, we give it a label: the {term}`fact` it detects best (by {term}`F1`, against the world's table) and the three texts that excite it most.

# %% tags=["hide-input"]
from canonlib.activations import documents
from canonlib.sae.selectivity import fact_membership, selectivity
from canonlib.world.corpus import token_ids

facts, membership = fact_membership()
best = selectivity(large, run.data.eval).fact_f1(membership).max(dim=1)
fact = [f"{facts[i]} (F1 {v:.2f})" for v, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
texts = viz.top_contexts(f, run.data.eval, documents(run.tier, "eval"), list(token_ids()))
hover = [f"latent {n} · {fact[n]}<br>" + "<br>".join(texts[n]) for n in range(pair.large)]

# %% [markdown]
# Figure 3.1 has both numbers for all latents at once. The lower half is where inserting helps. Move over the points to read them.

# %% tags=["hide-input"]
from canonlib.stitch import cosine_predictor

ours = cosine_predictor(cosine, effects)
shown = (~effects.silent).nonzero()[:, 0]
viz.effect_scatter(
    cosine[shown], effects.delta_mse[shown], threshold=ours.threshold, hover=[hover[n] for n in shown.tolist()],
    title="A low cosine marks " + ("the latents that lower the error" if ours.auc > 0.8 else "novel latents no better than others"),
    alt="Scatter of insertion effect against max cosine for each latent of the larger SAE, novel latents in orange.",
)  # fmt: skip

# %% [markdown]
# **Figure 3.1.** Each point is a latent of the larger SAE. Across: cosine with the most similar direction of the smaller SAE. Up: what inserting it does to the smaller SAE's MSE (square-root scale on both sides of zero). The dashed line is the cosine that separates the classes best (below, we say how).

# %% [markdown]
# ## Every pair of sizes
#
# One pair may be luck. So take every pair of *neighbouring* sizes of the family; they lie closer together than a doubling. And one threshold is a choice; a ROC curve shows all of them at once: how many novel latents each catches (up, the *true positive rate*) for how many false alarms (across, the *false positive rate*). The area under it, the {term}`AUC`, is a probability: draw one novel and one reconstruction latent, and it says how often the novel one has the lower cosine. A coin gives 0.50. Figure 3.2 has a curve for each pair.

# %% tags=["hide-input"]
from canonlib.stitch import InsertionEffects, auc_interval


def stored(p):
    s = p.summary
    return InsertionEffects(p.delta_mse, p.fires, s["mse_small"], s["mse_large"], len(x))


pairs = run.pairs("standard-all")
rocs = {f"{p.small:,} → {p.large:,}": cosine_predictor(p.cosine, stored(p)) for p in pairs}
rocs = {name: roc for name, roc in rocs.items() if roc.auc is not None}
ends = sorted(rocs, key=lambda name: rocs[name].auc)
viz.roc_figure(
    {name: (roc.fpr, roc.tpr) for name, roc in rocs.items()}, aucs={name: roc.auc for name, roc in rocs.items()},
    highlight=list(dict.fromkeys([ends[-1], ends[0]])),
    title=f"Low cosine tells novel latents: AUC {rocs[ends[0]].auc:.2f} to {rocs[ends[-1]].auc:.2f}",
    alt="ROC curves of max cosine, one for each pair of sizes; the best and the worst pair are labelled.",
)  # fmt: skip

# %% [markdown]
# **Figure 3.2.** Low max cosine as a test for novelty, for each pair of neighbouring dictionary sizes; the pairs with the highest and the lowest AUC are labelled, the others are grey. Upper left is perfect; the dashed diagonal is guessing.
#
# Mind how few novel latents there are before you read the AUC. Table 3.1 gives their number, and a 95% interval of the AUC from a *bootstrap*: draw the novel and the reconstruction latents anew from those we have, with replacement, a thousand times. Should an interval have no width at an AUC of 1.00, it isn't certainty: with no latent out of order, drawing again cannot put one there, so there the count is the only warning.
#
# The {term}`threshold` is the cosine at which the true positive rate exceeds the false positive rate by most. *Right* is the share of latents that it puts in the right class, on the latents that it was chosen on. Set it against the share that would be right by *always* saying "reconstruction" (what it lacks to 100% is the share of novel latents).


# %% tags=["hide-input"]
def rows_of(pairs):
    rows = []
    for p in pairs:
        low, high = auc_interval(p.cosine, stored(p))
        interval = f"{low:.2f} to {high:.2f}" if low == low else "–"
        always = 1 - p.summary["share_novel"]
        rows.append({"pair": f"{p.small:,} → {p.large:,}", "interval": interval, "always": always, **p.summary})
    return rows


columns = {"pair": ("pair", ""), "n_novel": ("novel", ","), "auc": ("AUC", ".2f"), "interval": ("95% interval", ""),
           "threshold": ("threshold", ".2f"), "accuracy": ("right", ".0%"), "always": ("always", ".0%")}  # fmt: skip
every = rows_of(pairs)
viz.table(every, columns)

# %% tags=["remove-input"]
better = [row["accuracy"] - row["always"] for row in every if row["accuracy"] is not None]
viz.say(f"""**Table 3.1.** Low max cosine as a test for novelty, for each pair of neighbouring sizes: number of novel latents, AUC with
its interval, the best threshold, the share that it puts right, and the share that "always reconstruction" puts right. The columns rest on {min(row["n_novel"] for row in every)} to {max(row["n_novel"] for row in every)} novel
latents a pair. The threshold is right more often than "always reconstruction" in {sum(b > 0 for b in better)} of
{len(better)} pairs; its lead is {min(better):+.0%} to {max(better):+.0%} of the latents. Where few latents are novel, being
right is cheap, and the AUC is the better measure.""")

# %% [markdown]
# ## How much of a bigger dictionary is news?
#
# The paper reports that about a third of the latents are novel when a dictionary doubles (as the [Matryoshka SAE paper](https://arxiv.org/abs/2503.17547) cites it; the authors' [post on stitching](https://www.lesswrong.com/posts/baJyjpktzmcmRfosq/stitching-saes-of-different-sizes) has 35%). The rest are restatements. So for Figure 3.3 we take each size and its double again, as in the beginning.
#
# :::{margin} The paper differs
# Its SAEs of GPT-2 small have 768 to 98,304 latents, ours at most 128 (see *Where it breaks*).
# :::
#
# Our family ends at 128 latents. To see how the share goes on, we train an SAE of twice as many in the same way, and one in between, which [*Where it breaks*](#where-it-breaks) will need (the first time, this takes a minute).

# %%
from dataclasses import replace

from canonlib.pipeline.stitching import stitch_pairs
from canonlib.sae.family import train_families

doubled = run.doublings("standard-all")
wider = replace(family.family, sizes=(128, 192, 256))
beyond = train_families(run.tier, (wider,), run.store, run.data, progress=False)[0]
further = stitch_pairs(beyond, [(128, 192), (192, 256), (128, 256)], run.store, run.data, progress=False)

# %% tags=["hide-input"]
shares, outside = [p.summary["share_novel"] for p in doubled], further[-1].summary["share_novel"]
gap = float("nan")
lines = {"novel": [*shares, gap], "beyond our range": [*[gap] * (len(shares) - 1), shares[-1], outside]}
viz.line_by_size(
    [p.large for p in [*doubled, further[-1]]], lines, levels={"paper": 1 / 3, "longer list": 1 / 2}, percent=True,
    colors=dict.fromkeys(lines, viz.LARGE), labels={"novel": "", "beyond our range": "beyond<br>our range"},
    y="novel, of the latents that fire",
    title=f"{shares[0]:.0%} of the latents are new at the smallest doubling, {shares[-1]:.0%} at the largest",
    alt="Share of novel latents at each doubling, with the paper's third and a longer list's half as dashed lines.",
)  # fmt: skip

# %% [markdown]
# **Figure 3.3.** Share of latents of the larger SAE that lower the error of the SAE half its size. Dashed: about a third, as reported for GPT-2, and the half that a longer list would have. Dotted: on to the SAE of twice as many latents as our family has.

# %% tags=["remove-input"]
entity_pairs = run.pairs("batchtopk-entities")
rest = [p.summary["share_novel"] for p in entity_pairs]
mean, ends_mean = sum(shares) / len(shares), (sum(shares[:3]) / 3, sum(shares[-3:]) / 3)
viz.say(f"""From the smallest doubling to the largest the share goes from {shares[0]:.0%} to {shares[-1]:.0%} (the paper: a third). So the mean that the claim below tests,
{mean:.0%}, depends on the sizes that we picked: over the first three doublings it is {ends_mean[0]:.0%}, over the last three
{ends_mean[1]:.0%}. Beyond our range, from {further[-1].small} to {further[-1].large} latents, {outside:.0%} are novel ([Table 3.4](#where-it-breaks):
100% less its column *always*), and at the doublings of the BatchTopK family {min(rest):.0%} to {max(rest):.0%}
([Table 3.7](#doubt-third-another-kind-of-sae), in the same way). *A third* is what these sizes of this kind of SAE give on average, not a constant.""")

# %% [markdown]
# Doubling is one step. Figure 3.4 takes *every* pair of sizes: what share of the larger SAE's latents is news to the smaller one?

# %% tags=["hide-input"]
names = list(family.sizes)
grid = [[float("nan")] * len(names) for _ in names]
for p in run.all_pairs("standard-all"):
    grid[names.index(p.large)][names.index(p.small)] = p.summary["share_novel"]
labels = [f"{n:,}" for n in names]
heat = viz.fact_heatmap(grid, labels, labels, title="The further apart, the more is new" if grid[-1][0] > grid[-1][-2]
                        else "Share of novel latents, every pair", unit="novel", low=0, high=1,
                        alt="Share of novel latents for each smaller (columns) and larger (rows) dictionary.")  # fmt: skip
heat.update_xaxes(title_text="smaller SAE (latents)", type="category").update_yaxes(
    title_text="larger SAE", type="category"
)

# %% [markdown]
# **Figure 3.4.** Share of the larger SAE's firing latents (rows) that lower the error of the smaller SAE (columns) when inserted alone.

# %% tags=["remove-input"]
display(*(viz.claim_box(claim(run, name)) for name in ("stitch-auc", "stitch-share", "stitch-threshold")))

# %% tags=["remove-input"]
other = [p.summary["auc"] for p in entity_pairs if p.summary["auc"] is not None]
viz.say(f"""Two things belong to the first verdict. The range of sizes, {pairs[0].small} to {pairs[-1].large} latents, was not fixed
beforehand: we chose it after trials in which larger dictionaries failed, as you will see where [it breaks](#where-it-breaks).
And the AUC is that of the ReLU family. For neighbouring sizes of the BatchTopK family it is {min(other):.2f} to {max(other):.2f} ([Table 3.7](#doubt-third-another-kind-of-sae));
the bound was not set for it.""")

# %% tags=["remove-input"]
cuts = [row["threshold"] for row in every if row["threshold"] is not None]
viz.say(f"""The best threshold runs from {min(cuts):.2f} to {max(cuts):.2f} over our pairs (GPT-2: 0.7). The order of the
cosines carries over better than any one number does: measure yours.""")

# %% [markdown]
# ## Does the model agree?
#
# The squared error is the SAE's own measure. The model's is how well it predicts the next token when the output of the stitched SAE, the small one with a latent more, stands in the place of its activations. For that there is no formula: each latent costs a run of the model over the texts (`stitch.insertion_losses`). So we try up to 64 of our pair's latents, from the most welcome to the most harmful, and Figure 3.5 sets one effect against the other.

# %%
sampled = run.losses("standard-all", pair)
tried = torch.tensor(sampled["latents"])
loss = torch.tensor(sampled["delta_ce"], dtype=torch.float64)  # nats per token
error = effects.relative[tried]

# %% tags=["hide-input"]
from scipy.stats import spearmanr

rho = float(spearmanr(error, loss).statistic)
viz.loss_scatter(
    error, loss, hover=[hover[n] for n in tried.tolist()], x="effect on the MSE (share of the small SAE's)",
    title="What lowers the error " + ("mostly lowers the loss" if rho > 0.3 else "need not lower the loss"),
    alt="Scatter of each latent's effect on the model's next-token loss against its effect on the MSE.",
)  # fmt: skip

# %% tags=["remove-input"]
helps = [float((loss[side] < 0).double().mean()) for side in (error < 0, error >= 0)]
viz.say(f"""**Figure 3.5.** Each point is one latent, inserted alone: its effect on the MSE (across) and on the next-token loss (up), both
on square-root scales. With the small SAE the loss is {sampled["ce_small"]:.3f} nats. Of the {
    int((error < 0).sum())
} novel latents
{helps[0]:.0%} lower it, of the {int((error >= 0).sum())} reconstruction latents {
    helps[1]:.0%}; the rank correlation of the two effects is
{rho:.2f}. {
    "So they go together, and are not the same: the model reads some directions more closely than their length suggests."
    if rho > 0.3
    else "So the squared error is a poor guide to what the model reads."
}""")

# %% [markdown]
# ## Do effects add up?
#
# Each novel latent helps alone. So let us insert all of them. If the effects added up, the gain would be their sum. Whether they do, we can say exactly. With several latents inserted, the token's new error is $|r_t - \sum_j f_j(x_t)\,d_j|^2$, and squaring the sum leaves the products of each latent with every other:
#
# $$ \Delta\mathrm{SSE}_{\text{all}} = \sum_j \Delta\mathrm{SSE}_j \;+\; \sum_t \sum_{j \neq k} f_j(x_t)\, f_k(x_t)\; d_j \cdot d_k. $$ (eq-additivity)
#
# When two latents fire on one token and point the same way, both claim the same piece of the residual. Each would repair it alone; together they repair it twice. Let us check that the second sum of {eq}`eq-additivity` is all there is to it.

# %%
novel = classes.novel.nonzero()[:, 0]
stitched = insert(small, large, novel)
together = reconstruction(stitched, x).mse - before
single = float(effects.delta_mse[novel].sum())
pieces = f[:, novel] @ large.W_dec[novel]  # Σ_j f_j d_j, [n_tokens, d_model]
alone = (f[:, novel] ** 2) @ large.W_dec[novel].square().sum(1)
cross = float((pieces.square().sum(1) - alone).double().sum() / x.numel())
assert abs(single + cross - together) < 1e-4 * before

# %% tags=["remove-input"]
viz.say(f"""The {len(novel)} single effects add up to {single:+.3f}, on an MSE of {
    before:.3f}. The products between latents
{"put back" if cross > 0 else "add a gain of their own,"} {cross:+.3f}. What remains, {
    together:+.3f}, is what inserting them
all really does: {together / single:.0%} of the sum. {
    "A sum of single effects that exceeds the whole error is a promise nobody can keep."
    if single < -before
    else "So here they nearly add up."
    if abs(together / single - 1) < 0.2
    else "The sum promises more than the latents together can keep."
    if together > single
    else "Together they do better than one by one."
}""")

# %% [markdown]
# Table 3.2, for each pair, as shares of the small SAE's MSE: what the single effects promise, what inserting all novel latents delivers, and what the larger SAE achieves. *Kept* is the second over the first. The last column is the price, the number of latents active on a token ({term}`L0`): in the small SAE, after the insertion, and, in brackets, in the larger SAE.

# %% tags=["hide-input"]
l0_large = {row["n_latents"]: row["l0"] for row in run.evaluation("standard-all")}


def additivity(p):
    s, mse = p.summary, p.summary["mse_small"]
    promised = float(p.delta_mse[p.delta_mse < 0].sum()) / mse
    delivered = s["mse_all_novel"] / mse - 1
    return {
        "pair": f"{p.small:,} → {p.large:,}",
        "promised": promised,
        "delivered": delivered,
        "kept": delivered / promised if promised else float("nan"),
        "larger": s["mse_large"] / mse - 1,
        "l0": f"{s['l0_small']:.1f} → {s['l0_all_novel']:.1f} ({l0_large[p.large]:.1f})",
    }


promises = {"pair": ("pair", ""), "promised": ("sum of effects", "+.1%"), "delivered": ("all inserted", "+.1%"),
            "kept": ("kept", ".2f"), "larger": ("larger SAE", "+.1%"), "l0": ("$L_0$ (larger SAE)", "")}  # fmt: skip
sums = [additivity(p) for p in [*pairs, pair]]
viz.table(sums, promises)

# %% tags=["remove-input"]
near = [s["kept"] for s in sums[:-1] if s["kept"] == s["kept"]]
gap = max(abs(s["delivered"] - s["promised"]) for s in sums[:-1])
falls = sum(s["delivered"] < 0 for s in sums[:-1])
below = sum(s["delivered"] < s["larger"] for s in sums[:-1])
assert abs(pair.summary["mse_all_novel"] - before - together) < 1e-4 * before
display(viz.say(f"""**Table 3.2.** What the novel latents of a pair promise one by one and what they deliver together. The last row is the pair that we followed; the others are neighbours. In
{falls} of {len(pairs)} neighbouring pairs the error falls when all novel latents are inserted, and it ends below the
larger SAE's in {below} of them. They keep {min(near):.2f} to {max(near):.2f} of what the single effects promise, and the gap
between promise and delivery is {gap:.1%} of the small SAE's error at most. {
"So in this range effects nearly add up; whether they do beyond it, [Where it breaks](#where-it-breaks) will tell."
if gap < 0.05 and min(near) > 0.5 else
"So effects do not add up in every pair, and a sum of single effects is no forecast."}"""),
        viz.claim_box(claim(run, "stitch-novel")))  # fmt: skip

# %% [markdown]
# The result is an SAE like any other, with latents from two: a {term}`Frankenstein SAE`, as the authors' post calls it. To go on to the larger SAE, you also have to swap reconstruction latents for those that they restate: [chapter 4](04-paths.ipynb) walks the whole way.
#
# ## Doubt, first: would anything be "novel"?
#
# A test that always finds news finds none. So three {term}`controls <control>`. First, give the large SAE's activations wrong directions: other latents' (its decoder rows in another order), or random ones of the same lengths. Second, shuffle the cosines among the latents; the AUC should be a coin's.

# %%
draw = torch.Generator().manual_seed(seed)
order = torch.randperm(pair.large, generator=draw)
noise = decoder_directions(torch.randn(large.W_dec.shape, generator=draw))
noise = noise * large.W_dec.norm(dim=1, keepdim=True)
for name, rows in (("permuted", large.W_dec[order]), ("random", noise)):
    fake = family.sae(pair.large)
    fake.W_dec.data = rows
    control = insertion_effects(small, fake, x)
    share, median = classify(control).share_novel, control.relative.median()
    print(f"{name:8} {share:.1%} novel, median effect {median:+.2%} of the MSE")

# %% [markdown]
# The third asks whether cosine is a stand-in for something simpler. Rare latents may be newer than frequent ones; then counting how often a latent fires would do as well.

# %%
shuffles = [torch.randperm(pair.large, generator=draw) for _ in range(50)]
aucs = torch.tensor([cosine_predictor(cosine[s], effects).auc for s in shuffles])
rare = cosine_predictor(effects.fires.double(), effects).auc
word, rate = ("rarely", rare) if rare > 0.5 else ("often", 1 - rare)
print(f"low cosine: AUC {ours.auc:.2f}, shuffled: {aucs.mean():.2f} ± {aucs.std():.2f}")

# %% tags=["remove-input"]
viz.say(
    f"""Shuffled, cosine is worth a coin. Calling the latents novel that fire {word} has an AUC of {rate:.2f}: {
        "cosine knows more than that."
        if ours.auc > rate + 0.02
        else "in this pair, counting does as well as comparing directions, so cosine alone proves little."
    }"""
)

# %% [markdown]
# ## Doubt, second: half of λ
#
# Here is a subtler worry. Our SAEs pay $\lambda$ for each unit of activation, so they hold back. On a token $t$, for the active latents $i$ of the small SAE, with activations $f_i(x_t)$ and directions $d_i$, the training loss $|r_t|^2 + \lambda \sum_i f_i(x_t)\, |d_i|$ is least when
#
# $$ -2\, r_t \cdot d_i + \lambda |d_i| = 0, \qquad\text{that is,}\qquad r_t \cdot \frac{d_i}{|d_i|} = \frac{\lambda}{2}. $$ (eq-shrinkage)
#
# By {eq}`eq-shrinkage` every active latent stops $\lambda/2$ short, and the residual holds that much of *its own direction*. Now insert an exact copy of it. By {eq}`eq-insertion-effect` the copy changes the error by $-\lambda f_i(x_t) + f_i(x_t)^2$ per token (for $|d_i| = 1$): it *lowers* it wherever $f_i(x_t) < \lambda$. Such a copy would be called novel, and all it does is undo the {term}`shrinkage`.
#
# With nearly orthogonal directions, shrinkage makes up about $L_0 (\lambda/2)^2 / d_\text{model}$ of the MSE, where $L_0$ is again the number of active latents on a token, in the units that the trainer uses (it scales activations by a constant, kept in `training.json`). We can check the prediction $\lambda/2$, and we can insert the small SAE *into itself*: its own latents have cosine 1 and nothing to say, so every one that counts as novel is an artefact.

# %%
scale = family.artefact(pair.small).json("training.json")["scaling_factor"]
half = family.family.sparsity / 2 / scale  # λ/2 in the activations' own units
along = residual @ decoder_directions(small).T  # [n_tokens, n_latents]
held_back = along[small.encode(x) > 0].mean()
copies = classify(insertion_effects(small, small, x)).share_novel
print(f"residual along an active latent: predicted {half:.3f}, measured {held_back:.3f}")
print(f"copies of the small SAE's own latents that count as novel: {copies:.1%}")

# %% [markdown]
# Now, in Table 3.3, for each size: the formula's share of that SAE's error and the share of its own copies that pass for novel (on 20,000 tokens), beside the results that they could have tainted: those of the pair in which it is the small one.


# %% tags=["hide-input"]
def suspicion(trained, n):
    sae, tokens = trained.sae(n), x[:20_000]
    held = trained.family.sparsity / 2 / trained.artefact(n).json("training.json")["scaling_factor"]
    made = reconstruction(sae, tokens)
    copied = classify(insertion_effects(sae, sae, tokens)).share_novel
    return {"size": n, "shrunk": made.l0 * held**2 / x.shape[1] / made.mse, "copied": copied}


suspects = {
    "size": ("latents", ","),
    "shrunk": ("shrinkage by formula", ".0%"),
    "copied": ("copies called novel", ".0%"),
}
doubts = [suspicion(family, p.small) | row for p, row in zip(pairs, every, strict=True)]
viz.table(doubts, suspects | {"pair": ("pair", ""), "auc": ("AUC", ".2f"), "share_novel": ("novel", ".0%")})

# %% tags=["remove-input"]
most_copied = max(d["copied"] for d in doubts)
crowded = [d["size"] for d in doubts if d["shrunk"] > 1]
viz.say(f"""**Table 3.3.** For each size, the share of the error that is shrinkage by the formula, and the share of the SAE's own latents
that would be called novel; beside them AUC and share of novel latents of the pair in which it is the small one. Where
many copies pass for novel, the share of novel latents and the AUC measure the penalty as much as the dictionary; here it is
{most_copied:.1%} of them at most. By the formula, shrinkage is {min(d["shrunk"] for d in doubts):.0%} to
{max(d["shrunk"] for d in doubts):.0%} of the error. {
    "A share above 100% cannot be: there the directions are too crowded for the formula, and it only says *much*."
    if crowded
    else ""
}""")

# %% [markdown]
# When you stitch SAEs of your own, insert the small one into itself first. Where $\lambda$ is large beside the remaining error, copies can pass for news.
#
# ## Where it breaks
#
# Our family ends at 128 latents, as many as the residual stream has dimensions. That is no accident: we chose the range after trials in which larger dictionaries failed the tests above, and you should see how far they do. Two larger ones were trained for Figure 3.3; Table 3.4 has the columns of Table 3.1 for them.

# %% tags=["hide-input"]
tail = rows_of(further)
viz.table(tail, columns)

# %% [markdown]
# **Table 3.4.** As Table 3.1, for pairs of larger SAEs.
#
# And for these, does the sum of the effects hold (Table 3.5, as Table 3.2), and how much of each small SAE's error is shrinkage (Table 3.6, as Table 3.3)?

# %% tags=["hide-input"]
l0_large |= {n: reconstruction(beyond.sae(n), x).l0 for n in wider.sizes}
wide = [additivity(p) for p in further]
shrunk = [suspicion(beyond, n) for n in wider.sizes]
display(viz.table(wide, promises), viz.table(shrunk, suspects))

# %% tags=["remove-input"]
found_wide = [
    f"""at {w["pair"]} the AUC is {row["auc"] or float("nan"):.2f}, and the single effects promise {w["promised"]:+.1%} of the
    error while all together bring {w["delivered"]:+.1%}"""
    for w, row in zip(wide, tail, strict=True)
]  # fmt: skip
copies = max(s["copied"] for s in shrunk)
viz.say(f"""**Tables 3.5 and 3.6.** Promise and delivery, and shrinkage, for the larger SAEs: {
    "; ".join(found_wide)
}. One part of
the reason is in the directions, and [exercise 3.4](#exercise-34-two-goods-make-a-bad) asks for it. For another we suspect the
penalty: by the formula, shrinkage is {shrunk[0]["shrunk"]:.0%} of the error at {shrunk[0]["size"]} latents and {
    shrunk[-1]["shrunk"]:.0%} at {
    shrunk[-1]["size"]
} (a share above 100% cannot be: there the directions are too crowded for the
formula, and it only says *much*), and copies of a latent pass for novel in {
    copies:.1%} of cases at most. But we have not tested
it by removing the penalty.""")

# %% [markdown]
# ## Doubt, third: another kind of SAE
#
# If all of this came from the ReLU, another architecture would show something else (Table 3.7). The second family was trained as {term}`BatchTopK`, with no penalty on activations, and on entity mentions only. In its training form latents compete for places, so inserting one displaces others, and our sum does not hold. Saved for inference, BatchTopK becomes a JumpReLU with a fixed threshold. Its latents are independent again, and the formula is exact.

# %% tags=["hide-input"]
mentions = run.data.eval.only("entities")
entity_sums = [p.summary["mse_all_novel"] / p.summary["mse_small"] - 1 for p in entity_pairs]
other_rows = [row | {"change": change} for row, change in zip(rows_of(entity_pairs), entity_sums, strict=True)]
viz.table(other_rows, columns | {"n_silent": ("silent", ","), "change": ("all inserted", "+.1%")})

# %% tags=["remove-input"]
viz.say(f"""**Table 3.7.** As Table 3.1, for BatchTopK SAEs on entity mentions, with the silent latents, and with what inserting all novel
latents does to the MSE. The pair with the fewest novel latents has {
    min(p.summary["n_novel"] for p in entity_pairs)
}, and an AUC over a
handful is a rough number (over none, it does not exist). The AUC runs from {min(other):.2f} to {
    max(other):.2f} here, against
{min(r.auc for r in rocs.values()):.2f} to {
    max(r.auc for r in rocs.values()):.2f} for the ReLU family. Inserting all novel latents lowers the error in
{sum(change < 0 for change in entity_sums)} of {len(entity_sums)} pairs.""")

# %% [markdown]
# ## What is new, and is it true?
#
# GPT-2 could not tell the paper's authors what a novel latent *should* be. Our world can: its table of facts says it. Table 3.8 has the three most welcome and the three least welcome latents of our pair, with the fact that each detects best and the text that excites it most.
#
# :::{margin} The paper differs
# GPT-2 has no table of facts, so this section has no counterpart there.
# :::

# %% tags=["hide-input"]
ranked = [n for n in effects.delta_mse.argsort().tolist() if not effects.silent[n]]
examples = [
    {"latent": n, "effect": float(effects.relative[n]), "cosine": float(cosine[n]), "fact": fact[n],
     "text": texts[n][0]} for n in ranked[:3] + ranked[-3:]
]  # fmt: skip
viz.table(examples, {"latent": ("latent", ""), "effect": ("effect", "+.1%"), "cosine": ("cosine", ".2f"),
                     "fact": ("best fact", ""), "text": ("strongest on", "")})  # fmt: skip

# %% tags=["remove-input"]
viz.say(
    f"**Table 3.8.** The extreme latents of the pair by insertion effect. The median best F1 over all {pair.large} latents is {best.values.median():.2f}."
)

# %% [markdown]
# An SAE of all tokens spends most of its latents on sentences, not on the people in them, so its best facts are weak descriptions. The family trained on mentions is the place to ask whom the new latents are about. Table 3.9, for each of its pairs: how well the classes detect their best fact, and how many latents are the own latent of a single {term}`entity` (F1 above 0.7), the {term}`latent of its own` of chapter 2.


# %%
def truth(p):
    measured = selectivity(run.family("batchtopk-entities").sae(p.large), mentions)
    fact_f1, own = measured.fact_f1(membership).amax(1), measured.best_entity()[0] > 0.7
    new, old = (p.delta_mse < 0) & (p.fires > 0), (p.delta_mse >= 0) & (p.fires > 0)
    row = {"pair": f"{p.small:,} → {p.large:,}", "n": int(new.sum())}
    for name, mask in (("new", new), ("old", old)):
        row |= {f"{name}_fact": float(fact_f1[mask].mean()), f"{name}_own": float(own[mask].double().mean())}
    return row


truths = [truth(p) for p in entity_pairs]

# %% tags=["hide-input"]
viz.table(truths, {
    "pair": ("pair", ""), "n": ("novel", ","), "new_fact": ("best fact, novel", ".2f"),
    "old_fact": ("best fact, reconstruction", ".2f"), "new_own": ("own, novel", ".0%"),
    "old_own": ("own, reconstruction", ".0%")})  # fmt: skip

# %% tags=["remove-input"]
from canonlib.world import table

known = [t for t in truths if t["n"] >= 10] or truths
broad = sum(t["new_fact"] > t["old_fact"] for t in known)
near_end, far_end = known[0], known[-1]
viz.say(f"""**Table 3.9.** Novel and reconstruction latents of the larger SAE against the truth: mean F1 of the best fact, and share
that is an entity's own. From {near_end["pair"]} to {
    far_end["pair"]
}, the pairs with at least ten novel latents, the share that is an
entity's own goes from {near_end["new_own"]:.0%} to {far_end["new_own"]:.0%} (novel) and from {
    near_end["old_own"]:.0%} to {far_end["old_own"]:.0%} (reconstruction); novel
latents detect their best fact better in {broad} of {len(known)} of these pairs. The world has {
    len(table.entities())
} people and cities.
**New is not the same as named**: a latent for one entity can be a split of a coarser one.""")

# %% [markdown]
# ## The paper and us
#
# The authors stitch eight SAEs of GPT-2 small (768 to 98,304 latents) trained on 300 million tokens of web text {cite:p}`bloom2024splitting,bloom2024residual`; ours hold about a thousand latents at most, on a model of a million parameters that reads one grammar. Doubling means the same in both, but our larger dictionaries approach the number of things that there are to say, and theirs don't. One seed is shown here; [chapter 4](04-paths.ipynb) repeats the measurements over five, and `-p seed 1` runs this chapter with another: the sentences follow the data.
#
# ## Exercises
#
# ### Exercise 3.1: Guess the class
#
# *Easy, 5 minutes.* Here are the cosines of eight latents of our pair. Write down, for each, `"novel"` or `"reconstruction"`, before you open the solution. Which ones are you least sure of?

# %%
firing = (~effects.silent).nonzero()[:, 0]
quiz = firing[torch.randperm(len(firing), generator=torch.Generator().manual_seed(7))[:8]]
print(", ".join(f"{n}: {cosine[n]:.2f}" for n in quiz.tolist()))

answer_3_1 = None  # yours: eight words
exercises.check_classes(answer_3_1, effects, quiz, cosine, ours.threshold)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The dashed line of Figure 3.1 is the best single cut. Near it, cosine knows little.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The cell below has the guess of the best cut, the truth and the effect of each. Far from the cut the cosine is seldom wrong; close to it, it is a guess.
#
# </details>

# %% tags=["hide-cell"]
guess, real = cosine[quiz] <= ours.threshold, classes.novel[quiz]
kinds = ["reconstruction", "novel"]
for n, g, r in zip(quiz.tolist(), guess.tolist(), real.tolist(), strict=True):
    print(f"{n}: guess {kinds[g]}, truth {kinds[r]}, effect {effects.relative[n]:+.2%}")
print(f"{int((guess == real).sum())} of {len(quiz)} right")
said = exercises.check_classes([kinds[r] for r in real.tolist()], effects, quiz, cosine, ours.threshold)
assert said
said

# %% [markdown]
# ### Exercise 3.2: The max cosine by hand
#
# *Easy, 5 minutes.* Compute the max cosine of every latent of the large SAE with the small one without `nearest`: a tensor of as many numbers as the large SAE has latents.

# %% tags=["nbval-check-output"]
answer_3_2 = None  # yours
exercises.check_max_cosine(answer_3_2, large, small)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two matrices of directions, each row scaled to length 1; one product; one maximum.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Fold the norms on *both* sides: with one side left as it is, the long directions of that side still win.
#
# </details>

# %% tags=["hide-cell"]
unit_large = large.W_dec / large.W_dec.norm(dim=1, keepdim=True)
unit_small = small.W_dec / small.W_dec.norm(dim=1, keepdim=True)
mine = (unit_large @ unit_small.T).amax(dim=1)  # [n_large]
said = exercises.check_max_cosine(mine, large, small)
assert said and torch.allclose(mine, cosine.to(mine.dtype), atol=1e-5)
said

# %% [markdown]
# ### Exercise 3.3: Where the cosine is wrong
#
# *Medium, 15 minutes.* Count the latents *below* the threshold that do not lower the error, and those *above* it that do. Then look at the two most extreme ones: below the line the latent with the highest effect, above it the one with the lowest. What could make the cosine mislead you about such latents, where there are any?

# %% tags=["nbval-check-output"]
answer_3_3 = None  # yours: (how many below, how many above)
exercises.check_misplaced(answer_3_3, effects, cosine, ours.threshold)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Silent latents count on neither side. For the second part: the cosine compares what two latents *write*. An SAE's latent also *reads*. On which tokens do the latent and its nearest neighbour fire, and on which of them does the effect arise?
#
# </details>
#
# <details><summary>Solution</summary>
#
# The cell below splits a latent's tokens by whether the small SAE's neighbour fires too, and takes the effect on both parts.
#
# An effect where it fires *alone* means that both write much the same but read differently: the small SAE's latent misses these tokens, so even a latent with a high cosine can help there. An effect where *both* fire has other sources: the neighbour stops short (shrinkage, as above), or the part of the direction in which they differ is what was missing; and a low cosine with *one* neighbour doesn't exclude that several of them together write the same. The cosine with one decoder direction can see neither the gate, nor the size of the step, nor the crowd; that is why it predicts and does not decide.
#
# </details>

# %% tags=["hide-cell"]
g = small.encode(x)


def where(n):
    on, twin, d = f[:, n] > 0, g[:, neighbour[n]] > 0, large.W_dec[n]
    change = (f[:, n] ** 2 * (d @ d) - 2 * f[:, n] * (residual @ d)).double() / x.numel() / before
    print(f"latent {n}, {fact[n]}, strongest on: {texts[n][0]}")
    print(
        f"  cosine {cosine[n]:.2f} with latent {int(neighbour[n])}, which fires on {twin[on].double().mean():.0%} of its tokens"
    )
    print(
        f"  effect {effects.relative[n]:+.2%}: both fire {change[on & twin].sum():+.2%}, alone {change[on & ~twin].sum():+.2%}"
    )


line = cosine <= ours.threshold
for word, side, way in (("below", line & ~effects.silent, -1), ("above", ~line & ~effects.silent, 1)):
    wrong = side & (effects.delta_mse * way < 0 if word == "above" else effects.delta_mse >= 0)
    print(f"{word} the line: {int(side.sum())}, of which {int(wrong.sum())} with the other class's effect")
    if side.any():
        where(int(torch.where(side, effects.delta_mse * way, torch.inf).argmin()))

# %% tags=["hide-cell"]
misplaced = (line & classes.reconstruction).sum(), (~line & classes.novel).sum()
said = exercises.check_misplaced(misplaced, effects, cosine, ours.threshold)
assert said
said

# %% [markdown]
# ### Exercise 3.4: Two goods make a bad
#
# *Hard, 20 minutes, pencil first.* Find two latents that each lower the error when inserted alone, and that raise it above the start when both are inserted. Let both fire on one token with the same strength $f$, on a residual $r$ that has the same dot product $a = r \cdot d_1 = r \cdot d_2$ with both unit directions. Between which two strengths does it happen? For the check take $a = 1$ and a cosine of 0.5 between the directions. What is the least cosine for which it can happen at all? Does your answer explain which pairs in Tables 3.2 and 3.5 keep the least of what they promise?

# %% tags=["nbval-check-output"]
answer_3_4 = None  # yours: (lower bound, upper bound) of f
exercises.check_overshoot(answer_3_4, reach=1, cosine=0.5)

# %% [markdown]
# <details><summary>Hint</summary>
#
# One token will do. Write $c = d_1 \cdot d_2$. When is $-2fa + f^2 < 0$, and when is $-4fa + 2f^2 + 2f^2c > 0$?
#
# </details>
#
# <details><summary>Solution</summary>
#
# Alone, each helps when $f < 2a$. Together, they harm when $f(1 + c) > 2a$. Both hold when $2a/(1+c) < f < 2a$. So *any* positive cosine will do, provided that the latents overshoot: at $c = 1$ an activation above $a$ is enough, while at a small $c$ it must be close to the break-even $2a$. Two copies of a latent with $f = 1.5\,a$ are the plainest case. The more latents fire at once in similar directions, the sooner it happens: with $m$ of them, at $f(1 + (m-1)c) > 2a$. So look at L0 and at cosines among the novel latents, not at their single effects.
#
# </details>

# %% tags=["hide-cell"]
r = torch.tensor([1.0, 0.0])
for c in (1.0, 0.5, 0.1):
    tilt = ((1 + c) / 2) ** 0.5  # both directions at the same angle from r, with cosine c between them
    d = torch.tensor([[tilt, (1 - tilt**2) ** 0.5], [tilt, -((1 - tilt**2) ** 0.5)]])
    step = (2 * tilt / (1 + c) + 2 * tilt) / 2  # between the two bounds
    one = (r - step * d[0]).square().sum() - 1
    both = (r - step * d.sum(0)).square().sum() - 1
    print(f"cosine {c:.1f}, f = {step:.2f}: one alone {one:+.2f}, both {both:+.2f}")
said = exercises.check_overshoot((2 / 1.5, 2), reach=1, cosine=0.5)
assert said
said

# %% [markdown]
# For the pairs in the tables: how many novel latents fire together on a token, how strongly their directions agree when they do (mean cosine over all pairs that fire together), and how much of the promise is kept.


# %% tags=["hide-cell"]
def crowd(trained, p):
    new = ((p.delta_mse < 0) & (p.fires > 0)).nonzero()[:, 0]
    sae = trained.sae(p.large)
    active = (sae.encode(x)[:, new] > 0).float()
    both = (active.T @ active).fill_diagonal_(0)  # tokens on which two novel latents fire together
    d = decoder_directions(sae)[new]
    agree = float((both * (d @ d.T)).sum() / both.sum())
    return {**additivity(p), "together": float(active.sum(1).mean()), "agree": agree}


crowds = [crowd(family, p) for p in [*pairs, pair]] + [crowd(beyond, p) for p in further]
by_kept = sorted((c for c in crowds if c["kept"] == c["kept"]), key=lambda c: c["kept"])
worst, best_kept = by_kept[0], by_kept[-1]
viz.table(crowds, {"pair": ("pair", ""), "together": ("novel on a token", ".1f"), "agree": ("mean cosine", ".2f"),
                   "kept": ("kept", ".2f")})  # fmt: skip

# %% tags=["hide-output", "remove-input"]
m, c, share = (worst[key] for key in ("together", "agree", "kept"))
does = f"keeps {share:.2f} of it" if share >= 0 else f"adds {-share:.2f} times the error that it promised to take away"
viz.say(f"""Farthest from its promise is {worst["pair"]}, which {does}; {best_kept["pair"]} keeps most, {
    best_kept["kept"]:.2f} of it. In the former {m:.1f} novel latents fire on a token on average, and those that fire
together have a mean cosine of {c:.2f}; in the latter it is {best_kept["together"]:.1f}, and {
    best_kept["agree"]:.2f}. The pencil says
that both matter: how many fire together, and how much their directions agree.""")

# %% [markdown]
# ## Summary

# %% tags=["remove-input"]
at_best, at_worst = (fn(near) for fn in (max, min))
inside, outer = (f"in {n:.1%} of cases at most" for n in (most_copied, copies))
kept_wide = [w["kept"] for w in wide if w["kept"] == w["kept"]] or [float("nan")]
display(
    viz.say(f"""- {"A bigger dictionary is not a longer list" if not like_a_list else "A bigger dictionary is close to a longer list here"}:
at a doubling {min(shares):.0%} to {max(shares):.0%} of its latents are novel, where a longer list would have 50%; and from {pair.small}
to {pair.large} latents all novel ones inserted lower the error by {gain:.0%}, where the larger SAE itself lowers it by {goal:.0%}."""),
    viz.say(f"""- One pass over the data gives the exact insertion effect of every latent, and the max cosine of decoder
directions, with norms folded, predicts its sign from the weights alone (AUC {min(r.auc for r in rocs.values()):.2f} to
{max(r.auc for r in rocs.values()):.2f} in the ReLU family, on few novel latents); the threshold depends on the pair."""),
    viz.say(f"""- Between neighbouring sizes of the family the novel latents together keep {at_worst:.2f} to {at_best:.2f} of what they
promise singly, beyond it {min(kept_wide):.2f} to {max(kept_wide):.2f}. Copies of an
SAE's own latents pass for novel {inside} inside the family and {outer} beyond it: check yours, because a
penalty that is large beside the error could change that."""),
)  # fmt: skip

# %% [markdown]
# ## Next
#
# Inserting is half of {term}`stitching`. [Chapter 4](04-paths.ipynb) swaps as well, and walks from one dictionary to the next.
