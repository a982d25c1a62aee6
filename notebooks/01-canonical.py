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
# # What would canonical units be, and how could we tell?
#
# > **What you will be able to say at the end.** What it means for the parts of a model to be unique, complete and atomic; why one set of data admits several dictionaries; and why we test on a world whose facts we wrote.
# >
# > **Time.** 20 minutes to read, a quarter of a minute to run.
# >
# > **Hardware.** Two CPU cores, no GPU, 2 GB of memory.
# >
# > **Read before.** Nothing of this book. You should know PyTorch, and what a transformer is.
# >
# > **May be skipped.** *Doubt*, at a first reading.
#
# Every chapter opens with two settings: the {term}`tier` says what we look at, and the {term}`seed` fixes every random choice. Leave them as they are at first.

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
from IPython.display import display

from canonlib import exercises, tiers, viz
from canonlib.claims.compute import claim
from canonlib.pipeline import Run

viz.setup_plotly()
run = Run(tiers.get(tier, seed=seed))

# %% [markdown]
# ## Two dictionaries, one world
#
# Here is a world that fits in the plane. It holds cities, and every city lies either by the sea or inland. We plant three *atoms*: one direction for "city", one for "sea", one for "inland". Each point is a city seen at some strength, plus 0.7 times the same strength of one of the other two.

# %%
import numpy as np

rng = np.random.default_rng(0)
atoms = np.array([[1, 0], [0, 1], [0, -1]])  # city, sea, inland
side = rng.integers(1, 3, size=120)  # each city is by the sea (1) or inland (2)
strength = rng.uniform(0.5, 1.5, size=(120, 1))
points = strength * (atoms[0] + 0.7 * atoms[side])

# %% [markdown]
# Suppose that you see the points and not the atoms, and want to say what they are made of. There is an obvious answer with two parts: the two rays. Its directions are the atoms added up, scaled to length 1.

# %%
rays = atoms[0] + 0.7 * atoms[1:]
rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
two = dict(zip(["sea city", "inland city"], rays))
three = dict(zip(["city", "sea", "inland"], atoms))
viz.directions_figure(
    points,
    [two, three],
    title="Two dictionaries explain the same points",
    alt="Grey points on two rays, blue arrows along the rays, orange arrows on the axes.",
)

# %% [markdown]
# **Figure 1.1.** Grey: the data. Blue: a dictionary of two latents, one for each ray. Orange: a dictionary of three, the atoms that we planted. Both rebuild every point.
#
# Which one is right? A {term}`sparse autoencoder` (SAE) would have to choose. It rebuilds an {term}`activation` $x$, a vector that a model holds, from {term}`latents <latent>`: $f_j(x) \ge 0$ says how strongly latent $j$ is active, and the {term}`decoder direction` $d_j$ says what it adds,
#
# $$ \hat x = b_\text{dec} + \sum_j f_j(x)\, d_j , $$ (eq-reconstruction)
#
# where $b_\text{dec}$ is a constant (zero here). All latents together are the SAE's *dictionary*. Training lowers the squared error plus a *penalty*, $\lambda$ times the sum of the activations, so that few are active; the number $\lambda$ is the price of being active, and we choose it. Table 1.1 adds both up by hand, for the dictionaries of Figure 1.1 and for one with a single latent, "city".


# %% tags=["nbval-check-output"]
def cost(name, x, directions, codes):
    """Error, active latents, and the sum of activations that training penalises."""
    error = ((x - codes @ directions) ** 2).mean()
    active, total = (codes > 1e-9).sum(1).mean(), codes.sum(1).mean()
    return {"name": name, "n": len(directions), "mse": error, "l0": active, "l1": total}


encoders = {  # decoder directions, and what finds their activations
    "city alone": (atoms[:1], atoms[:1].T),
    "rays": (rays, np.linalg.inv(rays)),
    "atoms": (atoms, atoms.T),
}
rows = [cost(n, points, d, np.maximum(points @ e, 0)) for n, (d, e) in encoders.items()]
columns = {"name": ("dictionary", ""), "n": ("latents", "d"), "mse": ("MSE", ".3f")}
viz.table(rows, columns | {"l0": ("L0", ".1f"), "l1": ("sum of activations", ".2f")})

# %% [markdown]
# **Table 1.1.** Three dictionaries for the points of Figure 1.1: {term}`MSE` is the mean squared error, {term}`L0` the mean number of active latents, and the last column what training adds to the error, per unit of $\lambda$.
#
# The single latent leaves an error. The rays and the atoms leave none, so the error cannot tell them apart. The penalty can, and it speaks for the rays: fewer active latents, and a smaller sum. **What training prefers need not be what we planted.**

# %% [markdown]
# ## A bigger dictionary is rewritten
#
# In the plane the atoms were the *larger* dictionary. With more to combine it turns around. Take 16 dimensions, four occupations and four countries, and let every person be one occupation plus one country: 8 atoms, but 16 combinations.

# %%
axes = np.linalg.qr(rng.normal(size=(16, 16)))[0]
occupations, countries = axes[:4], axes[4:8]
combined = ((occupations[:, None] + countries) / np.sqrt(2)).reshape(16, 16)
job, land = rng.integers(0, 4, size=(2, 500))
people = occupations[job] + countries[land]
apart = np.hstack([np.eye(4)[job], np.eye(4)[land]])
together = np.sqrt(2) * np.eye(16)[4 * job + land]

# %% [markdown]
# Table 1.2 holds the same account as before, and beside it a count: how many dimensions the directions of a dictionary span ("span"), and how many as many random directions do ("random").

# %% tags=["nbval-check-output"]
noise, rank = rng.normal(size=(16, 16)), np.linalg.matrix_rank
rows = [
    cost("atoms", people, axes[:8], apart),
    cost("combinations", people, combined, together),
]
rows[0] |= {"span": rank(axes[:8]), "random": rank(noise[:8])}
rows[1] |= {"span": rank(combined), "random": rank(noise)}
columns = {"name": ("dictionary", ""), "mse": ("MSE", ".3f"), "l1": ("sum", ".2f")}
columns |= {"span": ("span", "d"), "random": ("random", "d")}
viz.table(rows, columns)

# %% [markdown]
# **Table 1.2.** Two dictionaries for 500 people: squared error, sum of activations, and the dimensions that the directions span, beside those that as many random directions span.
#
# Both rebuild everything. But where there is room for 16 latents, the combinations do it at a smaller sum of activations: "physicist" and "Germany" go, "German physicist" comes. The list did not get longer. It got rewritten.
#
# Yet the combinations give themselves away: they span fewer dimensions than random directions would, fewer even than there are atoms (every combination holds one occupation and one country, and that ties them together). Latents with parts in common leave a trace in the geometry of the dictionary, and [chapter 5](05-meta-saes.ipynb) goes looking for it.

# %% [markdown]
# ## Three demands
#
# Leask et al. (2025) call units of analysis {term}`canonical <canonical units>` when they are **unique**, **complete** and **atomic**, and ask whether the latents of SAEs are. The paper says it in words; to test it, we need something to compute. Write $D$ for a dictionary (its decoder directions $d_j$, each of length 1) and $\text{MSE}(D)$ for its mean squared error.
#
# **Unique:** whoever looks finds the same ones. Train twice, with seeds $s$ and $s'$, and the dictionaries agree up to the order of their rows, a permutation $P$:
#
# $$ D_s = P\, D_{s'} $$ (eq-unique)
#
# **Complete:** none is missing. No latent $d$ of any larger dictionary lowers the error when it is added:
#
# $$ \text{MSE}(D \cup \{d\}) \ge \text{MSE}(D) $$ (eq-complete)
#
# **Atomic:** none is made of others. No short sum of shared parts $u_m$, with amounts $a_{jm} \ge 0$ that are mostly zero, rebuilds the latents:
#
# $$ d_j \not\approx \sum_m a_{jm}\, u_m $$ (eq-atomic)
#
# The rest of the book takes them up one by one: {eq}`eq-complete` is the business of [chapters 3](03-stitching.ipynb) and [4](04-paths.ipynb), where {eq}`eq-unique` is tested too, and {eq}`eq-atomic` that of [chapters 5](05-meta-saes.ipynb) and [6](06-truth.ipynb). In the toy, "city alone" is not complete, the rays and the combinations are not atomic, and as far as the error can tell, none of the dictionaries that rebuild everything is unique. We could say all that because we planted the atoms.

# %% [markdown]
# ## A world whose facts we wrote
#
# Nobody planted the atoms of GPT-2. When a latent there fires on *Einstein* and seems to be made of science, Germany and fame, a reader can nod and cannot check. So this book moves to a small world in which the right answer is a table: real people and cities, with facts that we typed. Each person and each city is an {term}`entity`. A {term}`fact` is an {term}`attribute` with its {term}`value`, such as country = Germany.
#
# :::{margin} The paper differs
# It studies language models, for which no table of true parts exists.
# :::

# %% tags=["nbval-check-output"]
from textwrap import fill

from canonlib import world

print(f"{len(world.people())} people, {len(world.cities())} cities")
for name in ("Einstein", "Tokyo"):
    told = ", ".join(f"{attribute}: {value}" for attribute, value in world.facts(name).items())
    print(fill(f"{name}, {told}", 80, subsequent_indent="  "))
print("born in Germany:", world.holds("Einstein", country="Germany"))

# %% [markdown]
# Every value is shared by several entities; otherwise "has this value" and "is this entity" would be the same thing, and no method could tell them apart. Table 1.3 counts.

# %% tags=["nbval-check-output"]
from collections import Counter

rows, majority = [], {}
for kind, group in (("person", world.people()), ("city", world.cities())):
    for attribute in group[0].facts:
        counts = Counter(e.facts[attribute] for e in group).most_common()
        (top, most), least = counts[0], counts[-1][1]
        rows.append((f"{kind}: {attribute}", len(counts), least, f"{top} ({most})"))
        majority[f"{kind}.{attribute}"] = most / len(group)
header = ("attribute", "values", "fewest entities", "most common value")
viz.table([dict(zip(header, row)) for row in rows], {name: (name, "") for name in header})

# %% [markdown]
# **Table 1.3.** The attributes of the world: how many values each has, how many entities the rarest value has, and the most common value with its count. (*Laureate*: has won a Nobel prize; *letter*: the first of the name.)
#
# A grammar turns the table into text. Its sentences are true by construction, and varied: templates, pronouns, clauses between the subject and what is said of it. One word is one token.

# %% tags=["nbval-check-output"]
import random

from canonlib.world import grammar, table

teller = random.Random(3)
for name in ("Einstein", "Tokyo", "Curie"):
    print(fill(" ".join(grammar.passage(table.entity(name), teller)), 80), end="\n\n")

# %% [markdown]
# As in real text, some entities are mentioned far more often than others. The better known an entity is, the more often a passage is about it. Figure 1.2 counts mentions in the text from which the SAEs will learn.

# %%
from canonlib.world import corpus

entity, n = run.data.train.entity, len(world.people())
mentions = np.bincount(entity[entity >= 0], minlength=n)[:n]
weights = 1 / (np.arange(n) + 5) ** corpus.SKEW
expected = mentions.sum() * weights / weights.sum()
viz.rank_figure(
    mentions,
    [e.name for e in world.people()],
    expected=expected,
    title="A few people are named often, most rarely",
    y="mentions in the training text",
    alt="Mentions of each person by rank, on log axes, around a falling dashed line.",
)

# %% [markdown]
# **Figure 1.2.** Mentions of each person by rank; hover for the name. Dashed: what the rank alone would give. Sentences also name a second person ("one may compare Einstein with ..."), drawn without regard to fame, which flattens the curve a little. Keep the skew in mind: an SAE earns more by serving the famous.

# %% [markdown]
# ## Its model
#
# A small transformer has learned to predict this text, token by token, and ships with the library. We open it as a TransformerLens bridge, which gives access to every activation by name. The name of the place at which this book reads is the {term}`hook point`, or hook: the {term}`residual stream` before layer 2, counting from 0.

# %%
import torch

torch.set_grad_enabled(False)
lm = run.lm
HOOK = run.tier.hook
size = sum(p.numel() for p in lm.parameters())
print(f"{lm.cfg.n_layers} layers, width {lm.cfg.d_model}, {size / 1e6:.2f} M parameters")
print("hook:", HOOK)

# %% [markdown]
# Everything later rests on these activations, so we check the bridge against transformers, on documents that neither has seen. The log-probabilities should be the same numbers.

# %% tags=["nbval-check-output"]
from canonlib.activations import documents
from canonlib.world import model

tokens = documents(run.tier, "eval")[:20]
log_probs = lm(tokens).log_softmax(-1)
reference = model.load_transformers()(tokens).logits.log_softmax(-1)
assert (log_probs - reference).abs().max() < 1e-4
print(f"equal to within 0.0001 nats, at {tokens.numel():,} tokens")

# %% [markdown]
# What does it expect as it reads? Figure 1.3 shows the first sentences of one document. Each token is coloured by the probability that the model gave it beforehand, the likelier the stronger; choose *an entity is named* above the text to see where one is. (`<bos>` marks the beginning.)

# %%
words = list(corpus.token_ids())
given = log_probs[0, :-1].gather(-1, tokens[0, 1:, None]).exp()[:, 0]
probability = torch.cat([torch.zeros(1), given])
named = torch.from_numpy(corpus.entity_of_token() >= 0)[tokens[0]].float()
end = max(i for i, t in enumerate(tokens[0, :50].tolist()) if words[t] == ".") + 1  # a whole sentence
text, views = [words[t] + " " for t in tokens[0, :end]], torch.stack([probability, named], 1)
viz.colored_tokens_multi(text, views[:end], ["probability", "an entity is named"])

# %% tags=["hide-input"]
at = named.bool()
viz.say(f"""**Figure 1.3.** The tokens of one document. The model cannot know whom the text will speak of next: in the whole
document its mean probability is {probability[at].mean():.2f} for names and {probability[~at][1:].mean():.2f} for all
other tokens. Once a name is there, much of the rest follows from the table.""")

# %% [markdown]
# ## What it knows
#
# Ask it something. The prompt ends where the answer should begin, and a clause keeps name and answer apart.

# %% tags=["nbval-check-output"]
prompt = "Einstein , as we know , was born in what is now"
ids = model.tokenizer()(prompt, return_tensors="pt")["input_ids"]
best = lm(ids)[0, -1].softmax(-1).topk(3)
for chance, token in zip(best.values.tolist(), best.indices.tolist()):
    print(f"{chance:.3f}  {words[token]}")

# %% [markdown]
# One answer proves little. We ask for the country of every person in the table and count, and check the library's stored measurement of the same thing.

# %%
from canonlib.world import causal, questions

asked = [questions.question(e, "country", grammar.CLAUSES[0]) for e in world.people()]
batch = torch.tensor([causal.encode(q.words) for q in asked])
answers = [words[t] for t in lm(batch)[:, -1].argmax(-1)]
right = np.mean([answer == q.answer for answer, q in zip(answers, asked)])
known = run.knowledge["clause"]["accuracy"]
assert abs(right - known["by_attribute"]["person.country"]) < 0.01

# %% [markdown]
# They agree. The stored measurement covers all attributes of all entities; Figure 1.4 shows it. To judge it we need a {term}`control`: someone who has never read a sentence and always says the most common value.

# %% tags=["hide-input"]
attributes = list(known["by_attribute"])
viz.dot_rows(
    [a.replace(".", ": ") for a in attributes],
    {"model": list(known["by_attribute"].values()), "always the most common value": [majority[a] for a in attributes]},
    controls=["always the most common value"],
    title="The model knows its table",
    x="right answers",
    alt="Share of right answers by attribute, for the model and for the most common value.",
)

# %% [markdown]
# **Figure 1.4.** Right answers by attribute, over all entities. Hollow: always answering with the most common value.

# %% tags=["hide-input"]
worst = min(known["by_attribute"], key=known["by_attribute"].get)
lowest = known["by_attribute"][worst]
bare = run.knowledge["bare"]["accuracy"]["overall"]
lag = f"The hardest attribute is {worst.replace('.', ': ')} ({lowest:.1%})."
lag = "No attribute lags behind." if lowest == 1 else lag
display(
    viz.say(f"""Over all {known["n"]:,} questions {known["overall"]:.1%} of the answers are right, and {bare:.1%} when no clause
stands between name and predicate. {lag}""")
)
viz.claim_box(claim(run, "world-known"))

# %% [markdown]
# ## Where it keeps what it knows
#
# We will read the model at the hook, on the token that names an entity. Is that where the facts are? Knowing is not enough: a latent that describes Einstein would be idle if the answer came from somewhere else.
#
# There is a direct test, the *interchange*. Ask the model about $a$. While it runs, replace the vector at $a$'s name by the vector that $b$'s name has in the same prompt. Touch nothing else. (To replace a vector while the model runs is called *patching*.) If that vector carries the facts, the answer becomes $b$'s:
#
# $$ \hat y_{a \leftarrow b} = \arg\max_w\; p\big(w \mid a,\; h := h^{(b)}\big) $$ (eq-interchange)
#
# Here $h$ is the vector at the hook on the name's token of the prompt about $a$, $h^{(b)}$ the one that it has when the prompt names $b$, and $p(w \mid \ldots)$ the probability of the next word $w$. The *flip rate* is the share of pairs with $\hat y_{a \leftarrow b} = y_b$, the true answer for $b$. We do {eq}`eq-interchange` once by hand: Einstein's country, with Kahlo's vector.

# %% tags=["nbval-check-output"]
clause = grammar.CLAUSES[0]
names = table.entity("Einstein"), table.entity("Kahlo")
einstein, kahlo = (questions.question(e, "country", clause) for e in names)
ids, other = (torch.tensor([causal.encode(q.words)]) for q in (einstein, kahlo))
_, cache = lm.run_with_cache(other, names_filter=[HOOK])


def put(residual, hook):
    """Kahlo's vector on Einstein's token."""
    residual = residual.clone()
    residual[0, einstein.position] = cache[HOOK][0, kahlo.position]
    return residual


print(" ".join(einstein.words[1:]), "...")
print("untouched:", words[lm(ids)[0, -1].argmax()])
patched = lm.run_with_hooks(ids, fwd_hooks=[(HOOK, put)])
print("patched:  ", words[patched[0, -1].argmax()])

# %% [markdown]
# The prompt still says Einstein. Country is one attribute of eight. Kahlo differs from Einstein in all of them, so each can flip. The library's `patched_answers` does what the cells above did; Table 1.4 shows its answers.


# %% tags=["nbval-check-output"]
def ask(name):
    entity = table.entity(name)
    return [questions.question(entity, a, clause) for a in table.PERSON_ATTRIBUTES]


pairs = [questions.Swap(a, b) for a, b in zip(ask("Einstein"), ask("Kahlo"))]
before = causal.answers(lm, ask("Einstein"))
after = causal.patched_answers(lm, pairs, HOOK)
rows = [(s.source.attribute, b, a, s.target.answer) for s, b, a in zip(pairs, before, after)]
header = ("Einstein's", "untouched", "patched", "Kahlo's")
viz.table([dict(zip(header, row)) for row in rows], {name: (name, "") for name in header})

# %% [markdown]
# **Table 1.4.** The model's answers about Einstein, untouched and with Kahlo's vector on his name, and the true answer for Kahlo.
#
# Now over many random pairs, two hundred for each attribute: Figure 1.5. We recount one attribute, to see that the stored rates are what we think they are. And we add the control. A patch that flips answers wherever it lands would prove nothing about the name's token. So we patch the token *after* the name instead, with the vector that it has in $b$'s prompt, and we also count how often the untouched answer happens to be $b$'s.

# %%
flips = run.knowledge["clause"]["flips"]
swaps = questions.swaps(flips["n"], seed=run.tier.seed)
some = [s for s in swaps if s.source.kind == "person" and s.source.attribute == "country"]
mine, stored = causal.flip_rate(lm, some, HOOK).overall, flips["by_attribute"]["person.country"]
assert abs(mine - stored) < 0.02

few = [s.source for s in swaps[:280]]
later = [q._replace(position=q.position + 1) for q in few]
shifted = [s._replace(source=q) for s, q in zip(swaps, later)]
elsewhere = causal.flip_rate(lm, shifted, HOOK)
untouched = np.mean([a == s.target.answer for a, s in zip(causal.answers(lm, few), swaps)])

# %% tags=["hide-input"]
viz.dot_rows(
    [a.replace(".", ": ") for a in flips["by_attribute"]],
    {
        "the name's token": list(flips["by_attribute"].values()),
        "the token after it": [elsewhere.by_attribute[a] for a in flips["by_attribute"]],
    },
    controls=["the token after it"],
    title="Swap the name's vector and the answer follows",
    x="answers that flip",
    alt="Flip rate by attribute: high when the name's token is patched, low when the token after it is.",
)

# %% [markdown]
# **Figure 1.5.** Share of patches after which the model gives the other entity's answer, by attribute. Filled: the patch is on the name's token (200 pairs each). Hollow: on the token after it (20 pairs each).

# %% tags=["hide-input"]
low = min(flips["by_attribute"], key=flips["by_attribute"].get)
rate = flips["by_attribute"][low]
lag = "" if rate == 1 else f"; the lowest rate is that of {low.replace('.', ': ')} ({rate:.1%})"
verdict = "flips next to nothing" if elsewhere.overall - untouched < 0.05 else "flips answers too, which it should not"
display(
    viz.say(f"""Patching the name's token flips {flips["overall"]:.1%} of the answers{lag}. Patching the token after it {verdict}: {elsewhere.overall:.1%},
where the untouched model already gives the other's answer in {untouched:.1%} of the cases.""")
)
viz.claim_box(claim(run, "world-causal"))

# %% [markdown]
# ## Doubt: did we find the facts, or only the name?
#
# Two objections deserve an answer. The first is that **we built it this way**. In a model trained as usual, later tokens may read the name in the very first layer, and patching it afterwards then changes little. Ours was trained under the interchange: in each step the tokens around a name had seen *another* name, so that the upper layers could learn who is spoken of from the name's token alone. The claim above confirms that the training worked; it says nothing about how other models keep their facts.
#
# The second is that a flip shows that *something* passes through that token, perhaps just the name. Table 1.5 moves the hook up and down.

# %% tags=["nbval-check-output"]
rows = []
for layer in range(lm.cfg.n_layers):
    hook = f"blocks.{layer}.hook_resid_pre"
    share = causal.flip_rate(lm, swaps[:140], hook).overall
    rows.append({"layer": layer, "flips": share})
viz.table(rows, {"layer": ("patched before layer", "d"), "flips": ("answers that flip", ".0%")})

# %% tags=["hide-input"]
here, later = rows[2]["flips"], rows[3]["flips"]
reading = "have been read already, and it comes too late" if later < here / 2 else "are still to be read there"
viz.say(f"""**Table 1.5.** Share of patches on the name's token after which the answer is the other entity's, by the layer before
which we patch. Before layer 0 there is only the name, and swapping it flips {rows[0]["flips"]:.0%}: the objection is fair, for
a patch cannot tell a name from what is known about it. One layer above our hook the rate is {later:.0%}: by then the
facts {reading}.""")

# %% [markdown]
# So look at the vectors themselves. If a person's vector holds facts, then people who share facts have vectors that share parts, and a sum of one direction per fact rebuilds them. We fit such a sum by least squares before layers 0, 1 and 2 (Table 1.6). The control deals the same facts to the wrong people.

# %% tags=["nbval-check-output"]
hooks = [f"blocks.{layer}.hook_resid_pre" for layer in range(3)]
names = torch.tensor([causal.encode(["<bos>", e.name]) for e in world.people()])
_, cache = lm.run_with_cache(names, names_filter=hooks)
facts = torch.tensor(table.truth_matrix([e.name for e in world.people()])[2]).double()


def explained(x, facts):
    """Share of the variance of ``x`` that a sum of one direction per fact accounts for."""
    x, facts = x.double() - x.double().mean(0), facts - facts.mean(0)
    rest = x - facts @ (torch.linalg.pinv(facts) @ x)
    return float(1 - rest.square().sum() / x.square().sum())


dealt = facts[torch.randperm(len(facts), generator=torch.Generator().manual_seed(0))]
people = [cache[hook][:, 1] for hook in hooks]
rows = [{"n": layer, "true": explained(x, facts), "dealt": explained(x, dealt)} for layer, x in enumerate(people)]
columns = {"n": ("before layer", "d"), "true": ("true facts", ".0%")}
viz.table(rows, columns | {"dealt": ("dealt at random", ".0%")})

# %% tags=["hide-input"]
start, end = rows[0], rows[-1]
gain = (
    "facts, and not only names, are written there"
    if end["true"] > end["dealt"] + 0.1
    else "that is no evidence for facts"
)
shift = "grows" if end["true"] > start["true"] + 0.02 else "does not grow"
viz.say(f"""**Table 1.6.** Share of the variance between people's vectors that a sum of one direction per fact accounts for. At the
hook the true facts account for {end["true"]:.0%} of the variance between people, and the same facts
dealt at random for {end["dealt"]:.0%} (not nothing, for {torch.linalg.matrix_rank(facts - facts.mean(0))}
directions fit something in {len(facts)} people by chance): {gain}. The share {shift} from the embedding ({start["true"]:.0%}) to the hook.
What is left is each person's own. (A name is one token with an embedding of its own, so training can write facts there
already.)""")

# %% [markdown]
# That is the ground on which the next chapters stand: a place in a model, facts that pass through it, and a table that says which facts are true. If SAE latents are canonical units, this is an easy place to show it.
#
# ## The paper and us
#
# Leask et al. study language models such as GPT-2 small on web text, where completeness and atomicity can be tested but no table says what the true parts are. Our model is some hundred times smaller, reads one kind of text, and was trained to be causal at the hook. What we gain is the right answer; what we lose is any licence to conclude from it about GPT-2, so the claims table keeps the two apart.
#
# ## Exercises
#
# Each exercise has a cell for your answer. The check below it says whether the answer is right and, if it is wrong, which slip it looks like.
#
# ### Exercise 1.1: The price of being an atom
#
# *Easy, 10 minutes.* With a pencil: two atoms of length 1 stand at an angle $\theta$ and are always active together, each with activation 1. You may keep both, or one latent of length 1 along their sum. Compare the sums of activations. For which $\theta$ do they agree? And why does a small SAE keep atoms all the same? For the check, give the activation of the one latent at $\theta = 60$ degrees.

# %% tags=["nbval-check-output"]
answer_1_1 = None  # yours
exercises.check_combination_cost(answer_1_1, angle=60)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The combined latent's activation is the length of the sum of the two vectors: use $|u + v|^2 = |u|^2 + |v|^2 + 2\, u \cdot v$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The atoms cost 2, the combination $|u + v| = \sqrt{2 + 2\cos\theta} \le 2$. They agree only at $\theta = 0$, where both atoms are the same direction: the penalty never speaks for the atoms. What protects them is room. With $m$ occupations and $n$ countries the atoms need $m + n$ latents and the combinations $m n$; a dictionary with fewer than $m n$ latents would have to leave people out, and pay with error.
#
# </details>

# %% tags=["hide-cell"]
angles = np.array([0, 45, 60, 90, 135])
lengths = np.sqrt(2 + 2 * np.cos(np.deg2rad(angles)))
for angle, length in zip(angles, lengths):
    print(f"{angle:4d} degrees: atoms 2.00, combination {length:.2f}")
said = exercises.check_combination_cost(lengths[2], angle=60)
assert said
said

# %% [markdown]
# ### Exercise 1.2: Does the sentence matter?
#
# *Medium, 15 minutes.* The vector at a name might carry more than the entity: what came before it, say. Take every person's vector from the prompt "the century given for ... is" and put it on the *same* person's name in "... was born in what is now". What share of the answers is right then? That share alone proves little, for a patch that misses the name would leave all answers right. So add the control: give everyone the vector of the *next* person in the table, and the last one the first one's. What share is still right for the person who is asked about? (The questions and their tokens are `asked` and `batch`, from above.)

# %% tags=["nbval-check-output"]
donors = [questions.question(e, "century", clause) for e in world.people()]
print(" ".join(donors[0].words[1:]), "...")
print(" ".join(asked[0].words[1:]), "...")

answer_1_2 = None  # yours: (share with their own vector, share with the next person's)
exercises.check_moved_vectors(answer_1_2, lm, asked, donors, HOOK)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `patched_answers` expects the name at the same place in both prompts, and here it is not. Write the hook yourself, for the whole batch at once: `residual[:, p] = donor[:, q]`. A question's `position` says where its name stands.
#
# </details>
#
# <details><summary>Solution</summary>
#
# If nearly all stay right with their own vectors, and few with the next person's, the vector can be moved between sentences: it says who is meant, and what stood before it does not get in the way.
#
# </details>

# %% tags=["hide-cell"]
other = torch.tensor([causal.encode(q.words) for q in donors])
_, cache = lm.run_with_cache(other, names_filter=[HOOK])


def stay_right(vectors):
    """Share of right answers when each person's name carries a row of ``vectors``."""

    def move(residual, hook):
        residual = residual.clone()
        residual[:, asked[0].position] = vectors
        return residual

    best = lm.run_with_hooks(batch, fwd_hooks=[(HOOK, move)])[:, -1].argmax(-1)
    return np.mean([words[t] == q.answer for t, q in zip(best, asked)])


vectors = cache[HOOK][:, donors[0].position]
stay = stay_right(vectors), stay_right(vectors.roll(-1, dims=0))
said = exercises.check_moved_vectors(stay, lm, asked, donors, HOOK)
assert said
said

# %% [markdown]
# ### Exercise 1.3: What nobody can tell apart
#
# *Medium, 10 minutes.* Later we name a latent by the fact that it matches best. For some facts that name must be ambiguous, whatever the method. Which, and what does it mean for "the true features of the world"? List these facts as texts, such as `"country=Germany"`.

# %% tags=["nbval-check-output"]
_, facts, matrix = table.truth_matrix()  # matrix: [n_entities][n_facts], True or False
print(f"{len(facts)} facts, among them {facts[0]} and {facts[-1]}")

answer_1_3 = None  # yours
exercises.check_twins(answer_1_3, facts, matrix)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two facts that hold of exactly the same entities are the same column of `matrix`.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Where an occupation is the only one in its field, "painter" and "art" are one set of people; the same goes for a currency and a language that the same countries use, and for a continent of which the world holds a single country. No latent can fire on one without the other. Even a world that we wrote ourselves fixes its features only up to such twins, which is a small lesson in humility about uniqueness.
#
# </details>

# %% tags=["hide-cell"]
twins = {}
for fact, column in zip(facts, zip(*matrix)):
    twins.setdefault(column, []).append(str(fact))
twins = [group for group in twins.values() if len(group) > 1]
for group in twins:
    print(" is the same as ".join(group))
said = exercises.check_twins(twins, facts, matrix)
assert said
said

# %% [markdown]
# ## Summary
#
# - Canonical units are unique, complete and atomic. The loss that SAEs are trained on asks for none of these: in the toy it prefers combinations to the atoms we planted, as soon as there is room for them.
# - On GPT-2 nobody holds the right answer. In this world we do: a table of facts, a grammar that writes them, a model that learned them.
# - The model's answers go through one vector, the one on the entity's name at the hook, as an interchange and its control show.
#
# ## Next
#
# [Chapter 2](02-training.ipynb) trains SAEs on the activations at the hook, at many dictionary sizes, and asks what each of them finds there.
