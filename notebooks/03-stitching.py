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
# > **At the end you can say** which latents of a larger SAE tell the smaller one something new, how to find out without trying them one by one, and why a good latent can make an SAE worse.
# >
# > **Reading** 20 minutes. **Running** a minute on a CPU, once the SAEs of [chapter 2](02-training.ipynb) are there.
# > **Read first:** what an SAE is and how ours were trained ([chapter 2](02-training.ipynb)). **May be skipped:** *Half of λ*, at first reading.

# %% tags=["parameters"]
tier = "world"
seed = 0

# %% tags=["hide-input"]
import torch
from IPython.display import display

from canonlib import tiers, viz
from canonlib.claims.compute import claim
from canonlib.pipeline import Run

viz.setup_plotly()
_ = torch.set_grad_enabled(False)
run = Run(tiers.get(tier, seed=seed), progress=False)

# %% [markdown]
# ## One more latent
#
# Two people make a list of everything that matters in a text. One may write 128 lines, the other 256. You would expect the longer list to be the shorter one with lines added. If dictionaries were like that, you could take any line of the longer list, add it to the shorter, and end up better off, or at worst no better.
#
# Let us try. We take two neighbouring sizes of the ReLU SAEs that [chapter 2](02-training.ipynb) trained on all tokens, the *small* one and the *large* one, and the tokens that neither was trained on.

# %%
pairs = run.pairs("standard-all")
pair = pairs[len(pairs) // 2]
family = run.family("standard-all")
small, large = family.sae(pair.small), family.sae(pair.large)
x = run.data.eval.activations  # [n_tokens, d_model]
print(f"small: {pair.small} latents, large: {pair.large} latents, {len(x):,} tokens")

# %% [markdown]
# Now we copy one latent of the large SAE, its encoder weights, its bias and its decoder direction, into the small one, and measure the mean squared error. We do it for two latents, chosen with some malice; you will see below how.

# %%
from canonlib.sae.metrics import reconstruction
from canonlib.stitch import insert

j, k = int(pair.delta_mse.argmin()), int(pair.delta_mse.argmax())
before = reconstruction(small, x).mse
with_j = reconstruction(insert(small, large, [j]), x).mse
with_k = reconstruction(insert(small, large, [k]), x).mse

# %% tags=["hide-input"]
viz.say(f"""The small SAE alone has an MSE of {before:.4f}. With latent {j} added it is {with_j:.4f}
({with_j / before - 1:+.1%}). With latent {k} added it is {with_k:.4f} ({with_k / before - 1:+.1%}). Both are healthy
latents of a better SAE, trained on the same data. One is welcome, the other does harm.""")

# %% [markdown]
# So the longer list is not the shorter one with lines added. To see what it is instead, we need this number for every latent.
#
# ## What one latent does, in words and in an equation
#
# The small SAE rebuilds each activation $x_t$ and leaves a *residual* $r_t = x_t - \hat x_t$: all that it has missed on token $t$. A latent $j$ of the large SAE, inserted, adds its direction $d_j$ as strongly as it fires, $f_j(t)\,d_j$. If that points where the residual points, part of the residual is gone. If the residual has nothing in that direction, for instance because a latent of the small SAE has already put it there, we have added the same thing twice, and *made* an error. The new squared error on a token is $|r_t - f_j(t)\,d_j|^2$, so the sum over all tokens changes by
#
# $$ \Delta\mathrm{SSE}_j = \sum_t \left(-2\, f_j(t)\; r_t \cdot d_j \;+\; f_j(t)^2\, |d_j|^2\right). $$
#
# The first term is what the latent repairs, the second what it costs. Divide by the number of tokens and of coordinates, and you have the **insertion effect** on the MSE. Nothing is retrained and nothing else moves: a ReLU latent looks at the input alone, so the others fire as before. Here it is by hand, for latent $j$.

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
# These are the two words of the paper. A latent that lowers the error when it is inserted alone is a **novel latent**: it says something that the small SAE does not. One that fires and doesn't lower it is a **reconstruction latent**: it says again what the small SAE says already, in the same or in finer words. A **silent** latent never fires on these tokens; nothing is known of it, and we leave it out.
#
# ## Seeing it in the directions
#
# The effect needs data. Could you tell from the weights? If a latent repeats something, the small SAE should hold a decoder direction much like its own. So look up, for each latent of the large SAE, its nearest neighbour in the small one by cosine, the **max cosine**.
#
# One trap first. Decoder directions need not have length 1; a latent can write long steps with small activations or short steps with large ones. Compare them by dot product, and length passes for likeness. Scale every direction to length 1 first (SAELens calls it folding the norms), as `compare.nearest` does for you.

# %%
from canonlib.compare import decoder_directions, nearest

lengths = small.W_dec.norm(dim=1)
unscaled = (large.W_dec @ small.W_dec.T).argmax(dim=1)
near = nearest(large, small)
cosine, neighbour = near.cosine[:, 0], near.index[:, 0]
changed = (unscaled != neighbour).float().mean()
print(f"lengths in the small SAE: {lengths.min():.2f} to {lengths.max():.2f}")
print(f"another neighbour without folding: {changed:.0%} of latents")

# %% [markdown]
# To know what each point of the figure *is*, we give it a label: the fact it detects best (by F1, against the world's table) and the three texts that excite it most.

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
    title="Does low cosine mean new information?",
    alt="Scatter of insertion effect against max cosine for each latent of the larger SAE, novel latents in orange.",
)  # fmt: skip

# %% [markdown]
# **Figure 3.1.** Each point is a latent of the larger SAE. Across: cosine with the most similar direction of the smaller SAE. Up: what inserting it does to the smaller SAE's MSE (square-root scale on both sides of zero). The dashed line is the cosine that separates the classes best.

# %% [markdown]
# ## Every pair of sizes
#
# One pair may be luck. And one threshold is a choice; a ROC curve shows all of them at once: how many novel latents each catches (up) for how many false alarms (across). The area under it, the **AUC**, is a probability: draw one novel and one reconstruction latent, and it says how often the novel one has the lower cosine. A coin gives 0.50. Figure 3.2 has a curve for each pair of neighbouring sizes.

# %% tags=["hide-input"]
from canonlib.stitch import InsertionEffects


def stored(p):
    s = p.summary
    return InsertionEffects(p.delta_mse, p.fires, s["mse_small"], s["mse_large"], len(x))


rocs = {f"{p.small:,} → {p.large:,}": cosine_predictor(p.cosine, stored(p)) for p in pairs}
rocs = {name: roc for name, roc in rocs.items() if roc.auc is not None}
viz.roc_figure(
    {name: (roc.fpr, roc.tpr) for name, roc in rocs.items()}, aucs={name: roc.auc for name, roc in rocs.items()},
    title="How well cosine tells novel latents", alt="ROC curves of max cosine, one for each pair of sizes.",
)  # fmt: skip

# %% [markdown]
# **Figure 3.2.** Low max cosine as a test for novelty, for each pair of neighbouring dictionary sizes. Upper left is perfect; the dashed diagonal is guessing.
#
# The table has the same in numbers: the AUC, the best threshold, the share of latents that this threshold puts in the right class, and the sizes of the classes.


# %% tags=["hide-input"]
def rows_of(pairs):
    return [{"pair": f"{p.small:,} → {p.large:,}", **p.summary} for p in pairs]


columns = {"pair": ("pair", ""), "auc": ("AUC", ".2f"), "threshold": ("threshold", ".2f"), "accuracy": ("right", ".0%"),
           "share_novel": ("novel", ".0%"), "n_silent": ("silent", ",")}  # fmt: skip
viz.table(rows_of(pairs), columns)

# %% [markdown]
# ## How much of a bigger dictionary is news?
#
# The paper reports that about a third of the latents are novel when a dictionary doubles (as the [Matryoshka SAE paper](https://arxiv.org/abs/2503.17547) cites it; the stitching post has 35%). The rest are restatements. Our neighbouring sizes lie closer together than that, so for Figure 3.3 we take each size and its double.

# %% tags=["hide-input"]
doubled = run.doublings("standard-all")
shares = [p.summary["share_novel"] for p in doubled]
viz.line_by_size(
    [p.large for p in doubled], {"novel": shares, "paper": [1 / 3] * len(doubled)}, controls=["paper"], percent=True,
    colors={"novel": viz.LARGE}, y="share of the latents that fire", title="How many latents are new when the size doubles",
    alt="Share of novel latents at each doubling of the dictionary size, with the paper's third as a dashed line.",
)  # fmt: skip

# %% [markdown]
# **Figure 3.3.** Share of latents of the larger SAE that lower the error of the SAE half its size. Dashed: about a third, as reported for GPT-2.

# %% tags=["hide-input"]
display(*(viz.claim_box(claim(run, name)) for name in ("stitch-auc", "stitch-threshold", "stitch-share")))

# %% [markdown]
# ## Insert them all: effects do not add up
#
# Each novel latent helps alone. So let us insert all of them. If the effects added up, the gain would be their sum. They don't, and we can say by exactly how much. With several latents inserted, the token's new error is $|r_t - \sum_j f_j(t)\,d_j|^2$, and squaring the sum leaves the products of each latent with every other:
#
# $$ \Delta\mathrm{SSE}_{\text{all}} = \sum_j \Delta\mathrm{SSE}_j \;+\; \sum_t \sum_{j \neq k} f_j(t)\, f_k(t)\; d_j \cdot d_k. $$
#
# When two latents fire on one token and point the same way, both claim the same piece of the residual. Each would repair it alone; together they repair it twice. Let us check that this term is all there is to it.

# %%
novel = classes.novel.nonzero()[:, 0]
stitched = insert(small, large, novel)
together = reconstruction(stitched, x).mse - before
single = float(effects.delta_mse[novel].sum())
pieces = f[:, novel] @ large.W_dec[novel]  # Σ_j f_j d_j, [n_tokens, d_model]
alone = (f[:, novel] ** 2) @ large.W_dec[novel].square().sum(1)
cross = float((pieces.square().sum(1) - alone).double().sum() / x.numel())
assert abs(single + cross - together) < 1e-4 * before

# %% tags=["hide-input"]
viz.say(f"""The {len(novel)} single effects add up to {single:+.3f}, on an MSE of {
    before:.3f}. The products between latents
put back {cross:+.3f}. What remains, {together:+.3f}, is what inserting them all really does.
{
    "A sum of single effects that exceeds the whole error is a promise nobody can keep."
    if single < -before
    else "The sum promises more than the latents together can keep."
    if together > single
    else ""
}""")

# %% [markdown]
# For each pair, as shares of the small SAE's MSE: what the single effects promise, what inserting all novel latents delivers, and what the larger SAE achieves. The last column is the price: how many latents are active on a token in the small SAE, after the insertion, and in the larger SAE.

# %% tags=["hide-input"]
l0_large = {row["n_latents"]: row["l0"] for row in run.evaluation("standard-all")}


def additivity(p):
    s, mse = p.summary, p.summary["mse_small"]
    return {
        "pair": f"{p.small:,} → {p.large:,}",
        "promised": float(p.delta_mse[p.delta_mse < 0].sum()) / mse,
        "delivered": s["mse_all_novel"] / mse - 1,
        "larger": s["mse_large"] / mse - 1,
        "l0": f"{s['l0_small']:.1f} → {s['l0_all_novel']:.1f} ({l0_large[p.large]:.1f})",
    }


viz.table([additivity(p) for p in pairs], {
    "pair": ("pair", ""), "promised": ("sum of effects", "+.0%"), "delivered": ("all inserted", "+.0%"),
    "larger": ("larger SAE", "+.0%"), "l0": ("L0 (larger SAE)", "")})  # fmt: skip

# %% tags=["hide-input"]
sums, kept = [additivity(p) for p in pairs], [p.summary["mse_all_novel"] < p.summary["mse_small"] for p in pairs]
below = sum(p.summary["mse_all_novel"] < p.summary["mse_large"] for p in pairs)
gaps = [s["delivered"] - s["promised"] for s in sums]
verdict = (
    "In every pair the error falls when all novel latents are inserted" if all(kept) else
    f"The error falls in {sum(kept)} of {len(kept)} pairs when all novel latents are inserted, and rises in the others"
)  # fmt: skip
assert abs(pair.summary["mse_all_novel"] - before - together) < 1e-4 * before
display(viz.say(f"""{verdict}; it ends below the larger SAE's in {below} of {len(pairs)}. Between promise and delivery lie
{min(gaps, key=abs):.0%} to {max(gaps, key=abs):.0%} of the small SAE's error."""),
        viz.claim_box(claim(run, "stitch-novel")))  # fmt: skip

# %% [markdown]
# The result is an SAE like any other, with latents from two: a *Frankenstein SAE*, as the authors' post calls it. To go on to the larger SAE, you would also have to swap reconstruction latents for those that they restate. That is the second part of stitching, and not in this chapter.
#
# ## Doubt, first: would anything be "novel"?
#
# A test that always finds news finds none. So give the large SAE's activations wrong directions: other latents' (its decoder rows in another order), or random ones of the same lengths. And shuffle the cosines among the latents: the AUC should be a coin's.

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
# The last control asks whether cosine is a stand-in for something simpler. Rare latents may be newer than frequent ones; then counting how often a latent fires would do as well.

# %%
shuffles = [torch.randperm(pair.large, generator=draw) for _ in range(50)]
aucs = torch.tensor([cosine_predictor(cosine[s], effects).auc for s in shuffles])
rare = cosine_predictor(effects.fires.double(), effects).auc
word, rate = ("rarely", rare) if rare > 0.5 else ("often", 1 - rare)
print(f"low cosine: AUC {ours.auc:.2f}, shuffled: {aucs.mean():.2f} ± {aucs.std():.2f}")

# %% tags=["hide-input"]
viz.say(f"""Shuffled, cosine is worth a coin. Calling the latents novel that fire {word} has an AUC of {rate:.2f}:
{
    "cosine knows more than that."
    if ours.auc > rate + 0.02
    else "in this pair, counting does as well as comparing directions, so cosine alone proves little."
}""")

# %% [markdown]
# ## Doubt, second: half of λ
#
# Here is a subtler worry. Our SAEs pay $\lambda$ for each unit of activation, so they hold back. For an active latent $i$ the training loss, $|r|^2 + \lambda \sum_i f_i |d_i|$, is least when
#
# $$ -2\, r \cdot d_i + \lambda |d_i| = 0, \qquad\text{that is,}\qquad r \cdot \frac{d_i}{|d_i|} = \frac{\lambda}{2}. $$
#
# Every active latent stops $\lambda/2$ short, and the residual holds that much of *its own direction*. Now insert an exact copy of it. By our formula the copy changes the error by $-\lambda f + f^2$ per token (for $|d_i| = 1$): it *lowers* it wherever $f < \lambda$. Such a copy would be called novel, and all it does is undo the shrinkage.
#
# With nearly orthogonal directions, shrinkage makes up about $L_0 (\lambda/2)^2 / d$ of the MSE, with $d$ coordinates, in the units that the trainer uses (it scales activations by a constant, kept in `training.json`). We can check the prediction $\lambda/2$, and we can insert the small SAE *into itself*: its own latents have cosine 1 and nothing to say, so every one that counts as novel is an artefact.

# %%
scale = family.artefacts[pair.small].json("training.json")["scaling_factor"]
half = family.family.sparsity / 2 / scale  # λ/2 in the activations' own units
along = residual @ decoder_directions(small).T  # [n_tokens, n_latents]
held_back = along[small.encode(x) > 0].mean()
copies = classify(insertion_effects(small, small, x)).share_novel
print(f"residual along an active latent: predicted {half:.3f}, measured {held_back:.3f}")
print(f"copies of the small SAE's own latents that count as novel: {copies:.1%}")

# %% [markdown]
# Now for all pairs, the formula's share of the small SAE's error and the share of its own copies that pass for novel (on 20,000 tokens), beside the results that they could have tainted. A share above 100% cannot be: there the directions are too crowded for the formula, and it only says *much*.


# %% tags=["hide-input"]
def suspicion(p):
    held = family.family.sparsity / 2 / family.artefacts[p.small].json("training.json")["scaling_factor"]
    sae, s = family.sae(p.small), p.summary
    copied = classify(insertion_effects(sae, sae, x[:20_000])).share_novel
    return {**rows_of([p])[0], "shrunk": s["l0_small"] * held**2 / x.shape[1] / s["mse_small"], "copied": copied}


doubts = [suspicion(p) for p in pairs]
clean = [d["pair"] for d in doubts if d["copied"] < 0.05]
display(
    viz.table(doubts, {"pair": ("pair", ""), "shrunk": ("shrinkage by formula", ".0%"), "auc": ("AUC", ".2f"),
                       "copied": ("copies called novel", ".0%"), "share_novel": ("novel", ".0%")}),
    viz.say(f"""In {len(clean)} of {len(doubts)} pairs fewer than 5% of the copies pass for novel. {
    "So the penalty does not make our novel latents." if len(clean) == len(doubts) else
    "In the others the small SAE would call its own latents news: there, the share of novel latents and the AUC measure "
    "the penalty as much as the dictionary."}"""),
)  # fmt: skip

# %% [markdown]
# When you stitch SAEs of your own, insert the small one into itself first. A λ that is large beside the remaining error makes news of everything.
#
# ## Where it breaks
#
# Our family ends at 128 latents, as many as the residual stream has dimensions. That is no accident: we chose the range after trials in which larger dictionaries failed the tests above, and you should see them fail. We train two larger ones the same way and stitch them, too (the first time, this takes a minute).

# %%
from dataclasses import replace

from canonlib.pipeline.stitching import stitch_pairs
from canonlib.sae.family import train_families

wider = replace(family.family, sizes=(128, 192, 256))
beyond = train_families(run.tier, (wider,), run.store, run.data, progress=False)[0]
further = stitch_pairs(beyond, [(128, 192), (192, 256), (128, 256)], run.store, run.data, progress=False)
tail = [{**row, "kept": row["mse_all_novel"] / row["mse_small"] - 1} for row in rows_of(further)]
viz.table(tail, {**columns, "kept": ("all inserted", "+.1%")})

# %% tags=["hide-input"]
inside, outside = [p.summary["auc"] for p in pairs], [p.summary["auc"] or 0.5 for p in further]
viz.say(f"""Up to 128 latents the lowest AUC is {min(inside):.2f}; beyond, it is {min(outside):.2f}. {
    "There the test weakens, and the table above says why: at 128 latents little is left to explain, and much of that "
    "little is shrinkage."
    if min(outside) < min(inside)
    else "So the test holds up beyond the family, at this seed."
}
A world of a few hundred names fills a small dictionary; a language model does not.""")

# %% [markdown]
# ## Doubt, third: another kind of SAE
#
# If all of this came from the ReLU, another architecture would show something else. The second family was trained as BatchTopK, with no penalty on activations, and on entity mentions only. In its training form latents compete for places, so inserting one displaces others, and our sum does not hold. Saved for inference, BatchTopK becomes a JumpReLU with a fixed threshold. Its latents are independent again, and the formula is exact.

# %% tags=["hide-input"]
entity_pairs = run.pairs("batchtopk-entities")
mentions = run.data.eval.only("entities")
other_rows = [{**row, "kept": row["mse_all_novel"] / row["mse_small"] - 1} for row in rows_of(entity_pairs)]
other = [p.summary["auc"] for p in entity_pairs if p.summary["auc"] is not None]
fewest = min(p.summary["n_novel"] for p in entity_pairs)
told = f"""The AUC runs from {min(other):.2f} to {max(other):.2f} here, against
{min(r.auc for r in rocs.values()):.2f} to {max(r.auc for r in rocs.values()):.2f} for the ReLU family.
{
    "So how well cosine predicts depends on the kind of SAE and on its tokens."
    if min(other) < 0.9
    else "What we found does not depend on the ReLU."
} Mind the counts: the pair with the fewest novel latents has {fewest}, and an AUC
over a handful is a rough number (over none, it does not exist)."""
display(viz.table(other_rows, {**columns, "kept": ("all inserted", "+.1%")}), viz.say(told))

# %% [markdown]
# ## What is new, and is it true?
#
# GPT-2 could not tell the paper's authors what a novel latent *should* be. Our world can. Below are the three most welcome and the three least welcome latents of our pair, with the fact that each detects best and the text that excites it most.

# %% tags=["hide-input"]
ranked = [n for n in effects.delta_mse.argsort().tolist() if not effects.silent[n]]
examples = [
    {"latent": n, "effect": float(effects.relative[n]), "cosine": float(cosine[n]), "fact": fact[n],
     "text": texts[n][0]} for n in ranked[:3] + ranked[-3:]
]  # fmt: skip
display(
    viz.table(examples, {"latent": ("latent", ""), "effect": ("effect", "+.1%"), "cosine": ("cosine", ".2f"),
                         "fact": ("best fact", ""), "text": ("strongest on", "")}),
    viz.say(f"The median best F1 over all {pair.large} latents is {best.values.median():.2f}."),
)  # fmt: skip

# %% [markdown]
# An SAE of all tokens spends most of its latents on sentences, not on the people in them, so its best facts are weak descriptions. The family trained on mentions is the place to ask whom the new latents are about. For each of its pairs: how well the classes detect their best fact, and how many latents are the *own* latent of a single entity (F1 above 0.7).


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
known = [t for t in truths if t["n"] >= 10]
more = sum(t["new_own"] > t["old_own"] for t in known)
broad = sum(t["new_fact"] > t["old_fact"] for t in known)
headers = {"pair": ("pair", ""), "n": ("novel", ","), "new_fact": ("best fact: novel", ".2f"),
           "old_fact": ("reconstruction", ".2f"), "new_own": ("one entity's own: novel", ".0%"),
           "old_own": ("reconstruction", ".0%")}  # fmt: skip
told = f"""Of the {
    len(known)
} pairs with at least ten novel latents, the novel ones are an entity's own more often than the
reconstruction latents in {more}, and detect their best fact better in {broad}.
{
    "So part of the news is names: a larger dictionary adds people and cities that the smaller one could not afford."
    if more > len(known) / 2
    else "So being new is not the same as naming someone: a latent for one entity can be a split of a coarser one."
}"""
display(viz.table(truths, headers), viz.say(told))

# %% [markdown]
# ## The paper and us
#
# The authors stitch eight SAEs of GPT-2 small (768 to 98,304 latents) trained on 300 million tokens of web text; ours hold at most a few thousand latents on a model of a million parameters that reads one grammar. Doubling means the same in both, but our larger dictionaries approach the number of things that there are to say, and theirs don't. One seed is shown; run the chapter with `-p seed 1` for another.
#
# ## Exercises
#
# **1. Guess the class** (easy, 5 minutes). Here are the cosines of eight latents of our pair. Write down, for each, *novel* or *reconstruction*, before you open the solution. Which ones are you least sure of?

# %%
firing = (~effects.silent).nonzero()[:, 0]
quiz = firing[torch.randperm(len(firing), generator=torch.Generator().manual_seed(7))[:8]]
print(", ".join(f"{n}: {cosine[n]:.2f}" for n in quiz.tolist()))

# %% [markdown]
# <details><summary>Hint</summary>
#
# The dashed line of Figure 3.1 is the best single cut. Near it, cosine knows little.
#
# </details>
#
# **Solution.** The cut at the best threshold, against the truth:

# %% tags=["hide-cell"]
guess, real = cosine[quiz] <= ours.threshold, classes.novel[quiz]
for n, g, r in zip(quiz.tolist(), guess.tolist(), real.tolist(), strict=True):
    words = ["reconstruction", "novel"]
    print(f"{n}: guess {words[g]}, truth {words[r]}, effect {effects.relative[n]:+.2%}")
print(f"{int((guess == real).sum())} of {len(quiz)} right")

# %% [markdown]
# **2. The same direction, and yet new** (medium, 15 minutes). Find the latent that lowers the error most among those with a cosine *above* the threshold. The small SAE has its direction. Why does inserting it help?
#
# <details><summary>Hint</summary>
#
# The cosine compares what two latents *write*. An SAE's latent also *reads*. On which tokens does each of the two fire, and on which of them does the gain arise?
#
# </details>
#
# **Solution.** We split its tokens by whether the small SAE's neighbour fires too, and take the effect on both parts:

# %% tags=["hide-cell"]
above = (cosine > ours.threshold) & ~effects.silent
odd = int(torch.where(above, effects.delta_mse, torch.inf).argmin())
on, twin = f[:, odd] > 0, small.encode(x)[:, neighbour[odd]] > 0
d = large.W_dec[odd]
change = (f[:, odd] ** 2 * (d @ d) - 2 * f[:, odd] * (residual @ d)).double() / x.numel() / before
print(f"latent {odd}, {fact[odd]}, strongest on: {texts[odd][0]}")
print(f"cosine {cosine[odd]:.2f} with latent {int(neighbour[odd])}, effect {effects.relative[odd]:+.2%}")
print(f"its neighbour fires on {twin[on].double().mean():.0%} of its tokens")
shared, lone = change[on & twin].sum(), change[on & ~twin].sum()
print(f"effect where both fire {shared:+.2%}, where it fires alone {lone:+.2%}")

# %% [markdown]
# A gain where it fires *alone* means that both write the same thing but read differently: the small SAE's latent misses these tokens. A gain where *both* fire has two sources: the neighbour stops short (shrinkage, as above), or the part of the direction in which they differ is what was missing. The cosine of decoders can see neither the gate nor the size of the step; that is why it predicts and does not decide.
#
# **3. Two goods make a bad** (harder, 20 minutes; pencil first). Find two latents that each lower the error when inserted alone, and that raise it above the start when both are inserted. What is the least cosine between their directions for which this can happen, if both fire on one token with the same strength $f$ on a residual $r$ that has the same dot product with both? Does your answer explain which pairs in the table deliver least?
#
# <details><summary>Hint</summary>
#
# One token will do. Write $a = r\cdot d_1 = r\cdot d_2$ for unit directions and $c = d_1 \cdot d_2$. When is $-2fa + f^2 < 0$, and when is $-4fa + 2f^2 + 2f^2c > 0$?
#
# </details>
#
# **Solution.** Alone, each helps when $f < 2a$. Together, they harm when $f(1 + c) > 2a$. Both hold when $2a/(1+c) < f < 2a$. So *any* positive cosine will do, provided that the latents overshoot: at $c = 1$ an activation above $a$ is enough, while at a small $c$ it must be close to the break-even $2a$. Two copies of a latent with $f = 1.5\,a$ are the plainest case. The more latents fire at once in similar directions, the sooner it happens: with $m$ of them, at $f(1 + (m-1)c) > 2a$. So look at L0 and at cosines among the novel latents, not at their single effects.

# %% tags=["hide-cell"]
r = torch.tensor([1.0, 0.0])
for c in (1.0, 0.5, 0.1):
    tilt = ((1 + c) / 2) ** 0.5  # both directions at the same angle from r, with cosine c between them
    d = torch.tensor([[tilt, (1 - tilt**2) ** 0.5], [tilt, -((1 - tilt**2) ** 0.5)]])
    step = (2 * tilt / (1 + c) + 2 * tilt) / 2  # between the two bounds
    one = (r - step * d[0]).square().sum() - 1
    both = (r - step * d.sum(0)).square().sum() - 1
    print(f"cosine {c:.1f}, f = {step:.2f}: one alone {one:+.2f}, both {both:+.2f}")

# %% [markdown]
# ## Summary
#
# - A bigger dictionary is not a longer list: some of its latents are novel to the smaller one, the others restate what it says, and adding these makes the smaller one worse.
# - One pass over the data gives the exact insertion effect of every latent, and the max cosine of decoder directions, with norms folded, predicts its sign from the weights alone; how well is in the claim box above.
# - Effects of single latents do not add up, and L1 shrinkage can pass for novelty: before you trust a share of novel latents, insert the small SAE into itself.
#
# **Next:** the larger dictionary's latents are more specific. Are they at least whole? [Are latents atoms?](04-meta-saes.ipynb)
