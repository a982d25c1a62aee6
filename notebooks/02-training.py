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
# # What does a dictionary learn first, and what does it add as it grows?
#
# > **At the end you can say** how a sparse autoencoder is built and trained, which five numbers tell whether it is any good, and what a large dictionary knows that a small one does not.
# >
# > **Reading** 20 minutes. **Running** a minute on a CPU once the SAEs are in the store; the first time they are trained, which takes some minutes more.
# > **Read first:** the world and its model ([chapter 1](01-canonical.ipynb)). **May be skipped:** *What the model notices* and *The dead*, at first reading.

# %% tags=["parameters"]
tier = "world"
seed = 0

# %% tags=["hide-input"]
import tempfile
from pathlib import Path

import torch
from IPython.display import display

from canonlib import tiers, viz
from canonlib.claims.compute import claim
from canonlib.pipeline import Run

viz.setup_plotly()
run = Run(tiers.get(tier, seed=seed), progress=False)
RELU, BATCHTOPK = "ReLU + L1, all tokens", "BatchTopK, mentions"
COLORS = {RELU: "#b8860b", BATCHTOPK: "#a0437a"}

# %% [markdown]
# ## Twenty-four things in sixteen numbers
#
# A model that has 16 numbers for each token could keep 16 properties apart, one per number. Language has more properties than that. But most of them are absent most of the time: few tokens are about rugby, fewer about rugby in Ireland. So a model can give every property a *direction* of its own, more directions than there are numbers, and bear with a little overlap between them. This is called **superposition**.
#
# Let us plant some. Here are 24 random directions in 16 dimensions. On each row, every one of them is present with a chance of 8%, with a strength between 0.5 and 1.5, and the row is their sum. The planted directions are the truth, and the rows are all that anyone gets to see.

# %%
g = torch.Generator().manual_seed(seed)
planted = torch.nn.functional.normalize(torch.randn(24, 16, generator=g), dim=1)
present = torch.rand(20_000, 24, generator=g) < 0.08
strength = 0.5 + torch.rand(20_000, 24, generator=g)
rows = ((present * strength) @ planted)[present.any(1)]  # [n_rows, 16]
print(f"{len(rows):,} rows, {present[present.any(1)].sum(1).float().mean():.1f} directions present on average")

# %% [markdown]
# Now train a sparse autoencoder with 24 latents on the rows. We say how below; for now it is enough that it sees no planted direction, only sums. `train` is the function that trains every SAE in this book.

# %%
from canonlib.sae import training
from canonlib.tiers import Family

recipe = Family("standard", "all", (24,), sparsity=1.0, steps=800, batch=256, lr=1e-2)
with tempfile.TemporaryDirectory() as folder:
    toy = training.train(recipe, 24, rows, seed=seed, out=Path(folder))
print(f"decoder: {list(toy.W_dec.shape)}, one direction for each latent")

# %% [markdown]
# Compare each planted direction with what the autoencoder found, and with what you would get by reading single coordinates. A cosine of 1 is the same direction.

# %%
from canonlib.compare import decoder_directions, nearest

found = nearest(planted, toy).cosine[:, 0]
axes = nearest(planted, torch.eye(16)).cosine[:, 0]
cosines = planted @ decoder_directions(toy).T  # [n_planted, n_latents]
n_found = int((found > 0.9).sum())

# %% tags=["hide-input"]
order = list(dict.fromkeys([*cosines.argmax(1).tolist(), *range(24)]))  # each planted direction's latent, then the rest
viz.fact_heatmap(
    cosines[:, order].round(decimals=2),
    [f"planted {i}" for i in range(24)],
    [f"latent {j}" for j in order],
    title=f"{n_found} of 24 planted directions are found",
    unit="cosine",
    low=0,
    high=1,
    height=560,
    alt="Heatmap of cosines, planted directions by latents, dark where a latent matches a planted direction.",
)

# %% [markdown]
# **Figure 2.1.** Cosine between each planted direction (rows) and each latent's decoder direction (columns, sorted so that a match falls on the diagonal). A dark diagonal on a pale ground means that the autoencoder has pulled the sums apart.

# %% tags=["hide-input"]
viz.say(f"""In Figure 2.1, {n_found} of 24 planted directions have a latent with a cosine above 0.9, and
the mean of the best cosines is {found.mean():.2f}. The best single coordinate reaches {axes.mean():.2f} on average:
reading the coordinates one by one would have told you little.""")

# %% [markdown]
# So far, so good. But notice what was on our side: we knew that there were 24, and asked for 24. On a language model nobody knows the number. What happens when you ask for far too few, or far too many? That is the question of this chapter, and of the paper.
#
# ## The machine
#
# A **sparse autoencoder** (SAE) writes an activation $x$ as a short sum of directions. Its *encoder* decides which latents are active and how strongly; its *decoder* adds up their directions. With $w_j$ the encoder's weights of latent $j$, $b_j$ its bias, $d_j$ its decoder direction and $b_\text{dec}$ a constant:
#
# $$ f_j(x) = \mathrm{ReLU}\big(w_j \cdot (x - b_\text{dec}) + b_j\big), $$
#
# $$ \hat x = b_\text{dec} + \sum_j f_j(x)\, d_j. $$
#
# It is trained to do two things at once: rebuild $x$, and do so with little activation. The weight $\lambda$ says what a unit of activation costs.
#
# $$ L(x) = |x - \hat x|^2 + \lambda \sum_j f_j(x)\,|d_j|. $$
#
# The second term is the $L_1$ penalty. The length $|d_j|$ stands in it so that the SAE cannot cheat with small activations and long directions. This is **ReLU + L1**, the architecture of the paper.
#
# Take one token on which the model reads the name *Einstein*, and encode it by hand: a matrix product, a bias, a ReLU. SAELens must give the same.

# %%
from canonlib.world import table

names = [entity.name for entity in table.entities()]
mentions = run.data.eval.only("entities")
x = mentions.activations[mentions.entity == names.index("Einstein")][0]  # [d_model]
relu = run.family("standard-all").sae(run.family("standard-all").sizes[-1])
f = torch.relu((x - relu.b_dec) @ relu.W_enc + relu.b_enc).detach()  # [n_latents]
x_hat = relu.b_dec + f @ relu.W_dec
assert torch.allclose(f, relu.encode(x), atol=1e-4)
assert torch.allclose(x_hat, relu(x), atol=1e-4)

# %% tags=["hide-input"]
with torch.no_grad():
    error, top = (x - x_hat).square().sum() / (x - relu.b_dec).square().sum(), f.topk(3)
viz.say(f"""Of {len(f):,} latents, {int((f > 0).sum())} are active on this token; the strongest three
({", ".join(str(j) for j in top.indices.tolist())}) carry {top.values.sum() / f.sum():.0%} of the activation. The reconstruction
misses {error:.1%} of the squared distance between $x$ and $b_\\text{{dec}}$.""")

# %% [markdown]
# ## A second machine: BatchTopK
#
# The $L_1$ penalty has a price: it makes every activation a bit too small, because small is cheap. **BatchTopK** has no penalty. In a batch of $B$ tokens it keeps the $k B$ largest activations and sets the rest to zero. So $k$ latents are active *on average*; a token that needs many may take them from one that needs few. When training is over, a fixed threshold $\theta$ takes the place of the batch, so that what happens on one token no longer depends on its neighbours:
#
# $$ f_j(x) = p_j\,[\,p_j > \theta\,], \qquad p_j = w_j \cdot (x - b_\text{dec}) + b_j. $$
#
# You can do the sum by hand in exercise 1. One thing is added to the loss: latents that have not been active for a long time are asked to rebuild what the others leave over, so that they come back to life.
#
# ## Two families, and why they see different tokens
#
# A *family* is a set of SAEs that differ only in the number of latents, the **dictionary size**. We train two, with SAELens's trainer, on the residual stream of the world's model.

# %%
for family in run.tier.families:
    kind = "L1 coefficient" if family.architecture == "standard" else "k"
    print(f"{family.name}: {kind} {family.sparsity:g}, {family.steps:,} steps of {family.batch:,} tokens")
    print("    latents:", ", ".join(f"{n:,}" for n in family.sizes))

# %% [markdown]
# The first is the paper's architecture on **all tokens**. We use it for [stitching](03-stitching.ipynb), where we want to be as close to the paper as we can. The second is BatchTopK on **entity mentions** only, the tokens on which a person or a city is named. We use it for the story of entities and facts, here and in [the chapter on meta-SAEs](04-meta-saes.ipynb).
#
# Why not one family for both? Because an SAE spends its latents where the squared error is, and the squared error is where the tokens are. Count them, and count what the latents of the first family are about.

# %%
from canonlib.sae.selectivity import selectivity

everything = run.data.eval
firing = selectivity(relu, everything)
on_mentions = firing.by_entity.sum(1) / firing.fires.clamp_min(1)  # [n_latents]
share_tokens = float((everything.entity >= 0).float().mean())
share_latents = float((on_mentions > 0.5).float().mean())

# %% tags=["hide-input"]
viz.say(f"""Names are {share_tokens:.1%} of the tokens. Of the {len(on_mentions):,} latents of the ReLU SAE,
{share_latents:.1%} are active mostly on names; the others are for what stands around them: clauses, prepositions,
what was said two words ago. On all tokens, contexts come first. An SAE trained on names alone has no contexts to learn
apart from those that the name's own position carries, so it can spend its latents on entities.""")

# %% [markdown]
# Which tokens an SAE sees is thus part of *what it is*, as much as its size. In canonlib it is a field of the tier (`Family.tokens`), and it stands in the name of the family: `standard-all`, `batchtopk-entities`. Don't compare numbers of the two families with each other without thinking of it.

# %% tags=["hide-input"]
d_model, most = len(x), len(relu.W_dec)
over = "more directions than coordinates, as the paper's dictionaries have"
under = "never more directions than coordinates, while the paper's dictionaries all have as many or more"
viz.say(f"""The sizes differ too. The largest ReLU dictionary has {most:,} latents for {d_model} coordinates:
{over if most > d_model else under}. The largest BatchTopK dictionary has
{run.family("batchtopk-entities").sizes[-1]:,}.""")

# %% [markdown]
# ## Training
#
# Each line below is one SAE. Both kinds start from the data: the decoder bias at the mean, the directions on randomly chosen activations. So no latent begins far from everything that it might be active on.

# %%
ends = {}
for name, label in (("standard-all", RELU), ("batchtopk-entities", BATCHTOPK)):
    saved = run.family(name).artefacts
    losses = {n: training.read_losses(saved[n].folder) for n in sorted(saved)}
    ends[label] = {n: sum(loss[-3:]) / len(loss[-3:]) for n, loss in losses.items()}
    display(viz.training_curves(
        losses, every=50, title=f"Training error ({label})", y="squared error per token",
        height=340, alt=f"Squared error over training steps, by size, for {label}."))  # fmt: skip

# %% [markdown]
# **Figure 2.2.** Squared error per token during training (activations scaled so that their mean length is $\sqrt{d_\text{model}}$), one line for each dictionary size, above for ReLU + L1 and below for BatchTopK. In the upper panel $\lambda$ grows from zero during the first fifth, so the error may rise while the penalty sets in. The learning rate falls to zero over the last fifth.

# %% tags=["hide-input"]
lowest = {label: min(e, key=e.get) for label, e in ends.items()}
viz.say(" ".join(
    f"With {label}, the error at the end goes from {e[min(e)]:.1f} at {min(e):,} latents to {e[max(e)]:.1f} at {max(e):,}"
    + ("." if lowest[label] == max(e) else f", with the lowest end at {lowest[label]:,}: the largest may need more steps.")
    for label, e in ends.items()))  # fmt: skip

# %% [markdown]
# ## Five numbers
#
# A trained SAE is judged on tokens that it has not seen. **L0** is the number of active latents per token, on average. **MSE** is the mean squared error over tokens and coordinates. **FVU**, the fraction of variance unexplained, puts the same error on a scale that you can read: 0 is perfect, 1 is no better than the mean $\bar x$.
#
# $$ \mathrm{FVU} = \frac{\sum_t |x_t - \hat x_t|^2}{\sum_t |x_t - \bar x|^2}. $$
#
# All three by hand, for one SAE, and then the library's for comparison. `run.evaluation` holds the table for a whole family.

# %%
size = run.tier.meta_base
entity_sae = run.family("batchtopk-entities").sae(size)
row = next(r for r in run.evaluation("batchtopk-entities") if r["n_latents"] == size)
X = mentions.activations  # [n_mentions, d_model]
with torch.no_grad():
    squared = (X - entity_sae(X)).double().square().sum()
    l0 = (entity_sae.encode(X) > 0).sum() / len(X)
fvu = squared / (X - X.mean(0)).double().square().sum()
assert abs(float(l0) - row["l0"]) < 1e-3
assert abs(float(squared) / X.numel() - row["mse"]) < 1e-4 * row["mse"]
assert abs(float(fvu) - row["fvu"]) < 1e-4

# %% [markdown]
# ## What the model notices
#
# A small error may still be the one error that matters. So put the reconstruction in the place of the activation, let the model go on from there, and look at its **cross-entropy (CE) loss** on the next token. Let $L_x$ be the model's own loss, $L_{\hat x}$ the loss with the reconstruction, and $L_0$ the loss with zeros. Then
#
# $$ \text{CE loss recovered} = \frac{L_0 - L_{\hat x}}{L_0 - L_x} $$
#
# is 1 if the model notices nothing and 0 if it might as well have been given zeros. Zeros are the *baseline*: a hard blow, so high values come cheap, and differences between 0.98 and 0.99 deserve attention. The SAE is put only at the tokens that its family was trained on.

# %%
from canonlib.activations import documents
from canonlib.sae.evaluation import CE_DOCUMENTS, ce_loss, replaced_positions

tokens = documents(run.tier, "eval")[:CE_DOCUMENTS]
where = replaced_positions(tokens, "entities")
loss_x = ce_loss(run.lm, tokens, run.tier.hook)
loss_hat = ce_loss(run.lm, tokens, run.tier.hook, where, entity_sae)
loss_0 = ce_loss(run.lm, tokens, run.tier.hook, where, torch.zeros_like)
recovered = (loss_0 - loss_hat) / (loss_0 - loss_x)
assert abs(recovered - row["ce_recovered"]) < 1e-3

# %% tags=["hide-input"]
viz.say(f"""The model's own loss is {loss_x:.3f} nats per token. With the reconstruction of {size:,} latents at the
mentions it is {loss_hat:.3f}, with zeros there {loss_0:.3f}: {recovered:.1%} of the loss is recovered.""")

# %% [markdown]
# The fifth number is the share of **dead** latents, those that are active on none of the evaluation tokens. Here is the whole table, first for ReLU + L1 on all tokens, then for BatchTopK on mentions.

# %%
columns = {"n_latents": ("latents", ","), "l0": ("L0", ".1f"), "mse": ("MSE", ".3f"),
           "fvu": ("FVU", ".3f"), "ce_recovered": ("CE recovered", ".1%"),
           "dead_fraction": ("dead", ".1%")}  # fmt: skip
table_relu = run.evaluation("standard-all")
table_batchtopk = run.evaluation("batchtopk-entities")
sizes = [r["n_latents"] for r in table_batchtopk]
display(viz.table(table_relu, columns), viz.table(table_batchtopk, columns))

# %% [markdown]
# Figure 2.3 draws the fourth column. This is the *frontier*: how much variance is left unexplained at each size.

# %% tags=["hide-input"]
for label, rows_ in ((RELU, table_relu), (BATCHTOPK, table_batchtopk)):
    display(viz.line_by_size(
        [r["n_latents"] for r in rows_], {"FVU": [r["fvu"] for r in rows_]}, y="FVU on unseen tokens", height=300,
        title=f"Variance unexplained ({label})", colors={"FVU": COLORS[label]},
        alt=f"FVU against dictionary size for {label}."))  # fmt: skip

# %% [markdown]
# **Figure 2.3.** Fraction of variance unexplained on the evaluation split, each family on its own kind of tokens. The panels have different tokens, different variances and different L0, so read each from left to right, and not one against the other.

# %% tags=["hide-input"]
a, b = table_relu[0], table_relu[-1]
best = min(table_batchtopk, key=lambda r: r["fvu"])
l0s, relu_l0s = [r["l0"] for r in table_batchtopk], [r["l0"] for r in table_relu]
moves = (
    "size is not all that changes along this line" if max(relu_l0s) > 1.2 * min(relu_l0s) else "sparsity hardly moves"
)
viz.say(f"""For ReLU + L1 the FVU goes from {a["fvu"]:.3f} to {b["fvu"]:.3f}, with an L0
between {min(relu_l0s):.1f} and {max(relu_l0s):.1f}: {moves}. For BatchTopK, where $k$ is held at {run.tier.family("batchtopk-entities").sparsity:g}, the FVU goes from
{table_batchtopk[0]["fvu"]:.3f} to {table_batchtopk[-1]["fvu"]:.3f}, with its lowest value at {best["n_latents"]:,} latents. Its
L0 on unseen tokens lies between {min(l0s):.1f} and {max(l0s):.1f}: the fixed threshold meets the $k$ of the training
batches only roughly.""")

# %% [markdown]
# ## The dead
#
# A latent is trained only on tokens where it is active. If its encoder looks in a direction where no activation lies, it is never active, gets no gradient from the reconstruction, and stays where it is. ReLU + L1 has no way back; the penalty even drives weak latents there. BatchTopK has the auxiliary loss, but its latents must also win against all others in the batch. And a large dictionary may simply have run out of things to say: there are only so many entities. So ask of each dead latent whether it is active on the *training* split.

# %%
largest = run.family("batchtopk-entities").sae(sizes[-1])
seen = selectivity(largest, run.data.train.only("entities")).fires
unseen = selectivity(largest, mentions).fires
dead = unseen == 0
only_rare = dead & (seen > 0)

# %% tags=["hide-input"]
viz.say(f"""Of {sizes[-1]:,} BatchTopK latents, {int(dead.sum()):,} ({dead.double().mean():.1%}) are dead on unseen mentions.
{int(only_rare.sum()):,} of them were active at least once on the mentions that they were trained on, so they are rare or
over-fitted rather than dead; the other {int((dead & ~only_rare).sum()):,} do nothing at all. The world has
{len(names)} entities; {int((~dead).sum()):,} latents are alive. At the largest size of ReLU + L1 the dead share is
{table_relu[-1]["dead_fraction"]:.1%}. Dead latents do no harm to what follows, for they never fire, but the dictionary
size then says more than there is.""")

# %% [markdown]
# ## What the latents are about
#
# Now the question that the five numbers do not touch. Two dictionaries may have the same error and speak of different things. In our world we can ask what each latent is about, because we know who is named on each token.
#
# Treat a latent as a *detector*. It fires on a token or it does not, and the token names Einstein or it does not. **Precision** is the share of its firings that are right, **recall** the share of the mentions that it catches, and **F1** their harmonic mean, $2PR/(P+R)$. For one latent, by hand:

# %%
einstein = names.index("Einstein")
best_latent = selectivity(entity_sae, mentions).entity_f1()[:, einstein].argmax()
with torch.no_grad():
    fires = entity_sae.encode(X)[:, best_latent] > 0
named = mentions.entity == einstein
precision = (fires & named).sum() / fires.sum().clamp_min(1)
recall = (fires & named).sum() / named.sum()
f1 = 2 * precision * recall / (precision + recall)
print(f"latent {int(best_latent)}: {precision=:.2f} {recall=:.2f} {f1=:.2f}")

# %% [markdown]
# An attribute value is a set of entities: a latent detects *physicist* as far as it fires on the mentions of physicists and on no others. We say that an entity, or an attribute value, **has a latent of its own** if some latent detects it with an F1 above 0.7. `selectivity` counts the firings of all latents at once.

# %%
from canonlib.sae.selectivity import OWN, fact_membership

entity_saes = run.family("batchtopk-entities")
facts, membership = fact_membership()  # membership: bool [n_facts, n_entities]
counts = {n: selectivity(entity_saes.sae(n), mentions) for n in entity_saes.sizes}
entity_best = torch.stack([c.entity_f1().amax(0) for c in counts.values()])
fact_best = torch.stack([c.fact_f1(membership).amax(0) for c in counts.values()])
own_entities = (entity_best > OWN).double().mean(1).tolist()  # for each size
own_facts = (fact_best > OWN).double().mean(1).tolist()
for row, e, f in zip(table_batchtopk, own_entities, own_facts, strict=True):
    assert abs(row["own_entities"] - e) < 1e-9 and abs(row["own_facts"] - f) < 1e-9

# %% [markdown]
# Both shares for both families, side by side: first BatchTopK on mentions, then ReLU + L1 on all tokens. The columns of the ReLU family are for the same names, but its latents must also be silent on all other tokens.

# %%
batch_rows = {r["n_latents"]: r for r in table_batchtopk}
relu_rows = {r["n_latents"]: r for r in table_relu}
side = []
for n in sorted({**batch_rows, **relu_rows}):
    pairs = [(rows_.get(n), key) for rows_ in (batch_rows, relu_rows) for key in ("own_entities", "own_facts")]
    side.append({"n": n} | {str(i): f"{row[key]:.1%}" if row else "" for i, (row, key) in enumerate(pairs)})
viz.table(side, {"n": ("latents", ","), "0": ("entities", ""), "1": ("values", ""),
                 "2": ("entities, ReLU", ""), "3": ("values, ReLU", "")})  # fmt: skip

# %% tags=["hide-input"]
for label, rows_ in ((BATCHTOPK, table_batchtopk), (RELU, table_relu)):
    display(viz.line_by_size(
        [r["n_latents"] for r in rows_], {"entities": [r["own_entities"] for r in rows_],
        "attribute values": [r["own_facts"] for r in rows_]}, title=f"Who has a latent of their own? ({label})",
        y="share with an own latent", percent=True, height=340,
        colors={"entities": viz.LARGE, "attribute values": viz.TRUTH},
        alt=f"Shares of entities and attribute values with a latent of F1 above 0.7, by size, {label}."))  # fmt: skip

# %% [markdown]
# **Figure 2.4.** Share of the world's entities, and of its attribute values, that have a latent of their own (F1 above 0.7 on unseen tokens), above for BatchTopK on mentions, below for ReLU + L1 on all tokens. Mind the different sizes and scales of the two panels.

# %% tags=["hide-input"]
peak = own_facts.index(max(own_facts))
shown = (
    "more attribute values than entities"
    if own_facts[0] > own_entities[0]
    else "no more attribute values than entities"
)
trend = f"highest at {sizes[peak]:,} latents ({own_facts[peak]:.0%})" if peak < len(sizes) - 1 else "highest there too"
first_values = [
    f"{facts[i]} ({fact_best[0, i]:.2f})" for i in fact_best[0].argsort(descending=True, stable=True)[:4].tolist()
]
relu_best = max(r["own_entities"] for r in table_relu)
on_all = f"at most {relu_best:.1%} of the entities have one" if relu_best > 0 else "no entity has one"
up_to = f"at sizes up to {table_relu[-1]['n_latents']:,}"
viz.say(f"""The smallest BatchTopK dictionary has latents for {shown} ({own_facts[0]:.0%} against {own_entities[0]:.0%}); what its latents match best is
{", ".join(first_values)}, with the F1 in brackets. The
largest has them for {own_entities[-1]:.0%} of the entities and {own_facts[-1]:.0%} of the attribute values. The share of
attribute values is {trend}. On all tokens, with ReLU + L1, {on_all} {up_to}.""")

# %% [markdown]
# The claim of this chapter has a bound that was set beforehand. Here it is with its verdict.

# %%
size_claim = claim(run, "size-entities")
assert f"{own_entities[-1]:.0%}" in size_claim.ours
viz.claim_box(size_claim)

# %% [markdown]
# ## Einstein, at every size
#
# A share hides what happens to one entity. So follow Einstein. For each size, take the latent that detects him best, and ask whom else it is active on.

# %%
story = []
for n, c in counts.items():
    f1s = c.entity_f1()[:, einstein]
    j = int(f1s.argmax())
    who = c.by_entity[j].argsort(descending=True, stable=True)[:5]
    who = ", ".join(names[e] for e in who.tolist() if c.by_entity[j, e])
    n_names = int((c.by_entity[j] > 0).sum())
    story.append({"n": n, "latent": j, "f1": float(f1s[j]), "names": n_names, "who": who})
viz.table(story, {"n": ("size", ","), "f1": ("F1", ".2f"), "names": ("names", ","),
                  "who": ("most often", "")})  # fmt: skip

# %% [markdown]
# For each size: the F1 of the best latent for Einstein, the number of names that it is ever active on, and those on which it is active most often. Read the last column downwards. A small dictionary has no room for Einstein: he shares a latent with many others, and what they have in common is your guess at what the latent means. Watch how large the company is at each size. In text, the two ends look like this: the same documents read first by the smallest dictionary's latent, then by the largest's. We look at names only, since this family has learned nothing else.

# %% tags=["hide-input"]
from canonlib.world import corpus

words, text = list(corpus.token_ids()), documents(run.tier, "eval")


@torch.no_grad()
def reading(found):
    """Activation of a latent of the story on every mention, relative to its largest: [n_mentions]."""
    values = entity_saes.sae(found["n"]).encode(X)[:, found["latent"]]
    return values / values.max().clamp_min(1e-9)


def view(document, values):
    """One document, its names coloured by ``values``."""
    here, shown = mentions.document == document, torch.zeros(text.shape[1])
    shown[mentions.position[here].long()] = values[here]
    spaced = [words[t] + " " for t in text[document]]
    return viz.colored_tokens(spaced[1:], shown[1:], low=0, high=1)


# %%
small, large = reading(story[0]), reading(story[-1])
lit = torch.bincount(mentions.document.long(), weights=(small > 0).double(), minlength=len(text))
with_einstein = mentions.document[named].long().unique()  # ascending
order = lit[with_einstein].argsort(descending=True, stable=True)[:2]
for document in with_einstein[order].tolist():
    display(view(document, small), view(document, large))

# %% [markdown]
# **Figure 2.5.** The two documents that name Einstein and light up the small latent most often, each shown twice: coloured by the best latent for Einstein in the smallest dictionary, then by the best in the largest.
#
# ## How an attribute comes apart
#
# If latents turn to single entities, what becomes of the attributes? Take *occupation = physicist*. At each size, find its best detector, and compare its F1 with that of Einstein's best. To see that physics is not a special case, add the mean over all occupations. And mind a trap: some physicists are named far more often than others, so a latent for the most famous of them alone has some F1 for the class. Draw that as a floor.

# %%
occupations = [i for i, fact in enumerate(facts) if fact.attribute == "occupation"]
physicist = [str(fact) for fact in facts].index("occupation=physicist")
split = {"physicist": fact_best[:, physicist],
         "occupations, mean": fact_best[:, occupations].mean(1),
         "Einstein": entity_best[:, einstein],
         "entities, mean": entity_best.mean(1)}  # fmt: skip
named_often = counts[sizes[-1]].mentions[membership[physicist]].double()
alone = float(2 * named_often.max() / (named_often.max() + named_often.sum()))
pure = []  # latents of which at least 4 in 5 firings are on physicists
for c in counts.values():
    right = c.by_entity[:, membership[physicist]].sum(1)
    pure.append(int(((right >= 0.8 * c.fires) & (c.fires > 0)).sum()))

# %% tags=["hide-input"]
viz.line_by_size(sizes, split | {"one physicist": [alone] * len(sizes)}, controls=["one physicist"],
                 title="The best latent for a class, and for a member", y="F1 of the best latent",
                 colors={"physicist": viz.TRUTH, "occupations, mean": "#b79ad1", "Einstein": viz.LARGE,
                         "entities, mean": "#f0a870"},
                 alt="F1 of the best latent for physicist and for Einstein, with means, by dictionary size.")  # fmt: skip

# %% [markdown]
# **Figure 2.6.** F1 of the best single latent for *occupation = physicist* and for *Einstein* at each size, and the means over all occupations and over all entities (pale). Grey, dashed: the F1 for the class of a latent that fires on the most mentioned physicist alone.

# %% tags=["hide-input"]
means = split["occupations, mean"]
grown = split["entities, mean"]
words = "falls" if means[-1] < means.max() - 0.05 else "does not fall by much"
peak_f1, end_f1 = float(split["physicist"].max()), float(split["physicist"][-1])
never = (
    "so no single latent of any dictionary stands for physicists"
    if peak_f1 <= OWN
    else "so physicists had a latent of their own"
)
near = "no more than" if end_f1 < alone + 0.02 else "more than"
viz.say(f"""The best latent for *physicist* has an F1 of {peak_f1:.2f} at its best size
({sizes[int(split["physicist"].argmax())]:,} latents), {never}. At the largest size it is {end_f1:.2f}, {near} what the
most mentioned physicist gives alone ({alone:.2f}). Over all occupations the
mean best F1 {words}, from {means.max():.2f} at best to {means[-1]:.2f} at the end, while the mean over entities goes from
{grown[0]:.2f} to {grown[-1]:.2f}. Yet physics has not left the dictionary. The number of latents of which at least
four fifths of the firings are on physicists goes from {pure[0]} at {sizes[0]} latents to {pure[-1]} at {sizes[-1]:,}.""")

# %% [markdown]
# When one latent covers a class in a small dictionary, and several cover its members in a large one, this is called **feature splitting**. Nothing in the loss asked for it, and nothing forbids it. With $k$ active latents to spend on a name, the cheapest way to rebuild it is a latent that fits that name exactly, as soon as there are latents enough. The class can then still be read from the dictionary, but not from any *one* latent of it.
#
# ## Doubt: what would chance do?
#
# With so many latents to choose from, some latent will fit any name a little. Is 0.7 beyond what luck can do? Two controls.
#
# First, **random directions**. Replace each latent by a random direction in the space of activations, and let it fire on as many mentions as the latent did, those that lie furthest along it. This keeps the sizes, the firing rates and the way the activations cluster by name. Only the training is gone.

# %%
from canonlib.sae.selectivity import Selectivity

noise = torch.Generator().manual_seed(seed)
random_entities, random_facts = [], []
for n, c in counts.items():
    along = (X - X.mean(0)) @ torch.randn(X.shape[1], n, generator=noise)
    ranked = along.sort(0, descending=True).values  # [n_mentions, n_latents]
    cut = ranked.gather(0, (c.fires - 1).clamp_min(0)[None])
    hits = ((along >= cut) & (c.fires > 0)).long()
    by_entity = torch.zeros(len(names), n, dtype=torch.long)
    by_entity.index_add_(0, mentions.entity.long(), hits)
    luck = Selectivity(by_entity.T, hits.sum(0), c.mentions)
    random_entities.append(float(luck.own_entities().double().mean()))
    random_facts.append(float(luck.own_facts(membership).double().mean()))

# %% [markdown]
# Second, **shuffled facts**. Keep the trained latents, but deal the facts out anew: each attribute value keeps its number of entities, and they are drawn by lot. If a latent can match sets that mean nothing, matching *physicist* is no news.

# %%
deal = torch.randperm(len(names), generator=noise)
shuffled = membership[:, deal]
shuffled_facts = [float(c.own_facts(shuffled).double().mean()) for c in counts.values()]

# %% tags=["hide-input"]
against = {"entities": own_entities, "values": own_facts, "entities, random": random_entities,
           "values, random": random_facts, "values, shuffled": shuffled_facts}  # fmt: skip
viz.line_by_size(sizes, against, title="How much of it is luck?", y="share with a latent of its own", percent=True,
                 colors={"entities": viz.LARGE, "values": viz.TRUTH},
                 controls=["entities, random", "values, random", "values, shuffled"],
                 alt="Shares with a latent of their own for trained dictionaries and three controls, by size.")  # fmt: skip

# %% [markdown]
# **Figure 2.7.** The shares of Figure 2.4 for BatchTopK on mentions, against random directions that fire as often, and against facts dealt out by lot (grey, dashed).

# %% tags=["hide-input"]
gain = own_entities[-1] / max(random_entities[-1], 1e-9)
held = own_entities[-1] > 2 * random_entities[-1]
firm = "Most of that is the training's doing" if held else "So the entity story is not safe from chance"
ratio = f", {gain:.1f} times as many" if random_entities[-1] > 0 else ""
fact_margin = max(a - max(b, s) for a, b, s in zip(own_facts, random_facts, shuffled_facts, strict=True))
on_facts = "lie above both controls at some size" if fact_margin > 0 else "do not lie above both controls at any size"
viz.say(f"""At {sizes[-1]:,} latents, random directions give {random_entities[-1]:.0%} of the entities a latent of their own;
training gives {own_entities[-1]:.0%}{ratio}. {firm}. For attribute values the controls
reach {max(random_facts):.1%} (random directions) and {max(shuffled_facts):.1%} (shuffled facts) at most; the trained
dictionaries reach {max(own_facts):.1%} and {on_facts}.""")

# %% [markdown]
# If the random directions catch some entities at all, it is because mentions of one name lie close together: the one name that lies furthest out in some direction is easy to catch. A share of entities on its own, without this control, would overstate what the SAE has done.
#
# And four doubts that this chapter doesn't remove. The two families differ in **three things at once**, architecture, tokens and sizes; to blame the tokens alone, one would have to train BatchTopK on all tokens at the same sizes. This is **one seed**; run it with another (`canonlib notebooks 2 -p seed 1`) before you trust a digit. The threshold of 0.7 is a choice (exercise 2). And F1 against the fact table can see only what we put into the table: a latent for "names that often stand at the start of a passage" counts as nothing here.
#
# ## The paper and us
#
# The authors used eight ReLU + L1 SAEs of GPT-2 small with 768 to 98,304 latents, trained on 300 million tokens; SAELens lists them with an L0 of 36 to 43 and 61% to 82% of the variance explained. Ours are smaller in every way: a model of a million parameters, a world of a few hundred entities, dictionaries that start with far fewer latents than there are entities. The paper could judge by eye what a latent is about; we can count, but only in our world.
#
# ## Exercises
#
# ### 1. BatchTopK by hand (easy, 5 minutes)
#
# Encode the Einstein token `x` with `entity_sae` by hand. The threshold is `entity_sae.threshold`, one number for each latent. How many latents are active? How many would be with a plain ReLU?
#
# <details><summary>Hint</summary>
#
# The formula is in *A second machine*. The condition is on the value *before* the gate; what passes is not made smaller by $\theta$.
#
# </details>
#
# **Solution.**

# %% tags=["hide-cell"]
with torch.no_grad():
    p = (x - entity_sae.b_dec) @ entity_sae.W_enc + entity_sae.b_enc
    gated = p * (p > entity_sae.threshold)
    assert torch.allclose(gated, entity_sae.encode(x), atol=1e-4)
print(f"active: {int((gated > 0).sum())}; with a plain ReLU: {int((p > 0).sum())} of {len(p):,}")

# %% [markdown]
# A BatchTopK SAE that is loaded as if it were a ReLU SAE shows an L0 that is far too high. Check L0 whenever you load an SAE of someone else's.
#
# ### 2. Is 0.7 the magic number? (medium, 10 minutes)
#
# Does Figure 2.4 tell another story if you ask for an F1 above 0.5, or above 0.9? Write down what you expect for the *order* of sizes before you compute it.
#
# <details><summary>Hint</summary>
#
# `entity_best` and `fact_best` hold all you need: compare, then take the mean over the last axis.
#
# </details>
#
# **Solution.** E is the share of entities with an F1 above the cut, V that of attribute values.

# %% tags=["hide-cell"]
answers = [{"n": n, **{f"{kind}{cut}": float((best[i] > cut).double().mean())
                       for kind, best in (("e", entity_best), ("f", fact_best)) for cut in (0.5, 0.7, 0.9)}}
           for i, n in enumerate(sizes)]  # fmt: skip
viz.table(answers, {"n": ("latents", ",")} | {
    f"{kind}{cut}": (f"{word} {cut}", ".0%") for kind, word in (("e", "E"), ("f", "V")) for cut in (0.5, 0.7, 0.9)
})  # fmt: skip

# %% [markdown]
# The heights depend on the cut; look whether the direction does. A finding that lives at one threshold only would be a finding about the threshold.
#
# ### 3. How much of a class must a latent cover? (hard, 15 minutes, pencil first)
#
# A class has $n$ members, each mentioned equally often. A latent fires on all mentions of $m$ of them and on nothing else. What is its F1 for the class? How large must $m$ be for the class to have a latent of its own? What follows for a class of which the latent splits into two halves, and for its members at the moment when the split goes down to single entities?
#
# <details><summary>Hint</summary>
#
# Precision is 1. Write the recall with $m$ and $n$, then solve $F_1 > 0.7$ for $m/n$.
#
# </details>
#
# **Solution.** Precision is 1 and recall $m/n$, so $F_1 = 2m/(m+n)$, and $F_1 > 0.7$ asks for $m/n > 0.7/1.3$, about 54%. Once a latent has split into two equal halves, neither half reaches the cut ($F_1 = 2/3$): the class loses its own latent at the *first* split, long before any single member has one. At $m = 1$ the F1 is $2/(n+1)$. Between the two lies a stretch of sizes at which neither the class nor its members count, so the two curves of Figure 2.4 need not cross where one takes over from the other. The check uses the true numbers of mentions, which are not equal.

# %% tags=["hide-cell"]
weight = counts[sizes[-1]].mentions[membership[physicist]].sort(descending=True).values.double()
n, covered = len(weight), weight.cumsum(0)
by_count = 2 * torch.arange(1, n + 1) / (torch.arange(1, n + 1) + n)
by_mentions = 2 * covered / (covered + covered[-1])
print(f"{n} physicists; needed with equal mentions: {int((by_count <= OWN).sum()) + 1}")
print(f"needed with the true mentions, most famous first: {int((by_mentions <= OWN).sum()) + 1}")
print(f"F1 of a latent for the most mentioned physicist alone: {by_mentions[0]:.2f}")

# %% [markdown]
# ## Summary
#
# - An SAE writes an activation as a short sum of directions. L0, MSE, FVU, CE loss recovered and the dead share say how well; they do not say *what* its latents are about.
# - Which tokens an SAE sees is part of what it is: on all tokens, most latents go to contexts; on mentions, they can go to entities and their attributes.
# - As a dictionary grows, more entities get a latent of their own, while an attribute value is mostly spread over several latents. The size that you choose decides what you find a name for.
#
# **Next:** the larger dictionary lists other things, not just more of them. [Chapter 3](03-stitching.ipynb) asks which of its latents say something that the smaller one does not.
