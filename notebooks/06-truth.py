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
# # Are the parts the truth?
#
# > **What you will be able to say at the end.** How often a named part is true of the thing it is part of, how often that
# > would happen by chance, what the best possible parts could reach, which facts no part stands for, and whether a
# > meta-SAE's parts are better than anybody else's.
# >
# > **Time.** 25 minutes to read, a quarter of a minute to run once the earlier chapters have run.
# >
# > **Hardware.** Two CPU cores, no GPU, 2 GB of memory.
# >
# > **Read before.** [What is Einstein made of?](05-meta-saes.ipynb).
# >
# > **May be skipped.** "Two graphs", if the paper's adjacency number does not interest you.

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
import dataclasses

import torch
from IPython.display import display

from canonlib import exercises, tiers, viz
from canonlib.claims.compute import claim
from canonlib.claims.meta import scored
from canonlib.intervals import mean_interval
from canonlib.pipeline import Run, metastage, metatruth

viz.setup_plotly()
run = Run(tiers.get(tier, seed=seed))

# %% [markdown]
# ## A good story, counted
#
# The last chapter took {term}`latents <latent>` apart and named the parts, the {term}`meta-latents <meta-latent>` of a
# {term}`meta-SAE`. The post's story, Einstein made of science, Germany and fame, is pleasant to read, and on GPT-2 that is
# all one can do with it. Here we wrote the {term}`facts <fact>`. So take every (entity latent, part) pair whose part has a
# name, and simply count how often the table agrees. The cell fetches the base SAE and its meta-SAE, the latents that answer
# to an {term}`entity`, and the facts that hold of each. Facts that hold of exactly the same entities, such as "politician"
# and "politics" (exercise 1.3), count as one here: no part could have the one and not the other.
#
# :::{margin} The paper differs
# There names are judged by eye, on a handful of latents. The counts of this chapter have no counterpart in it.
# :::

# %%
from canonlib.compare import decoder_directions, nearest
from canonlib.sae.selectivity import TWINS, distinct_facts

base, meta, names = metastage.load_base(run), run.meta.meta, run.meta.names  # as in chapter 5
labels, membership = distinct_facts()
column_of = {fact: i for i, label in enumerate(labels) for fact in label.split(TWINS)}
mine, entity = run.meta.own, run.meta.entity  # latents that answer to an entity, and which
truth = membership.T[entity]  # [n_entity_latents, n_facts]
uses = run.meta.active[mine]  # [n_entity_latents, n_meta]
named = {n.meta_latent: column_of[n.fact] for n in names if n.beyond_chance}
told = [(int(i), m) for m in named for i in uses[:, m].nonzero()[:, 0]]
right = sum(bool(truth[i, named[m]]) for i, m in told)

# %% tags=["hide-input"]
spread = sorted(named.values(), key=lambda f: -int(truth[:, f].sum()))
without = "; ".join(
    f"one named *{labels[f]}* of {float(truth[:, f].double().mean()):.1%}" for f in spread[:: max(len(spread) - 1, 1)]
)
viz.say(f"""{len(named)} of {meta.n_latents} meta-latents of this seed have a name. They say {len(told):,} things about {len(mine)}
latents, of which {right:,} are true: {right / max(len(told), 1):.0%}. Is that much? A part is right without knowing anything,
by how common its fact is among entity latents: {without or "no part has a name here"}. And these entities helped to choose the names
they are judged by. So we need three things: a chance level, names that do not know their judges, and a list of parts that
is as good as can be.""")

# %% [markdown]
# ## Are the parts facts?
#
# First the other way round: which fact does each meta-latent stand for? Table 6.1 has the ten whose users fit one fact best
# (by {term}`F1`), among those with at least three users, whether that makes a name (a {term}`q <q-value>` below 0.05) or not.

# %%
used = sorted((n for n in names if n.n_users >= 3), key=lambda n: -n.f1)
columns = {"meta_latent": ("part", ""), "fact": ("best fact", ""), "precision": ("precision", ".2f"),
           "recall": ("recall", ".2f"), "f1": ("F1", ".2f"), "chance_f1": ("chance", ".2f"), "q_value": ("q", ".3f"),
           "name": ("a name?", "")}  # fmt: skip
viz.table([{**n.to_json(), "name": "yes" if n.beyond_chance else "no"} for n in used[:10]], columns)

# %% [markdown]
# **Table 6.1.** The ten best fits. "Chance" is the mean best F1 over many deals of the facts, within people and within
# cities; $q$ is the share of false names to be expected among those with a $p$ as low, over all parts tested.
#
# A fact that nearly everybody has fits well by chance alone.
#
# The best ten of a long list always look good. Figure 6.1 shows all of them, each beside its own chance level.

# %% tags=["hide-input"]
n_above = sum(n.f1 > n.chance_f1 for n in used)
viz.paired_dots(
    [n.f1 for n in used], [n.chance_f1 for n in used], name="best F1", control_name="by chance",
    hover=[f"meta-latent {n.meta_latent}: {n.fact}<br>{n.n_users} users, p = {n.p_value:.3f}, q = {n.q_value:.3f}" for n in used],
    title="Some meta-latents fit a fact; others stay near chance",
    x="meta-latents, best first", y="F1 with the best fact",
    alt=f"{n_above} of {len(used)} meta-latents have an F1 above their chance level",
)  # fmt: skip

# %% [markdown]
# **Figure 6.1.** Best F1 of every meta-latent with at least three users (green) and the mean best F1 when facts are dealt
# anew within people and within cities (grey).

# %%
viz.claim_box(claim(run, "meta-facts"))

# %% [markdown]
# A best fact hides the runners-up. Figure 6.2 sets twelve meta-latents against their best facts, so that you can see
# whether a meta-latent stands for its fact alone.

# %% tags=["hide-input"]
from canonlib.world.match import match_facts


def first_name(label):
    """One of the names of facts that hold of the same entities, where there is room for one."""
    return label.split(TWINS)[0]


matched = match_facts(uses, truth)
chosen = used[:12]
columns = list(dict.fromkeys(column_of[n.fact] for n in chosen))
values = matched.f1[[n.meta_latent for n in chosen]][:, columns]
viz.fact_heatmap(
    values.float().numpy(), [f"m{n.meta_latent}" for n in chosen], [first_name(labels[i]) for i in columns], low=0.0, unit="F1",
    title="Which fact does each meta-latent fit?", alt="Heatmap of F1 of twelve meta-latents with the facts naming them",
)  # fmt: skip

# %% [markdown]
# **Figure 6.2.** F1 of the twelve best-fitting meta-latents (rows) with their best facts (columns).
#
# A strong cell alone in its row is a meta-latent with one meaning. Several strong cells in a row are facts that go together in the
# world, such as a country, its language and its currency: the entities cannot tell those apart, and neither can we.
#
# ## Judged by others
#
# Now the count again, fairly. Split the entities into five folds. For each fold, name the parts by the *other* four (a
# name only where it is beyond chance there), and see what these names say of the latents in the fold. Write $S$ for the
# (latent, named part) pairs and $T$ for the (latent, fact) pairs that are true:
#
# $$ \text{precision} = \frac{|\{(j, m) \in S : \text{name}(m) \text{ holds of } j\}|}{|S|} , $$ (eq-name-precision)
#
# $$ \text{recall} = \frac{|\{(j, f) \in T : \text{some part of } j \text{ is named } f\}|}{|T|} . $$ (eq-name-recall)
#
# These are the {term}`precision` and the {term}`recall` of the last chapter, now of all names together.
# *Chance* is what the same names would score on latents of the same kind (people or cities) drawn at random:
#
# $$ \text{chance} = \frac{1}{|S|} \sum_{(j, m) \in S} P\big(\text{name}(m) \text{ holds} \mid \text{kind of } j\big) , $$ (eq-name-chance)
#
# and {term}`times chance` (the lift) is precision over chance. Here is one fold by hand.

# %%
from canonlib.meta import name_meta_latents, rare_facts, score_parts

kinds = metastage.kinds()[entity]
out = entity % 5 == 0  # one fold: every fifth entity
theirs = name_meta_latents(uses[~out], truth[~out], labels, entity[~out], groups=kinds[~out])
column = {n.meta_latent: labels.index(n.fact) for n in theirs if n.beyond_chance}
pairs = [(int(i), m) for m in column for i in (uses[:, m] & out).nonzero()[:, 0]]
hits = sum(bool(truth[i, column[m]]) for i, m in pairs)
base_rate = sum(float(truth[kinds == kinds[i]][:, column[m]].double().mean()) for i, m in pairs)

# %% [markdown]
# The library does this for all folds. Beside all facts we ask for the {term}`rare <rare fact>` ones alone, those that at
# most a third of their kind has: a part that says "not a laureate" of everybody is nearly always right, and says nothing.

# %%
rare = rare_facts(truth, kinds)
every, only_rare = (score_parts(uses, truth[:, keep], entity, kinds) for keep in (torch.ones_like(rare), rare))

# %% tags=["hide-input"]
common = ", ".join(label for label, is_rare in zip(labels, rare.tolist()) if not is_rare)
viz.say(f"""In the fold by hand {len(pairs)} things are said, {hits / max(len(pairs), 1):.0%} of them true, against
{base_rate / max(len(pairs), 1):.0%} by chance. Over all folds: {every.precision:.0%} true against {every.chance:.0%}, and
{every.recall:.0%} of what is true is said. Without the common facts (*{common}*): {only_rare.precision:.0%} true against
{only_rare.chance:.0%}, which is {only_rare.lift:.1f} times chance, and {only_rare.recall:.0%} is said.""")

# %% [markdown]
# ## How good could it be?
#
# A precision needs a ceiling as much as it needs a floor. The ceiling here is an {term}`oracle`: parts that were told the
# truth. Fit every {term}`decoder direction` of an entity latent as a mean plus one direction for each fact that holds of its
# entity (ridge regression), and hand these *attribute directions* over as the {term}`list of parts`. Their names are known, so
# nothing has to be named; all that is left to go wrong is choosing the right four. (The oracle is fitted to the latents
# that it is judged on, and its list has one direction for each fact, more than there are meta-latents: read it as what
# could be said with the truth in hand, not as a rival.)
#
# The floor is made of lists that were never meant to have meaning, our {term}`controls <control>`: random directions,
# principal components, the centres of a $k$-means clustering, rows drawn at random. And one list has every right to compete:
# the latents of a smaller SAE. A list has no encoder to say who has which part, so rows are written by {term}`pursuit`. For
# a row $d$, the mean row $\bar d$ and parts $u_1, u_2, \dots$ it looks for
#
# $$ \min_{a} \Big| d - \bar d - \sum_i a_i\, u_i \Big|^2 \quad \text{with all } a_i \ge 0 \text{ and at most } k \text{ of them above } 0 , $$ (eq-pursuit)
#
# greedily: the part that fits best, then the next best for what is left, all coefficients fitted anew each time. The
# meta-SAE's directions are written that way too ("meta-latents by pursuit"), beside the meta-SAE with its own encoder
# ("meta-latents"): so you can tell what its list of parts does from what its encoder does. Figure 6.3 shows all of it, over
# five {term}`seeds <seed>` of base SAE and meta-SAE.


# %%
def point(name, k, facts="rare"):
    recall, precision = (
        scored(run, name, k, lambda row, what=what: row[facts][what]) for what in ("recall", "precision")
    )
    return viz.Said(recall, precision, f"k = {k}")


k = run.tier.meta_k
others = list(dict.fromkeys(row["name"] for row in run.meta_truth[0]["lists"] if row["name"] != metatruth.ORACLE))
lists = {name: [point(name, n) for n in metatruth.KS] for name in ("meta-latents", metatruth.ORACLE)}
lists |= {name: [point(name, k)] for name in others}

# %% tags=["hide-input"]
said_by = {
    name: next(p.recall.mean for p in lists[name] if p.label == f"k = {k}")
    for name in ("meta-latents", metatruth.ORACLE)
}
palette = {"meta-latents": viz.META, metatruth.ORACLE: viz.TRUTH, others[1]: viz.SMALL}
viz.truth_figure(
    lists, colors=palette,
    title=f"Told the truth, {k} parts would say {said_by[metatruth.ORACLE] / said_by['meta-latents']:.1f} times as much",
    alt="Precision against recall of the names of parts: meta-latents and the oracle at four k, other lists at one",
)  # fmt: skip

# %% [markdown]
# **Figure 6.3.** Precision and recall of named parts, rare facts alone, names chosen by other entities. Green: the
# meta-SAE with 1, 2, 4 and 8 active meta-latents. Purple: attribute directions (the oracle). Blue: latents of a smaller SAE,
# grey: the other lists (by the shape of the point), at four parts. Bars are 95% intervals over five seeds.
#
# Up and to the right is better. Table 6.2 has the same in numbers, with chance beside them.


# %% tags=["hide-input"]
def facts_row(name, n):
    get = lambda facts, what: scored(run, name, n, lambda row: row[facts].get(what))  # noqa: E731
    return {"name": name, "k": n, "precision": get("rare", "precision").mean, "chance": get("rare", "chance").mean,
            "lift": f"{get('rare', 'lift'):.1f}", "recall": get("rare", "recall").mean, "all": get("every", "lift").mean}  # fmt: skip


rows = [facts_row("meta-latents", n) for n in metatruth.KS] + [facts_row(name, k) for name in others]
rows += [facts_row(metatruth.ORACLE, n) for n in metatruth.KS]
columns = {"name": ("parts", ""), "k": ("k", ""), "precision": ("precision", ".0%"), "chance": ("chance", ".0%"),
           "lift": ("times chance", ""), "recall": ("recall", ".1%"), "all": ("times chance, all facts", ".1f")}  # fmt: skip
viz.table(rows, columns)

# %% [markdown]
# **Table 6.2.** Precision {eq}`eq-name-precision`, chance {eq}`eq-name-chance` and recall {eq}`eq-name-recall` of rare facts,
# and in the last column times chance over all facts. Intervals are 95% over five seeds.
#
# The other lists could be better at another $k$. Table 6.3 has them at every one.


# %% tags=["hide-input"]
def at_every_k(name):
    get = lambda n, what: scored(run, name, n, lambda row: row["rare"].get(what)).mean  # noqa: E731
    return {"name": name} | {f"k{n}": f"{get(n, 'precision'):.0%}, {get(n, 'recall'):.1%}" for n in metatruth.KS}


every_k = [at_every_k(name) for name in ("meta-latents", *others, metatruth.ORACLE)]
viz.table(every_k, {"name": ("parts", "")} | {f"k{n}": (f"k = {n}", "") for n in metatruth.KS})

# %% [markdown]
# **Table 6.3.** Precision, recall of rare facts at four numbers of active parts, means of five seeds.

# %%
viz.claim_box(claim(run, "meta-truth"))

# %% tags=["hide-input"]
lift, said = (lambda row: row["rare"].get("lift")), (lambda row: row["rare"].get("recall"))
pursued, lucky = others[0], "random directions"
times = {name: scored(run, name, k, lift) for name in ("meta-latents", metatruth.ORACLE, *others)}
recalls = {name: scored(run, name, k, said) for name in times}
by_k = {n: scored(run, "meta-latents", n, lift).mean for n in metatruth.KS}
ones = {name: scored(run, name, 1, lift).mean for name in ("meta-latents", lucky)}

# %% tags=["hide-input"]
viz.say(f"""Four things to take from it. **One**: at the paper's k = {k}, what a named part says is true
{times["meta-latents"].mean:.1f} times as often as by chance, and it says {
    recalls["meta-latents"].mean:.0%} of the rare facts;
with the truth in hand, as many parts a row (from one direction for each fact) reach
{times[metatruth.ORACLE].mean:.1f} times and {
    recalls[metatruth.ORACLE].mean:.0%}. **Two**: k trades the one for the other, from
{by_k[1]:.1f} times chance at k = 1 to {
    by_k[8]:.1f} at k = 8. **Three**: names that are true more often than by chance are no
proof that the parts were worth finding. *Random directions* reach {times[lucky].mean:.1f} times chance and say
{recalls[lucky].mean:.0%} of the rare facts, where the meta-SAE says {
    recalls["meta-latents"].mean:.0%}: in so few dimensions any
direction cuts the entities along some fact, and the test for a name picks those that do. At k = 1 it is {
    ones["meta-latents"]:.1f} times chance against {ones[lucky]:.1f}. **Four**: written by
pursuit instead of its own encoder, the meta-SAE's directions say {
    recalls[pursued].mean:.0%}. An encoder decides by one rule
who has a part; pursuit decides anew for each row.""")

# %% [markdown]
# ## Which facts are never found, and why?
#
# A fact may be missed because it is not in the directions at all, or because it is there and no part holds it. A linear
# {term}`probe` tells the two apart: trained on the directions of some entities' latents, can it tell of others whether the fact
# holds? (Ridge classification within people or within cities; an {term}`AUC` of one half is guessing.) In Figure 6.4, facts
# far to the right are in the directions, and facts high up are held by a part.

# %%
fates = [told["fates"] for told in run.meta_truth]  # one list for each seed, facts in one order
seeds_named = {f["fact"]: sum(seed[i]["named"] for seed in fates) for i, f in enumerate(fates[0])}
readable = {f["fact"]: mean_interval(s[i]["readable"] if s[i]["readable"] is not None else float("nan") for s in fates).mean
            for i, f in enumerate(fates[0])}  # fmt: skip
found = {f["fact"]: sum(seed[i]["best_f1"] for seed in fates) / len(fates) for i, f in enumerate(fates[0])}
never = [fact for fact, n in seeds_named.items() if n == 0]

# %% tags=["hide-input"]
rare_ones = set(run.meta_truth[0]["rare"])
probed = [fact for fact in never if readable[fact] == readable[fact]]
clear = [fact for fact in probed if readable[fact] >= 0.9 and fact in rare_ones]
unknown = [fact for fact in never if fact not in probed]
ends = [
    *[max(clear, key=lambda f: readable[f])] * bool(clear),
    *[min(probed, key=lambda f: readable[f])] * bool(probed),
]
marked = [*ends, max((f for f in found if readable[f] == readable[f]), key=lambda f: found[f])]
as_points = [{first_name(fact): value for fact, value in told.items()} for told in (readable, found, seeds_named)]
viz.fate_scatter(
    *as_points, marked=[first_name(fact) for fact in marked],
    title="Which facts name a part, and which a probe can read off the directions",
    alt=f"Scatter of facts: AUC of a probe against the best F1 of a meta-latent; {len(never)} of {len(found)} are never a name",
)  # fmt: skip

# %% [markdown]
# **Figure 6.4.** Every fact: how well a linear probe reads it from the directions of latents of entities it has not seen
# (across), and the F1 of the best meta-latent with it (up), means over five seeds. Grey facts name no meta-latent in any
# seed. Facts of fewer than five entities with a latent cannot be probed and are left out; facts that hold of the same entities are one point.

# %% tags=["hide-input"]
letters = [fact for fact in probed if fact.startswith("letter")]
spread = decoder_directions(base)[mine].double()
spread = spread - spread.mean(0)


def share_of_variance(fact):
    """Of the variance of entity latents' directions, the share between those with the fact and those without."""
    holds = truth[:, labels.index(fact)]
    between = (
        holds.sum() * spread[holds].mean(0).square().sum() + (~holds).sum() * spread[~holds].mean(0).square().sum()
    )
    return float(between / spread.square().sum())


named_share = mean_interval(
    share_of_variance(f) for f in rare_ones if seeds_named[f] and truth[:, labels.index(f)].any()
)
clear_share = mean_interval(share_of_variance(f) for f in clear)

# %% tags=["hide-input"]
auc = mean_interval(readable[f] for f in letters).mean
viz.say(f"""{len(never)} of {len(found)} facts never become a name in {len(fates)} seeds. {len(letters)} of them are first
letters (AUC of the probe {auc:.2f} on average): the model has little use for the spelling of a name.
{len(unknown)} hold of so few entities that they cannot be probed. Rare facts with an AUC of 0.9 or more, which are in the
directions while no part stands for them: {len(clear)}{f", such as *{', '.join(clear[:4])}*" if clear else ""}. Do they weigh too
little? Such a fact accounts for {clear_share.mean:.1%} of the variance of the directions on average, rare facts that name a
part in some seed for {named_share.mean:.1%}. Exercise 6.3 looks at pairs of parts. **"Not found by a meta-SAE" does not mean "not there".**""")

# %% [markdown]
# ## Would another list do?
#
# Names aside: do meta-latents at least *rebuild* directions better than other lists? First one list by hand. Principal
# components are at right angles, so {eq}`eq-pursuit` has an exact answer: the components with the largest products (each
# component is in the list twice, with either sign, for coefficients are never below zero). The library must find the same.
# Then Table 6.4 compares all lists by the {term}`variance that they explain <meta explained variance>`,
# {eq}`eq-meta-variance`.

# %%
from canonlib.meta import principal_parts, pursue

rows = base.W_dec.detach()[run.meta.alive]
unit = decoder_directions(rows).double()
centred = unit - unit.mean(0)
components = principal_parts(rows, meta.n_latents)  # the second half are the opposites of the first
products = centred @ components[: len(components) // 2].double().T
best = products.square().topk(k, dim=1).values.sum() / centred.square().sum()
assert abs(float(best) - pursue(rows, components, k).variance_explained) < 1e-5


# %% tags=["hide-input"]
def lists_row(name):
    mean = lambda what: scored(run, name, k, lambda row: row[what])  # noqa: E731
    held_out = mean("variance_held_out")
    return {"name": name, "in": f"{100 * mean('variance_explained').mean:.0f}%",
            "out": f"{100 * held_out.mean:.0f}%" if held_out.n else "–"}  # fmt: skip


rows_told = [lists_row(name) for name in ("meta-latents", *others, metatruth.ORACLE)]
viz.table(rows_told, {"name": ("parts", ""), "in": ("in sample", ""), "out": ("held out", "")})

# %% [markdown]
# **Table 6.4.** Variance of decoder directions explained with four parts a row, mean of five seeds. "meta-latents" is the
# meta-SAE with its own encoder; all others are written by pursuit. Held out, lists that are made or learnt from rows were
# made from the other four fifths.

# %% tags=["hide-input"]
explained = {
    name: scored(run, name, k, lambda row: row["variance_explained"]).mean for name in ("meta-latents", *others)
}
apart = {name: scored(run, name, k, lambda row: row["variance_held_out"]) for name in ("meta-latents", *others)}
first = max(explained, key=explained.get)
viz.say(f"""In sample {first} explain most ({
    explained[first]:.0%}); the latents of a smaller SAE, which never saw a decoder
direction, explain {explained[others[1]]:.0%} where the meta-SAE's own directions, by pursuit, explain
{explained[others[0]]:.0%}. On rows held out the meta-SAE explains {apart["meta-latents"].mean:.0%} with its encoder and
{apart[others[0]].mean:.0%} when pursuit chooses its parts anew for each row; {
    ", ".join(f"{name} reach {apart[name].mean:.0%}" for name in others[1:] if apart[name].n)
}. **That directions can be written in parts does not single out these parts.**""")

# %% [markdown]
# ## Nearer to small SAEs than to chance
#
# The post's authors noticed that meta-latents often have a twin among the latents of a *smaller* SAE. For each meta-latent
# take the highest cosine with a latent of the SAE of that size (Figure 6.5). Two controls: random directions, and directions
# drawn with the covariance of the decoder rows (meta-latents live in the few dimensions that latents share, and so do those).
#
# :::{margin} The post reports
# A latent of cosine above 0.7 often in SAE-3,072, and often none in SAE-49,152.
# :::

# %%
from canonlib.meta import random_directions

cosines = [told["cosine"] for told in run.meta_truth]  # a list for each seed: a row for each smaller SAE
sizes = [int(row["size"]) for row in cosines[0]]
over = {
    key: [mean_interval(seed[i][key] for seed in cosines) for i in range(len(sizes))]
    for key in ("meta", "random", "gaussian", "above")
}

# %% tags=["hide-input"]
lines = {"meta-latents": over["meta"], "same covariance": over["gaussian"], "random": over["random"]}
viz.line_by_size(
    sizes, {name: [i.mean for i in line] for name, line in lines.items()}, colors={"meta-latents": viz.META},
    bands={name: ([i.low for i in line], [i.high for i in line]) for name, line in lines.items()}, controls=["same covariance", "random"],
    y="mean of the max cosine", title="Meta-latents resemble latents of smaller SAEs",
    alt="Lines by dictionary size: mean max cosine of meta-latents and of random directions with the SAE's latents",
)  # fmt: skip

# %% [markdown]
# **Figure 6.5.** Highest cosine with a latent of the SAE of that size, mean over meta-latents (green), over directions of the
# same covariance and over random ones (dashed); bands are 95% intervals over five seeds. The last point is the base SAE
# itself.
#
# Larger SAEs offer more latents to come close to, so that all lines would rise for that reason alone.

# %% tags=["hide-input"]
similar = {size: interval.mean for size, interval in zip(sizes, over["above"])}
lead = [m.mean - g.mean for m, g in zip(over["meta"], over["gaussian"])]
gap = [m.mean - r.mean for m, r in zip(over["meta"], over["random"])]
mostly = (
    "most of it is that all of them lie in the few dimensions that latents share"
    if sum(lead) < sum(gap) / 2
    else "less than half of it is shared dimensions"
)
viz.say(f"""Of the distance between meta-latents and random directions ({min(gap):.2f} to {
    max(gap):.2f}), directions of the same
covariance leave {min(lead):.2f} to {max(lead):.2f}: {
    mostly
}. The share of meta-latents with a latent of cosine above 0.7 goes
from {similar[sizes[0]]:.0%} at {sizes[0]} latents to {similar[sizes[-2]]:.0%} at {sizes[-2]:,} and {
    similar[sizes[-1]]:.0%} at {sizes[-1]:,}. (The post
saw it fall for its largest SAE, whose latents are narrower than meta-latents.)""")

# %% [markdown]
# Five seeds were trained of those sizes. Of the smaller SAEs there is one each; Table 6.5 has them beside random directions.

# %%
luck = random_directions(meta.sae.W_dec, seed)
tiny = {n: metastage.live_rows(run, metastage.BASE, n) for n in run.family(metastage.BASE).sizes if n < sizes[0]}
rows_told = [{"size": n, "meta": float(nearest(meta.sae.W_dec, latents).cosine.mean()),
              "random": float(nearest(luck, latents).cosine.mean())} for n, latents in tiny.items()]  # fmt: skip
viz.table(rows_told, {"size": ("SAE of", ""), "meta": ("meta-latents", ".2f"), "random": ("random directions", ".2f")})

# %% [markdown]
# **Table 6.5.** Mean highest cosine with a latent of the smallest SAEs, first seed.

# %%
viz.claim_box(claim(run, "meta-smaller"))

# %% [markdown]
# If they resemble each other, can the one replace the other? In the post's replacement test each meta-latent's direction is
# exchanged for the nearest latent of smaller SAEs, the directions are held fixed, and encoder and bias are trained on. As a
# control the same is done with random directions, as many to choose from.

# %%
viz.claim_box(claim(run, "meta-replaced"))

# %% [markdown]
# ## Two graphs
#
# One more comparison of the post's. Join two latents when they share a meta-latent; join them in a second graph when both
# lie near the same latent of a smaller SAE, at the cosine that gives as many edges. How many edges do both have? By hand,
# with the threshold that the library found for one SAE, a sixteenth of the base's size as in the post:
#
# :::{margin} The post reports
# 28.92% of edges in common, with SAE-3,072.
# :::

# %%
overlap = run.meta_family.summary["overlap"]
row = min(overlap, key=lambda row: abs(row["size"] - run.tier.meta_base // 16))
smaller = metastage.live_rows(run, metastage.BASE, row["size"])  # latents that fire in training
active = run.meta.active[run.meta.alive].float()
close = (decoder_directions(rows) @ decoder_directions(smaller).T >= row["threshold"]).float()
shared, near = (torch.triu(m @ m.T > 0, diagonal=1) for m in (active, close))
n_common = int((shared & near).sum())
assert abs(n_common - row["n_common"]) <= 2  # a pair at the threshold may fall on either side

# %% tags=["hide-input"]
viz.say(f"""{int(shared.sum()):,} pairs of latents share a meta-latent, {int(near.sum()):,} lie near the same latent of the SAE
of {row["size"]}, and {n_common:,} do both: {row["share"]:.0%}, where {row["by_chance"]:.0%} would by chance. For the others it
is {", ".join(f"{r['share']:.0%} at {r['size']}" for r in overlap if r is not row)}.""")

# %%
viz.claim_box(claim(run, "meta-edges"))

# %% [markdown]
# ## Doubt
#
# **The names are ours.** A part that fits no fact of the table may stand for something the table does not list: a template
# of our grammar, the company a name keeps. We count it as saying nothing, which lowers recall and leaves precision alone.
#
# **One list of many.** Are the meta-latents those of the first meta-SAE, when only the seed differs? Two more are trained
# on the same rows. A meta-latent has a *twin* if some meta-latent there has a cosine above 0.7 with it, the line that the
# [meta-SAE post](bibliography.md) draws for "similar".

# %%
from canonlib.meta import train_meta_sae

W_dec = meta.sae.W_dec
again = [train_meta_sae(rows, dataclasses.replace(meta.config, seed=seed + i), progress=False) for i in (1, 2)]
close = [nearest(W_dec, other.sae.W_dec).cosine[:, 0] for other in again]
twins = [float((cosine > 0.7).double().mean()) for cosine in close]
luck = nearest(W_dec, random_directions(W_dec, seed)).cosine[:, 0]

# %% tags=["hide-input"]
viz.say(f"""The other seeds explain {" and ".join(f"{other.report.variance_explained:.0%}" for other in again)} of the
variance. Of our meta-latents, {" and ".join(f"{t:.0%}" for t in twins)} have a twin there (random directions:
{float((luck > 0.7).double().mean()):.0%}). {
    "**The parts depend on the seed**, so meta-latents are no canonical units either."
    if max(twins) < 0.8
    else "Most parts are found again, which speaks for them."
}""")

# %% [markdown]
# ## The paper and us
#
# The post judged names by eye, on a handful of latents; the numbers of this chapter have no counterpart there. It reports
# that replacing meta-latents by latents of smaller SAEs costs little and random directions much (a figure without a
# number), and 28.92% of edges in common with SAE-3,072. Here the graphs are denser, since few meta-latents serve few
# latents, so that chance alone accounts for much of the overlap.
#
# ## Exercises
#
# ### Exercise 6.1: Choose k
#
# *Easy, 10 minutes.* You want to hand a list of named parts to somebody who will act on every name. A true name brings 1,
# a false one costs 2. Which $k$ do you choose: 1, 2, 4, 8, or none (0)? And which $k$ if the list is only to be read, as a
# summary of what the latent stands for? Below are the precision of names (rare facts) and the names said of a latent, by $k$.


# %% tags=["nbval-check-output"]
def of_rare(what):
    """A number of the meta-SAE's names of rare facts, by k: means over the seeds."""
    return {n: scored(run, "meta-latents", n, lambda row: row["rare"].get(what)).mean for n in metatruth.KS}


precision_by_k, names_by_k = of_rare("precision"), {n: pairs / len(mine) for n, pairs in of_rare("n_pairs").items()}
answer_6_1 = None  # yours: the k to act on
exercises.check_best_k(answer_6_1, precision_by_k, names_by_k)

# %% [markdown]
# <details><summary>Hint</summary>
#
# With precision $P$, a name brings $P - 2(1 - P)$ on average, which is above zero when $P$ is above two thirds. Multiply by
# the number of names.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The table has what the names of a latent bring in all, and the recall, which is what a reader would choose by.
#
# </details>

# %% tags=["hide-cell"]
rows_told = [{"k": n, "said": names_by_k[n], "precision": p, "worth": names_by_k[n] * (p - 2 * (1 - p))}
             for n, p in precision_by_k.items()]  # fmt: skip
top = max(rows_told, key=lambda row: row["worth"])
solution = exercises.check_best_k(top["k"] if top["worth"] > 0 else 0, precision_by_k, names_by_k)
assert solution
solution

# %% tags=["hide-cell"]
recall_by_k = of_rare("recall")
columns = {"k": ("k", ""), "said": ("names a latent", ".2f"), "precision": ("precision", ".0%"),
           "recall": ("recall", ".1%"), "worth": ("worth, a latent", ".2f")}  # fmt: skip
display(viz.table([row | {"recall": recall_by_k[row["k"]]} for row in rows_told], columns))
answer = f"k = {top['k']} brings most" if top["worth"] > 0 else (
    f"at no k is acting on every name worth it; the least harm is done at k = {top['k']}"
)  # fmt: skip
most_said = max(recall_by_k, key=recall_by_k.get)
viz.say(f"""To act on: {answer}. As a summary, take the k with the highest recall (here {most_said}), for a reader who knows that
{precision_by_k[most_said]:.0%} of what it says is true.""")

# %% [markdown]
# ### Exercise 6.2: Cheat, and be caught
#
# *Medium, 10 minutes.* Judge parts by names that the judged entities helped to choose, as in this chapter's first cell, but
# *random* parts: `drawn` switches each part on for as many latents as now use it, drawn at random. Name each part by its
# best fact (no test) on one half of the entities. How often is the name true in that same half? Guess before you compute it.
# And how often, over all (latent, part) pairs, in the *other* half? The second number is the answer.

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(seed)
drawn = torch.rand(uses.shape, generator=generator).argsort(0) < uses.sum(0)
half = entity % 2 == 0  # these choose the names
answer_6_2 = None  # yours: the precision among the others, a share of 1
exercises.check_fair_precision(answer_6_2, drawn, truth, half)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `match_facts(drawn[half], truth[half]).best_per_latent().index` is each part's best fact in that half. Then count the pairs
# of a latent and a part that it has, and those among them of which the fact holds.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Names that know their judges flatter even noise; names from others come down to chance.
#
# </details>


# %% tags=["hide-cell"]
def says(naming, judged):
    fact = match_facts(drawn[naming], truth[naming]).best_per_latent().index
    return float((truth[judged][:, fact] & drawn[judged]).sum() / drawn[judged].sum())


solution = exercises.check_fair_precision(says(half, ~half), drawn, truth, half)
assert solution
fact = match_facts(drawn[half], truth[half]).best_per_latent().index
chance = float((truth[~half].double().mean(0)[fact] * drawn[~half].sum(0)).sum() / drawn[~half].sum())
display(solution)
viz.say(f"""Random parts, named and judged by the same half of the entities: {says(half, half):.0%} true. Judged by the other
half: {says(half, ~half):.0%}, where the base rates of those names come to {chance:.0%}. The difference is what choosing the best
of {len(labels)} facts gives away.""")

# %% [markdown]
# ### Exercise 6.3: A fact that is there
#
# *Hard, 30 minutes.* Of the facts that a probe reads and that are never a name (Figure 6.4), the cell takes the one, of at
# least 15 latents where there is such a one, that single parts tell worst; `holds` says of which entity latents it is true. Which *two* meta-latents
# tell it best together, by the F1 of "this latent has both"? Is that better than chance, and what does it say about "parts"?

# %% tags=["nbval-check-output"]
often = [fact for fact in clear if int(truth[:, labels.index(fact)].sum()) >= 15] or clear or labels
target = min(often, key=lambda fact: found[fact])
holds = truth[:, labels.index(target)]
answer_6_3 = None  # yours: the numbers of two meta-latents
exercises.check_telling_pair(answer_6_3, uses, holds)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `uses[:, i] & uses[:, j]` for all pairs of meta-latents (`torch.triu_indices` lists them), against `holds`. For chance, deal
# `holds` anew among latents of the same kind and search all pairs again: the best of two thousand fits anything a little.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The first cell tries every pair; the second deals the fact anew two hundred times.
#
# </details>

# %% tags=["hide-cell"]
first, second = torch.triu_indices(meta.n_latents, meta.n_latents, 1)
together = uses[:, first] & uses[:, second]
joint, alone = (match_facts(those, holds[:, None]).f1[:, 0] for those in (together, uses))
i = int(joint.argmax())
solution = exercises.check_telling_pair((int(first[i]), int(second[i])), uses, holds)
assert solution
solution

# %% tags=["hide-cell"]
dealt_f1, own = [], (kinds == kinds[holds].mode().values).nonzero()[:, 0]
for _ in range(200):
    dealt = holds.clone()
    dealt[own] = holds[own[torch.randperm(len(own), generator=generator)]]
    dealt_f1.append(float(match_facts(together, dealt[:, None]).f1.max()))
p = (1 + sum(value >= float(joint[i]) for value in dealt_f1)) / 201
viz.say(f"""{target}: the best single meta-latent has an F1 of {float(alone.max()):.2f}, the best pair ({
    int(first[i])
} and
{int(second[i])}) {float(joint[i]):.2f}; by chance the best pair has {sum(dealt_f1) / 200:.2f} (p = {
    p:.3f}). A pair that beats both its parts *and* chance would
be a fact that lives in a combination, which no list of names of single parts shows. A p well above 0.05 says that a search
over so many pairs finds as much for anything.""")

# %% [markdown]
# ## Summary

# %% tags=["hide-input"]
viz.say(f"""- Named parts are true {times["meta-latents"].mean:.1f} times as often as by chance at $k$ = {k} and say
{recalls["meta-latents"].mean:.0%} of the rare facts; directions told the truth {times[metatruth.ORACLE].mean:.1f} times and
{recalls[metatruth.ORACLE].mean:.0%}; random directions {times[lucky].mean:.1f} times and {recalls[lucky].mean:.0%}. Count
names with judges that did not choose them, and beside such lists; precision without recall, or either alone, tells half.""")

# %% [markdown]
# - Most attributes can be read off the directions by a linear probe; a meta-SAE names some of them and misses many.
# - Meta-latents resemble latents of smaller SAEs, but neither those nor another seed's meta-latents are the same parts.
#   That latents can be written with shared directions does not make those directions the atoms.
#
# **On Monday.** Never act on a part's name without its base rate, without judges that did not choose it, without a list of
# random directions put through the same test, and without a second seed.
#
# ## Next
#
# [What we found](07-findings.ipynb): every claim of the book in one table, and what to do about it on Monday.
