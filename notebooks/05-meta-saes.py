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
# # What is Einstein made of?
#
# > **What you will be able to say at the end.** Why one latent with one direction can still be a sum of parts, how a
# > meta-SAE finds such parts, how often the parts are true facts, and which controls you must see before you believe
# > it.
# >
# > **Time.** 20 minutes to read, about a minute to run on two CPU cores.
# >
# > **Read before.** [Training SAEs](02-training.ipynb). Chapter 3 helps in one place and is linked there.
# >
# > **May be skipped.** "By hand, then by library", if you trust the library.

# %% tags=["parameters"]
tier = "world"
seed = 0

# %% tags=["hide-input"]
import dataclasses
from collections import Counter

import torch
from IPython.display import display

from canonlib import tiers, viz
from canonlib.claims.compute import claim
from canonlib.pipeline import Run

viz.setup_plotly()
run = Run(tiers.get(tier, seed=seed), progress=False)

# %% [markdown]
# ## One latent, one direction
#
# We take the SAE on entity mentions that [chapter 2](02-training.ipynb) trained, and ask for the latent that detects
# Einstein. We say that a latent *answers to* an entity when it detects it with an F1 above 0.5, a lower bar than for a
# "latent of its own" (0.7). Not every entity has such a latent, so the cell takes the best-known person who has one. (It
# must also have at least one part, in a sense that we come to; a few latents have none.)

# %%
from canonlib.world import table

base = run.family("batchtopk-entities").sae(run.tier.meta_base)
uses = run.meta.active  # [n_latents, n_meta], what this chapter is about
names = run.meta.names
own = {name: j for name, j in run.meta.entity_latents.items() if uses[j].any()}
person = next(p.name for p in table.people() if p.name in own)
latent = own[person]

# %% tags=["hide-input"]
known = ", ".join(f"{a} {v}" for a, v in table.facts(person).items())
viz.say(f"""The person is **{person}**, whose latent is number {latent} of {len(base.W_dec):,}. The latent has one
direction, a row of {base.W_dec.shape[1]} numbers. The fact table says of {person}: {known}.""")

# %% [markdown]
# The model knows several facts; the latent is one arrow. Is it one thing? A first hint comes from its neighbours. Take
# every latent that answers to an entity (on held-out text), and list those whose directions have the highest cosine with
# ours.

# %%
from canonlib.compare import decoder_directions, nearest
from canonlib.sae.selectivity import fact_membership, selectivity

score, entity = selectivity(base, run.data.eval.only("entities")).best_entity()
alive = run.meta.alive  # latents that fire on the training text
mine = ((score > 0.5) & alive).nonzero()[:, 0]  # the entity latents
owner = {j: table.entities()[entity[j]].name for j in mine.tolist()}
directions = decoder_directions(base)
near = nearest(directions[latent : latent + 1], directions[mine], k=12)

# %% tags=["hide-input"]
rows = []
for cosine, place in zip(near.cosine[0].tolist(), near.index[0].tolist()):
    other = owner[mine[place].item()]
    shared = dict(table.facts(person).items() & table.facts(other).items())
    if other != person:
        listed = ", ".join(f"{a}={shared[a]}" for a in table.facts(other) if a in shared)
        rows.append({"other": other, "cosine": cosine, "n": len(shared), "shared": listed or "none"})
columns = {"other": ("latent of", ""), "cosine": ("cosine", ".2f"), "n": ("facts shared", ""), "shared": ("which", "")}
viz.table(rows[:6], columns)

# %% [markdown]
# **Table 5.1.** The entity latents nearest to ours, and the facts that the two entities share. An
# entity listed twice has two latents that answer to it. Neighbours share facts, but usually several at once, and some of them (such as the
# pronoun) with half the world: a cosine cannot tell *what* two arrows have in common.

# %% [markdown]
# ## An autoencoder for arrows
#
# Here is a test that needs no opinion. Stack the directions of all latents into a matrix and ask a second, much
# smaller autoencoder to rebuild every row from about four parts out of a short list. If latents were atoms, this
# would fail, because atoms have no parts to share. The second autoencoder is a **meta-SAE**, its latents are
# **meta-latents**, and it never sees an activation: its data are the rows of `W_dec`. (Rows of latents that never
# fire in training are left out: such a latent keeps the direction it started with, which says nothing about the model.)
#
# Write $d$ for a decoder direction of length 1. The meta-SAE rebuilds it as
#
# $$ \hat d = b + \sum_m a_m(d)\, u_m , $$
#
# where $a_m(d)$ is $z_m$ if $z_m > \theta$ and 0 otherwise, with
#
# $$ z_m = \mathrm{ReLU}\big(w_m \cdot (d - b) + c_m\big) . $$
#
# Here $u_m$ is the direction of meta-latent $m$ (length 1), $w_m$ and $c_m$ are its encoder weights and bias, $b$ is
# the decoder bias (close to the mean direction), and $a_m(d)$ is how much of $u_m$ goes into $d$. The threshold
# $\theta \ge 0$ is what makes the sum short. In training, BatchTopK picks it anew for each batch, so that four times
# as many activations pass as there are rows in the batch; afterwards one $\theta$ is kept for good. So four meta-latents
# are active *on average*; a single row may use one or eight.

# %% [markdown]
# ## By hand, then by library
#
# The equation takes four lines. We encode the row of our latent and rebuild it.

# %%
meta = run.meta.meta
W_enc, W_dec, c, b = meta.sae.W_enc, meta.sae.W_dec, meta.sae.b_enc, meta.sae.b_dec
d = directions[latent]
z = ((d - b) @ W_enc + c).relu()
a = z * (z > meta.report.threshold)
d_hat = b + a @ W_dec

# %% [markdown]
# The library does the same for all rows at once (`meta_activations`) or for one (`decompose`). The two must agree.

# %%
from canonlib.meta import decompose, meta_activations, random_directions

A = meta_activations(meta, base)  # [n_latents, n_meta]
parts = decompose(meta, latent, base)
assert torch.allclose(a, A[latent], atol=1e-5) and torch.equal(A > 0, uses)
assert abs(float((d - d_hat).norm()) - parts.residual_norm) < 1e-5

# %% tags=["hide-input"]
viz.say(f"""Both give {len(parts)} active meta-latents of {meta.n_latents}. The rebuilt arrow has cosine
{parts.cosine_to_reconstruction:.2f} with the latent's direction, and what is left over has length
{parts.residual_norm:.2f} (the direction itself has length 1). So
{"most of" if parts.residual_norm**2 < 0.5 else "less than half of"} its squared length is in the parts.""")

# %% [markdown]
# ## Does it work on all rows?
#
# We score the meta-SAE by the variance that it explains, over the rows $d_1, \dots, d_n$ of all latents that fire, with
# mean $\bar d$:
#
# $$ 1 - \frac{\sum_j |d_j - \hat d_j|^2}{\sum_j |d_j - \bar d|^2}. $$
#
# Zero means no better than the mean direction; one is perfect.

# %%
live = directions[alive]
error = (live - (b + A[alive] @ W_dec)).square().sum()
spread = (live - live.mean(0)).square().sum()
explained = 1 - float(error / spread)
assert abs(explained - run.meta.summary["variance_explained"]) < 1e-4

# %% [markdown]
# One number alone says little: with dozens of parts to choose from, some variance is explained of anything. So the
# same recipe (same size, same steps, same seed) was trained on three controls.
#
# - **Random directions**: as many rows, uniform on the sphere. There is nothing to share.
# - **Coordinates shuffled**: each coordinate of the real rows is dealt anew among the latents. Mean and spread of every
#   coordinate stay; which numbers occur together is destroyed.
# - **Gaussian rows**: drawn with the mean and the covariance of the real rows, then scaled to length 1. They lie near the
#   same few dimensions, as strongly, and share nothing else: a Gaussian cloud has no particular parts.

# %% tags=["hide-input"]
summary = run.meta.summary
gaussian, shuffled, noise = (summary[f"variance_{key}"] for key in ("gaussian", "shuffled", "random"))
mostly = gaussian - shuffled > explained - gaussian  # most of the gain over shuffled rows is covariance
viz.bars(
    ["decoder<br>rows", "Gaussian, same<br>covariance", "coordinates<br>shuffled", "random<br>directions"],
    [explained, gaussian, shuffled, noise], colors=[viz.META, *[viz.CONTROL] * 3], percent=True,
    y="variance explained, in sample",
    title="Most of what parts explain, shared dimensions explain" if mostly
    else "Parts explain more than shared dimensions do" if explained > gaussian else "Rows and controls",
    alt=f"Bars: {explained:.0%} of the variance of decoder rows, {gaussian:.0%} of Gaussian rows, {shuffled:.0%} "
    f"shuffled, {noise:.0%} random",
)  # fmt: skip

# %% [markdown]
# **Figure 5.1.** Variance explained by a meta-SAE of the same recipe on four sets of rows. All numbers are *in
# sample*: the rows scored are the rows trained on, as in the paper. The doubt section holds rows back.
#
# How few are the dimensions? Principal components answer without any training: the first one is the line that keeps most
# of the variance of the rows, the first two are the best plane, and so on.

# %%
variances = torch.linalg.svdvals(live - live.mean(0)).square()
kept = (variances / variances.sum()).cumsum(0)  # by the first component, the first two, ...
n_same = int((kept < explained).sum()) + 1

# %% tags=["hide-input"]
viz.say(f"""The rows have {live.shape[1]} coordinates, but {n_same} principal components keep as much of their variance
as the meta-SAE explains, and four components keep {kept[3]:.0%}. The meta-SAE chooses about four parts *for each row*,
out of {meta.n_latents}. In a space that small this goes well for any cloud of points: of Gaussian rows it explains
{gaussian:.0%}. So of the {100 * (explained - shuffled):.0f} points by which the decoder rows exceed shuffled ones,
{100 * (gaussian - shuffled):.0f} say no more than that latents share dimensions. The evidence that they are short sums of
*particular* parts is what remains: {100 * (explained - gaussian):.0f} points here, and
{100 * (summary["variance_held_out"] - summary["variance_gaussian_held_out"]):.0f} on rows held out (see *Doubt*, below).""")

# %% [markdown]
# The first claim is the paper's, the second sets it against the controls.

# %%
display(viz.claim_box(claim(run, "meta-variance")))
viz.claim_box(claim(run, "meta-control"))

# %% tags=["hide-input"]
idle = ~uses[alive].any(0)
viz.say(f"""On average {meta.report.l0:.2f} meta-latents are active on a row; {int(idle.sum())} of {meta.n_latents}
{"is" if idle.sum() == 1 else "are"} active on none. Look at that number on your own SAEs: a meta-SAE with many idle
meta-latents has fewer parts than its size says.""")

# %% [markdown]
# ## The parts of one latent
#
# A part is only a direction until somebody says what it stands for. On GPT-2 one reads examples and judges by eye. Here
# we wrote the world, so a meta-latent gets its name from the fact table. Consider the latents that answer to an entity
# (the *entity latents*) and use it. The
# fact that fits these users best is its name: **precision** is the share of users whose entity has the fact, **recall**
# the share of latents with the fact that are users, and F1 combines the two.

# %%
facts, membership = fact_membership()
labels = [str(fact) for fact in facts]
truth = membership.T[entity[mine]]  # [n_entity_latents, n_facts]
top = max(names, key=lambda n: n.f1)
users, holds = uses[mine][:, top.meta_latent], truth[:, labels.index(top.fact)]
both = (users & holds).sum()
assert abs(both / users.sum() - top.precision) < 1e-6  # precision
assert abs(both / holds.sum() - top.recall) < 1e-6  # recall

# %% tags=["hide-input"]
display(
    viz.say(f"""That was one meta-latent by hand, number {top.meta_latent}: of the {top.n_users} entity latents that use it,
{top.precision:.0%} belong to entities with {top.fact}, and of all latents with that fact, {top.recall:.0%} use it. The
library named the others in the same way. Now the parts of {person}:""")
)
rows = []
for m, activation in zip(parts.meta_latents.tolist(), parts.activations.tolist()):
    true = "–" if not names[m].beyond_chance else "yes" if viz.fact_holds(names[m].fact, person) else "no"
    row = {**names[m].to_json(), "activation": activation, "true": true}
    rows.append({**row, "fact": names[m].fact if names[m].beyond_chance else "unnamed"})
columns = {"meta_latent": ("part", ""), "activation": ("$a_m$", ".2f"), "fact": ("best fact", ""), "f1": ("F1", ".2f"),
           "p_value": ("p", ".3f"), "true": ("true?", "")}  # fmt: skip
viz.table(rows, columns)

# %% [markdown]
# **Table 5.2.** The parts of the latent, with their activations $a_m$ on it. A name is the best of many candidates, so even
# a meaningless part gets one. So the facts are dealt anew a thousand times, to people among people and to cities among
# cities, and $p$ is the share of deals whose best F1 is at least as high. (Dealt to all alike, a part that means no more
# than "a city" would pass as `capital=no`.) Parts that are no better than chance ($p$ of 0.01 or more) stay *unnamed*,
# here and on the first page.

# %% tags=["hide-input"]
n_true, n_named = (sum(row["true"] in which for row in rows) for which in (("yes",), ("yes", "no")))
spare = len(rows) - n_named
viz.say(f"""Honest count: {n_true} of the {n_named} names {"is" if n_true == 1 else "are"} true of {person}{
    f", and {spare} of the {len(rows)} parts {'has' if spare == 1 else 'have'} none" if spare else ""
}. A name that is not true need not be a failure of the part (its fact may be the second best, or something that our
table does not list), but we count it as one. {
    "So do not read the table as a biography."
    if n_true < n_named
    else "One entity proves little, so we count over all of them below."
}""")

# %% [markdown]
# Who else uses these parts? For each part, the library lists the entities whose latents use it most, and draws the whole
# as a graph you can walk through.


# %% tags=["hide-input"]
def graph(name):
    return viz.entity_graph(name, meta, base, names, own, title=f"{name}'s parts, and who shares them", n_others=4)


def lacking(name):
    return viz.misfits(viz.entity_parts(name, meta, base, names, own, n_others=4))


display(graph(person))
viz.say(f"""**Figure 5.2.** A latent (left), its meta-latents with their activations on it (middle), and the entities whose
latents use the same meta-latents most (right). ✓ and ✗ say whether the table holds the fact of {person}. Hover over a name
to read its facts. {lacking(person)}""")

# %% [markdown]
# A city works the same way. The cell takes the best-known city that has a latent with parts.

# %%
city = next((c.name for c in table.cities() if c.name in own), person)
graph(city)

# %% tags=["hide-input"]
cities = torch.tensor([e.kind == "city" for e in table.entities()])[entity[mine]]
sides = {}
for m in decompose(meta, own[city], base).meta_latents.tolist():
    both = uses[mine][~cities, m].sum().item(), uses[mine][cities, m].sum().item()
    sides |= {m: both} if names[m].beyond_chance and min(both) else {}
mixed = max(sides, key=lambda m: min(sides[m]), default=None)
joined = (
    "None of the named parts shown is used by latents of people as well."
    if mixed is None
    else f"A part may join the two kinds: {names[mixed].fact} is used by {sides[mixed][0]} latents of people and {sides[mixed][1]} of cities."
)
viz.say(f"**Figure 5.3.** The same for a city. {lacking(city)} {joined}")

# %% [markdown]
# Two stories are two stories. Here are the next entities in order of fame.

# %% tags=["hide-input"]
people = [p.name for p in table.people() if p.name in own][1:6]
towns = [c.name for c in table.cities() if c.name in own][1:5]
rows = []
for name in people + towns:
    found = decompose(meta, own[name], base)
    told = [names[m].fact for m in found.meta_latents.tolist() if names[m].beyond_chance]
    count = {fact: f", {n} parts" if n > 1 else "" for fact, n in Counter(told).items()}
    each = [f"{fact} ({'true' if viz.fact_holds(fact, name) else 'not true'}{count[fact]})" for fact in count]
    each += [f"{len(found) - len(told)} unnamed"] if len(found) > len(told) else []
    rows.append({"name": name, "parts": ", ".join(each), "residual": found.residual_norm})
viz.table(rows, {"name": ("latent of", ""), "parts": ("names of its parts", ""), "residual": ("residual", ".2f")})

# %% [markdown]
# **Table 5.3.** More entities in order of fame, not of success. "Not true" is said of the name, checked against the fact
# table; parts no better than chance are unnamed.

# %% [markdown]
# ## Are the parts facts?
#
# Stories about single latents are cheap, so we look at all meta-latents. These are the ten whose users fit one fact
# best, among those with at least three users.

# %%
used = sorted((n for n in names if n.n_users >= 3), key=lambda n: -n.f1)
columns = {"meta_latent": ("part", ""), "fact": ("best fact", ""), "f1": ("F1", ".2f"),
           "chance_f1": ("chance", ".2f"), "p_value": ("p", ".3f")}  # fmt: skip
viz.table([n.to_json() for n in used[:10]], columns)

# %% [markdown]
# **Table 5.4.** The ten best names. "Chance" is the mean best F1 over the thousand deals, $p$ as in Table 5.2; the observed
# F1 is counted in with them, so $p$ is never zero.
#
# The best ten of a long list always look good. Figure 5.4 shows all of them, each beside its own chance level.

# %% tags=["hide-input"]
n_above = sum(n.f1 > n.chance_f1 for n in used)
viz.paired_dots(
    [n.f1 for n in used], [n.chance_f1 for n in used], name="best F1", control_name="by chance",
    hover=[f"meta-latent {n.meta_latent}: {n.fact}<br>{n.n_users} users, p = {n.p_value:.3f}" for n in used],
    title="Some meta-latents fit a fact; others stay near chance",
    x="meta-latents, best first", y="F1 with the best fact",
    alt=f"{n_above} of {len(used)} meta-latents have an F1 above their chance level",
)  # fmt: skip

# %% [markdown]
# **Figure 5.4.** Best F1 of every meta-latent with at least three users (green) and the mean best F1 when facts are dealt
# anew within people and within cities (grey).

# %% [markdown]
# How many tests pass, and how many would pass if no meta-latent meant anything?

# %%
passed = sum(n.beyond_chance for n in used)
by_chance = 0.01 * len(used)
mean_f1 = sum(n.f1 for n in used) / len(used)
mean_chance = sum(n.chance_f1 for n in used) / len(used)
assert passed == run.meta.summary["n_beyond_chance"]
assert abs(mean_f1 - run.meta.summary["mean_best_f1"]) < 1e-9

# %% tags=["hide-input"]
smallest = min(n.p_value for n in used)
viz.say(f"""With {len(used)} tests at p < 0.01 we expect at most {by_chance:.1f} to pass by chance; {
    passed
} do. The mean
best F1 is {mean_f1:.2f} against {mean_chance:.2f} by chance: {
    "better, and far from a perfect match" if mean_f1 > mean_chance else "no better"
}. Two limits. A thousand permutations cannot give a p-value below {1 / 1001:.4f} (the smallest here is {
    smallest:.4f}), so
no single name could survive dividing 0.01 by {len(used)} tests; read the count, not one row. And {len(used) - passed}
meta-latents do not pass: whatever they stand for, it is not one fact of our table.""")

# %% [markdown]
# The claim asks for no more than that: above chance on average, and more names than luck lets pass.

# %%
viz.claim_box(claim(run, "meta-facts"))

# %% [markdown]
# A name hides the runners-up. The heatmap shows twelve meta-latents against the facts that name them, so that you can see
# whether a meta-latent stands for its fact alone.

# %% tags=["hide-input"]
from canonlib.world.match import match_facts

matched = match_facts(uses[mine], truth)
chosen = used[:12]
columns = list(dict.fromkeys(labels.index(n.fact) for n in chosen))
values = matched.f1[[n.meta_latent for n in chosen]][:, columns]
viz.fact_heatmap(
    values.float().numpy(), [f"m{n.meta_latent}" for n in chosen], [labels[i] for i in columns], low=0.0, unit="F1",
    title="Which fact does each meta-latent fit?", alt="Heatmap of F1 of twelve meta-latents with the facts naming them",
)  # fmt: skip

# %% [markdown]
# **Figure 5.5.** F1 of the twelve best-named meta-latents (rows) with the facts that name them (columns). A strong
# cell alone in its row is a meta-latent with one meaning. Several strong cells in a row are facts that go together in the world,
# such as a country, its language and its currency: the entities cannot tell those apart, and neither can we.

# %% [markdown]
# ## Are an entity's parts its own facts?
#
# Turn the question round. Take every (entity latent, active meta-latent) pair: how often is the meta-latent's name true
# of that entity? Chance is what we get when the same names are dealt to random entity latents *of the same kind*: each
# fact's base rate among people or among cities, weighted by how often its name is used there.


# %%
def borne_out(fact_of, uses, truth, cities):
    """Share of (latent, meta-latent) pairs with a true name, and the base rate within each kind."""
    named = truth[:, fact_of].double()  # [n_entity_latents, n_meta]
    pairs = uses.double()
    expected = sum(named[kind].mean(0) @ pairs[kind].sum(0) for kind in (cities, ~cities) if kind.any())
    return float((named * pairs).sum() / pairs.sum()), float(expected / pairs.sum())


hit, base_rate = borne_out(matched.best_per_latent().index, uses[mine], truth, cities)

# %% [markdown]
# This count flatters us: the entity that we test helped to choose the name. So we name the meta-latents on every other
# entity of the table and test the names on the rest.

# %%
even = entity[mine] % 2 == 0
halves = []
for naming in (even, ~even):
    best = match_facts(uses[mine[naming]], truth[naming]).best_per_latent().index
    halves.append(borne_out(best, uses[mine[~naming]], truth[~naming], cities[~naming]))
hit_new, base_new = (sum(pair) / 2 for pair in zip(*halves))

# %% tags=["hide-input"]
verdict = "well above" if hit_new > 1.25 * base_new else "above" if hit_new > base_new else "not above"
viz.say(f"""With names from the same entities, {hit:.0%} of the parts carry a true name (base rate {base_rate:.0%}). With
names from the other half, {hit_new:.0%} do (base rate {base_new:.0%}): {verdict} chance{", and far from always" if hit_new < 0.8 else ""}. The
second pair of numbers is the one to quote.""")

# %% [markdown]
# ## Meta-latents read text
#
# The meta-SAE has seen no text. Yet every latent is now a sum of meta-latents, so a token's active latents hand their
# activations on: meta-latent $m$ gets $\sum_j f_j(x)\, a_m(d_j)$, with $f_j(x)$ the activation of latent $j$ on the token.
# We read the evaluation documents that name our person, and show the one in which our person's parts light up on most
# *other* names.

# %%
data = run.data.eval
everyone = [e.name for e in table.entities()]
person_id = everyone.index(person)
shown = [m for m in parts.meta_latents.tolist() if names[m].beyond_chance][:4] or parts.meta_latents[:4].tolist()

near_person = data.take(torch.isin(data.document, data.document[data.entity == person_id]))
reading = (base.encode(near_person.activations) @ A)[:, shown]
lit = (reading > 0).any(1) & (near_person.entity >= 0) & (near_person.entity != person_id)
pairs = torch.stack([near_person.document.long(), near_person.entity.long()], 1)[lit]
documents = torch.unique(pairs, dim=0)[:, 0] if len(pairs) else near_person.document.long()
here = near_person.document == torch.bincount(documents).argmax()

# %% tags=["hide-input"]
from canonlib.world import corpus

words = list(corpus.token_ids())
text, values = near_person.take(here), (reading * (near_person.entity >= 0)[:, None])[here].detach()
tags = [f"{names[m].fact} · {m}" if names[m].beyond_chance else f"unnamed {m}" for m in shown]
viz.colored_tokens_multi([words[t] + " " for t in text.token.tolist()], values.numpy(), tags)

# %% tags=["hide-input"]
told = []
for m, tag, value in zip(shown, tags, values.T):
    found = dict.fromkeys(everyone[e] for e in text.entity[value > 0].tolist() if e != person_id)
    true = sum(viz.fact_holds(names[m].fact, name) for name in found)
    told += [f"{tag}: {', '.join(found)} (the fact holds of {true} of {len(found)})"] if found else []
viz.say(f"""**Figure 5.6.** A text of the world, coloured by what the strongest {
    "named " if names[shown[0]].beyond_chance else ""
}parts of our person's latent receive at each token (pick one at the top). Only entity names can be coloured, because the
base SAE was trained on entity mentions. If the name of a part is right, the *other* names that light up have the fact. {
    f"Here they are. {'; '.join(told)}." if told else "In no document does another name light up."
}""")

# %% [markdown]
# ## Doubt
#
# **In sample.** The variance above was scored on the rows trained on. The next cell holds back a fifth of the rows, and
# trains the same recipe on the others. The library has done so too, on these rows and on the Gaussian ones.

# %%
from canonlib.meta import train_meta_sae, variance_explained

decoder = base.W_dec.detach()[alive]
order = torch.randperm(len(live), generator=torch.Generator().manual_seed(seed))
held_out, rest = order[: len(order) // 5], order[len(order) // 5 :]
apart = train_meta_sae(decoder[rest], meta.config, progress=False)
unseen = variance_explained(apart, decoder[held_out])
assert abs(unseen - summary["variance_held_out"]) < 0.03  # rounding differs between machines

# %% tags=["hide-input"]
unseen_gaussian = summary["variance_gaussian_held_out"]
viz.say(f"""It explains {apart.report.variance_explained:.0%} of the rows it was trained on and {
    unseen:.0%} of those it never
saw; of Gaussian rows held out the same way, {unseen_gaussian:.0%}. {
    "On rows that were not trained on, the real ones are further ahead of the Gaussian ones than in sample"
    if unseen - unseen_gaussian > explained - gaussian
    else "Rows that were not trained on do not widen the lead over Gaussian ones"
}. Take {
    unseen:.0%} as an upper bound: some entities have several latents, so a row held back may have a near-copy among
those kept, which no Gaussian row has.""")

# %% [markdown]
# **One seed.** Are the meta-latents those of the first meta-SAE, when only the seed differs? Two more are trained, on the
# same rows for as many steps. A meta-latent has a *twin* if some meta-latent there has a cosine above 0.7 with it, the
# line that the [meta-SAE post](bibliography.md) draws for "similar".

# %%
others = [train_meta_sae(decoder, dataclasses.replace(meta.config, seed=seed + i), progress=False) for i in (1, 2)]
close = [nearest(W_dec, other.sae.W_dec).cosine[:, 0] for other in others]
twins = [float((cosine > 0.7).double().mean()) for cosine in close]
shifted = [nearest(W_dec - W_dec.mean(0), o.sae.W_dec - o.sae.W_dec.mean(0)).cosine[:, 0] for o in others]
luck = nearest(W_dec, random_directions(W_dec, seed)).cosine[:, 0]

# %% tags=["hide-input"]
again = " and ".join(f"{other.report.variance_explained:.0%}" for other in others)
viz.say(f"""The other seeds explain {again} of the variance. Of our meta-latents, {
    " and ".join(f"{t:.0%}" for t in twins)
}
have a twin there (median of the highest cosine {" and ".join(f"{float(c.median()):.2f}" for c in close)};
random directions: {float((luck > 0.7).double().mean()):.0%}, median {float(luck.median()):.2f}). A shift common to all
directions of a list may hide in the bias; with the mean of each list taken out,
{" and ".join(f"{float((c > 0.7).double().mean()):.0%}" for c in shifted)} have one. {
    "**The parts depend on the seed**, so meta-latents are no canonical units either."
    if max(twins) < 0.8
    else "Most parts are found again, which speaks for them."
}""")

# %% [markdown]
# **Latents that never fire in training.** We left out their rows. Somebody who takes the whole of `W_dec` from a file
# would not. How much would the number change?

# %%
everything = variance_explained(meta, directions)

# %% tags=["hide-input"]
viz.say(f"""{
    float(
        (~alive).double().mean()
    ):.0%} of the base SAE's latents never fire in training. Over all rows, theirs included, this
meta-SAE explains {everything:.0%}, against {explained:.0%} over the rows of latents that fire: {
    "a number that says which rows it counts is worth more than one that does not"
    if abs(everything - explained) > 0.05
    else "here it makes little difference"
}.""")

# %% [markdown]
# **Other decompositions.** Is it *these* parts, or would any sensible list of that length do? Greedy pursuit takes a list
# of unit directions (atoms), and four times in a row subtracts from each row the atom that fits best. It needs no
# training, so we can hand it any list.


# %%
def pursue(atoms, k=4):
    left = live - live.mean(0)
    for _ in range(k):
        strength, best = (left @ atoms.T).max(1)
        left = left - strength.clamp(min=0)[:, None] * atoms[best]
    return 1 - float(left.square().sum() / spread)


# %% tags=["hide-input"]
family = run.family("batchtopk-entities")
n_meta = meta.n_latents
small = max((n for n in family.sizes if n <= n_meta), default=family.sizes[0])
lists = {
    f"the {n_meta} meta-latents": W_dec,
    f"the {small} latents of the smaller SAE": decoder_directions(family.sae(small)),
    f"{n_meta} of the rows themselves, drawn at random": live[order[:n_meta]],
    f"{n_meta} random directions": random_directions(W_dec, seed),
}
found = {name: pursue(atoms) for name, atoms in lists.items()}
columns = {"atoms": ("list of atoms", ""), "share": ("variance explained", ".0%")}
viz.table([{"atoms": name, "share": share} for name, share in found.items()], columns)

# %% [markdown]
# **Table 5.5.** Variance of the same rows explained by greedy pursuit with four atoms from each list. Drawn rows rebuild
# themselves, which flatters the third line a little.

# %% tags=["hide-input"]
ours, latents, drawn, noise = found.values()
verdict = (
    "Most of what meta-latents explain, other lists explain too" if max(latents, drawn) > (ours + noise) / 2
    else "Meta-latents do better than the other lists, which still beat random directions" if min(latents, drawn) > noise
    else "The other lists do not beat random directions"
)  # fmt: skip
viz.say(f"""{verdict}: {ours:.0%} for the meta-latents, {latents:.0%} for the latents of an SAE that was trained on
activations, {noise:.0%} for random directions. (Pursuit is not the encoder that the meta-latents were trained with, and
that encoder reaches {explained:.0%}; pursuit treats all lists alike.) On GPT-2 the authors report that latents of smaller SAEs did
only slightly worse than meta-latents ([meta-SAE post](bibliography.md), a figure without a number). That latents have parts does not tell
you that these are *the* parts.""")

# %% [markdown]
# If smaller SAEs offer parts as well, meta-latents should look like their latents. [Chapter 3](03-stitching.ipynb)
# compared two SAEs by maximum cosine; here is the same for meta-latents and every SAE of the family.


# %%
def mean_max_cosine(rows):
    return [float(nearest(rows, family.sae(n)).cosine.mean()) for n in family.sizes]


lines = {"meta-latents": mean_max_cosine(W_dec), "random": mean_max_cosine(random_directions(W_dec, seed))}

# %% tags=["hide-input"]
viz.line_by_size(
    family.sizes, lines, colors={"meta-latents": viz.META}, controls=["random"], y="mean of the max cosine",
    title="Meta-latents resemble latents of other SAEs"
    if min(m - r for m, r in zip(*lines.values())) > 0.1 else "Meta-latents beside latents of other SAEs",
    alt="Lines by dictionary size: mean max cosine of meta-latents and of random directions with the SAE's latents",
)  # fmt: skip

# %% [markdown]
# **Figure 5.7.** For each meta-latent, the highest cosine with a latent of the SAE of that size, averaged over
# meta-latents; the dashed line does the same for random directions. Larger SAEs offer more latents to come close to, so
# both lines rise for that reason alone; the gap between them is the finding. At the base's own size it shows how close
# meta-latents lie to single latents.

# %% [markdown]
# ## Paper and us
#
# The paper's base SAE has 49,152 latents on GPT-2 small and its meta-SAE 2,304 meta-latents; ours are far
# smaller, and our base SAE saw entity mentions only. The paper reports 55.47% of the variance in sample; ours is in Figure
# 4.1, on rows that are easier, for the world's entities are few and share their facts by design. The post names Einstein's
# meta-latents by eye (science and scientists 0.31, prominent figures 0.30, cosmic and astronomical 0.25, German 0.21,
# electricity and energy 0.20, capital E 0.19), where Table 5.2 scores names against the truth and shows those that fail.

# %% [markdown]
# ## Exercises
#
# **1. A city of your choice** (easy, 5 minutes). Decompose the latent of a city that this page has not shown, and decide
# for each part whether its name is true. If it is not, is the part's second-best fact?
#
# <details><summary>Hint</summary>
#
# `own` maps names to latents; `matched.f1[m]` holds the F1 of meta-latent `m` with every fact, in the order of `labels`.
#
# </details>
#
# **Solution.** The cell takes the next city by fame and lists the two best facts of each part.

# %% tags=["hide-cell"]
choice = next((c.name for c in table.cities() if c.name in own and c.name not in {city, *towns}), city)
rows = []
for m in decompose(meta, own[choice], base).meta_latents.tolist():
    best = matched.f1[m].argsort(descending=True, stable=True)[:2].tolist()
    true = [table.facts(choice).get(facts[i].attribute) == facts[i].value for i in best]
    row = [f"{labels[i]} {matched.f1[m, i]:.2f}{' (true)' if t else ''}" for i, t in zip(best, true)]
    rows.append({"part": f"{choice}: m{m}", "first": row[0], "second": row[1]})
viz.table(rows, {key: (key, "") for key in ("part", "first", "second")})

# %% [markdown]
# **2. Find an atom** (medium, 15 minutes). Which entity latent looks *least* composed? Write your criterion down first:
# there are two sensible ones, and they point at different latents. Then say why neither shows that the latent is
# atomic.
#
# <details><summary>Hint</summary>
#
# A latent can *be* a part (one meta-latent rebuilds it), or it can *resist* (the parts leave most of it unexplained).
# Compare the largest cosine with a single $u_m$ and the residual norm.
#
# </details>
#
# **Solution.** The cell finds one latent for each criterion.

# %% tags=["hide-cell"]
is_part = nearest(directions[mine], W_dec).cosine[:, 0]
residual = (directions - (b + A @ W_dec))[mine].norm(dim=1)
part, resists = int(is_part.argmax()), int(residual.argmax())
viz.say(f"""Nearest to being a part itself: the latent of {owner[mine[part].item()]}, cosine {is_part[part]:.2f} with one
meta-latent. Most resistant: the latent of {owner[mine[resists].item()]}, with {residual[resists]:.2f} of its length
unexplained and {int(uses[mine[resists]].sum())} active meta-latents. Neither is shown to be an atom. The first is one part
*of this list*, and a longer list might split it (a meta-latent may simply have been spent on one entity). The second may
have parts that are too rare to earn a place among {meta.n_latents}. A failure to decompose is a fact about the
decomposer.""")

# %% [markdown]
# **3. How many parts?** (medium, 10 minutes). Four active meta-latents are the paper's choice. With one, a meta-SAE is
# a clustering of the rows. Before you run anything: which of variance explained and the mean best F1 should fall, and
# why might the other not? Then train with `k=1`.
#
# <details><summary>Hint</summary>
#
# `dataclasses.replace(meta.config, steps=300, k=1.0)`, then `train_meta_sae` on `decoder`, then `match_facts` as in the
# solution's last lines. Compare with four active meta-latents trained for as few steps, not with `meta`.
#
# </details>
#
# **Solution.** Variance must fall, for one part cannot say what four can. The names are another matter.

# %% tags=["hide-cell"]
recipe = dataclasses.replace(meta.config, steps=300)
share = {}
for name, k in {"four": meta.config.k, "one": 1.0}.items():
    model = train_meta_sae(decoder, dataclasses.replace(recipe, k=k), progress=False)
    fires_on = meta_activations(model, directions)[mine] > 0
    scored = match_facts(fires_on, truth)
    f1 = scored.best_per_latent().value[scored.fires >= 3]
    share[name] = model.report.variance_explained, float(f1.mean())
viz.say(f"""With one active meta-latent: {share["one"][0]:.0%} of the variance and a mean best F1 of {share["one"][1]:.2f};
with
about four: {share["four"][0]:.0%} and {share["four"][1]:.2f}. A cluster has to choose *one* thing about Einstein, so its
recall of any other fact suffers: an entity with eight facts cannot be in eight clusters. Variance explained rewards
any part that helps, named or not, so the two scores need not move together.""")

# %% [markdown]
# ## Summary

# %% tags=["hide-input"]
viz.say(f"""A meta-SAE of {meta.n_latents} meta-latents explains {explained:.0%} of the variance of {len(live):,} decoder
directions in sample and {unseen:.0%} of rows held out; of Gaussian rows with the same covariance {gaussian:.0%} and
{unseen_gaussian:.0%}, and of rows with shuffled coordinates {shuffled:.0%} in sample.""")

# %% [markdown]
# - A latent with one direction can be rebuilt from a few shared parts, so having a latent of its own does not make a
#   thing atomic. Ask how much of that a Gaussian cloud would give you: sharing dimensions is not yet sharing parts.
# - Many parts match facts better than chance, many do not, and a part's name is true of an entity less often than a
#   good story suggests: count, with names chosen on other entities, and chance taken within people and within cities.
# - Other seeds and other lists give parts too. That latents can be taken apart does not make these parts the atoms.
#
# **Next.** [What we found](06-findings.ipynb): every claim of the book in one table.
