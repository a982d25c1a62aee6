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
# # Can you walk from one dictionary to the next?
#
# > **What you will be able to say at the end.** How to turn a small SAE into a larger one latent by latent, what happens to the error on the way, and whether a dictionary put together from several SAEs beats the one that was trained.
# >
# > **Time.** 25 minutes to read, a quarter of a minute to run once everything is in the store; the first time it trains SAEs of four more seeds, some minutes more.
# >
# > **Hardware.** Two CPU cores, no GPU, 4 GB of memory.
# >
# > **Read before.** Insertion, novel and reconstruction latents ([chapter 3](03-stitching.ipynb)).
# >
# > **May be skipped.** *The bias has to travel too*.

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
# ## Put in, take out
#
# A larger SAE's {term}`novel latents <novel latent>` say something that the smaller one does not, and [chapter 3](03-stitching.ipynb) inserted them. The others, the {term}`reconstruction latents <reconstruction latent>`, say again what is already there. Insert one of these and the same thing is said twice. So do what you would do with two lists: put the new wording in *and strike the old one out*. That is a **swap**, the other half of {term}`stitching`. If the two dictionaries were lists of the same things, only worded differently, you could walk from one to the other in this way, line by line, and lose nothing at any step.
#
# We follow the pair of chapter 3, on the same tokens.

# %%
from canonlib.compare import nearest
from canonlib.stitch import classify, insertion_effects

pair = run.followed("standard-all")
family = run.family("standard-all")
small, large = family.sae(pair.small), family.sae(pair.large)
x = run.data.eval.activations  # [n_tokens, d_model]
effects, near = insertion_effects(small, large, x), nearest(large, small)
classes, cosine = classify(effects), near.cosine[:, 0]

# %% [markdown]
# Take the reconstruction latent with the highest cosine and its nearest neighbour in the small SAE. First we only put it in; then we also take its neighbour out.

# %%
from canonlib.sae.metrics import reconstruction
from canonlib.stitch import insert, swap

j = int(torch.where(classes.reconstruction, cosine, -1.0).argmax())
i = int(near.index[j, 0])
before = reconstruction(small, x).mse
doubled_up = reconstruction(insert(small, large, [j]), x).mse
swapped = reconstruction(swap(small, large, out=[i], into=[j]), x).mse

# %% tags=["remove-input"]
viz.say(f"""Latent {j} of the large SAE and latent {i} of the small one have a cosine of {
    cosine[j]:.3f}. Inserted beside it,
the large one's latent {j} changes the MSE by {doubled_up / before - 1:+.1%}; in its place, by {
    swapped / before - 1:+.2%}. {
    "Said twice, it does harm; said once, in either wording, it makes little difference."
    if abs(swapped - before) < 0.2 * abs(doubled_up - before)
    else "The two wordings are not worth the same."
}""")

# %% [markdown]
# In an equation: let the residual of the small SAE on token $t$ be $r_t$, as in {eq}`eq-insertion-effect`. A swap changes it by what is taken out less what is put in,
#
# $$ v_t = \sum_{i \in \text{out}} f_i(x_t)\, d_i - \sum_{j \in \text{in}} f_j(x_t)\, d_j, \qquad \Delta\mathrm{SSE} = \sum_t \left( 2\, r_t \cdot v_t + |v_t|^2 \right), $$ (eq-swap)
#
# and $v_t$ is zero wherever none of these latents fires. So a swap costs a look at the tokens of a few latents, and a whole path of swaps one pass over the data. By hand:

# %%
v = small.encode(x)[:, [i]] @ small.W_dec[[i]] - large.encode(x)[:, [j]] @ large.W_dec[[j]]  # [n_tokens, d_model]
residual = x - small(x)
by_hand = float((2 * residual * v + v * v).double().sum() / x.numel())
print(f"by hand {by_hand:+.6f}   by swapping {swapped - before:+.6f}   tokens touched {int((v != 0).any(1).sum()):,}")
assert abs(by_hand - (swapped - before)) < 1e-5 * before

# %% [markdown]
# ## Who stands for whom?
#
# One for one is the simplest case. A latent may also have been *split*: two latents of the large SAE stand for one of the small. So draw a line between a latent of either SAE and each latent of the other whose direction has a cosine above some threshold, and swap whatever hangs together as a whole: the connected components of that graph, the {term}`swap groups <swap group>`. Reconstruction latents alone take part; the novel ones have nothing to replace. Table 4.1 counts the groups at six {term}`thresholds <threshold>`.

# %%
from canonlib.stitch import swap_groups

kept = classes.reconstruction.nonzero()[:, 0]


def census(threshold):
    groups = swap_groups(small, large, threshold, of_large=kept)
    kinds = {kind: sum(g.kind == kind for g in groups) for kind in ("1-1", "1-n", "n-1", "n-n")}
    placed = sum(len(g.into) for g in groups)
    return {
        "threshold": threshold,
        **kinds,
        "placed": placed / len(kept),
        "largest": max((g.size for g in groups), default=0),
    }


censuses = [census(t) for t in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)]

# %% tags=["hide-input"]
viz.table(censuses, {"threshold": ("threshold", ".1f"), "1-1": ("one for one", ","), "1-n": ("split", ","),
                     "n-1": ("merged", ","), "n-n": ("many for many", ","), "placed": ("placed", ".0%"),
                     "largest": ("largest group", ",")})  # fmt: skip

# %% tags=["remove-input"]
lowest, highest = censuses[0], censuses[-1]
here = next(c for c in censuses if c["threshold"] == 0.7)
viz.say(f"""**Table 4.1.** Swap groups at six thresholds; *placed* is the share of the large SAE's {
    len(kept)
} reconstruction
latents that are in a group, *largest* counts the latents of both SAEs in the largest one. At {
    lowest["threshold"]
} one group
holds {lowest["largest"]} of the {pair.small + len(kept)} latents: {
    "a chain of weak likenesses, and swapping it means swapping the dictionary"
    if lowest["largest"] > 0.5 * (pair.small + len(kept))
    else "still far from everything"
}. At {highest["threshold"]} only {
    highest["placed"]:.0%} have a partner. The threshold is a choice; we go on with 0.7, the one
of the authors' post for GPT-2, where {here["placed"]:.0%} do.""")

# %% [markdown]
# The effect of each swap, made alone, by the library, must agree with our hands where the group is the same. Table 4.2 has the effects by kind of group.

# %%
from canonlib.stitch import pool, swap_effects

together = pool([small, large], x)
groups = swap_groups(small, large, 0.7, of_large=kept)
swaps = swap_effects(together, groups)
same = [n for n, g in enumerate(groups) if (g.out, g.into) == ((i,), (j,))]
assert all(abs(float(swaps.delta_mse[n]) - by_hand) < 1e-5 * before for n in same)
print(f"{len(groups)} groups, {int((swaps.delta_mse < 0).sum())} of them lower the error when swapped alone")

# %% tags=["hide-input"]
by_kind = []
for kind, word in (("1-1", "one for one"), ("1-n", "split"), ("n-1", "merged"), ("n-n", "many for many")):
    at = torch.tensor([n for n, g in enumerate(groups) if g.kind == kind], dtype=torch.long)
    if len(at):
        mse, l0 = swaps.delta_mse[at] / before, swaps.delta_l0[at]
        by_kind.append({"kind": word, "n": len(at), "lower": float((mse < 0).double().mean()), "mean": float(mse.mean()),
                        "worst": float(mse.max()), "l0": float(l0.mean())})  # fmt: skip
viz.table(by_kind, {"kind": ("group", ""), "n": ("number", ","), "lower": ("lower the error", ".0%"),
                    "mean": ("mean effect", "+.2%"), "worst": ("worst effect", "+.2%"), "l0": ("mean change of $L_0$", "+.2f")})  # fmt: skip

# %% tags=["remove-input"]
hurting = sorted(range(len(groups)), key=lambda n: -float(swaps.delta_mse[n]))[:3]
size = [groups[n].size for n in hurting if swaps.delta_mse[n] > 0]
middle = sorted(g.size for g in groups)[len(groups) // 2]
viz.say(f"""**Table 4.2.** What swapping a group alone does to the small SAE's MSE (as a share of it) and to the number of active
latents. Sizes of the groups whose swaps do most harm: {", ".join(map(str, size)) or "none does"}; the median group has {middle}
latents.""")

# %% [markdown]
# ## The whole way
#
# Now the {term}`path`. From each size to the next: insert the novel latents, always the one that helps most next (the {term}`greedy order`); swap the groups, one by one, those of the highest cosine first; then *the rest*, the latents without a partner: put in what the large SAE has left, and take out what is left of the small one. At the end stands the large SAE and nothing else. Trained SAEs are points, and between two points lies a path; Figure 4.1 shows them all.
#
# The error is known after *every* move, exactly, and after one pass over the data no token is looked at again. What it keeps is the {term}`pool` (`stitch.pool`): how much any two latents do the same on the same tokens, and how much each does of what is left over:
#
# $$ G_{ij} = d_i \cdot d_j \sum_t f_i(x_t)\, f_j(x_t), \qquad p_j = \sum_t f_j(x_t)\; r_t \cdot d_j. $$ (eq-pool)
#
# Putting latent $j$ in changes the SSE by $-2 p_j + G_{jj}$ and every $p_i$ by $-G_{ij}$; taking it out, by $2 p_j + G_{jj}$ and $G_{ij}$. (The decoder bias adds sums of the same kind.)

# %% [markdown]
# So that you can read the figures with the pointer, each latent gets its best {term}`fact` (by {term}`F1`, against the world's table) and the text that excites it most.

# %% tags=["hide-input"]
from canonlib.activations import documents
from canonlib.sae.selectivity import fact_membership, selectivity
from canonlib.world.corpus import token_ids

facts, membership = fact_membership()


def described(sae):
    best = selectivity(sae, run.data.eval).fact_f1(membership).max(dim=1)
    texts = viz.top_contexts(
        sae.encode(run.data.eval.activations), run.data.eval, documents(run.tier, "eval"), list(token_ids()), k=1
    )
    return [f"{n}: {facts[i]} (F1 {v:.2f}), {t[0] if t else 'silent'}"
            for n, (v, i, t) in enumerate(zip(best.values.tolist(), best.indices.tolist(), texts, strict=True))]  # fmt: skip


told = {size: described(sae) for size, sae in family.saes().items()}

# %% [markdown]
# A move's text lists what goes out and what comes in.

# %% tags=["hide-input"]
paths = run.paths("standard-all")


def moves_of(p):
    texts = ["start"]
    for move in p.moves:
        sides = [[f"out {told[p.small][i]}" for i in move["out"]], [f"in {told[p.large][j]}" for j in move["into"]]]
        texts.append("<br>".join([move["kind"], *sides[0][:3], *sides[1][:3]]))
    return [f"{p.small:,} → {p.large:,}, {text}" for text in texts]


def walks(across):
    return [
        viz.Walk(f"{p.small:,} → {p.large:,}", across(p), p.mse["best"], p.n_inserted, p.n_swapped, moves_of(p))
        for p in paths
    ]


ends = {p.small: (p.small, float(p.mse["best"][0])) for p in paths}
ends[paths[-1].large] = paths[-1].large, float(paths[-1].mse["best"][-1])
climb = [p.climb for p in paths]
above = sum(bool(p.mse["best"][p.n_inserted :].max() > p.mse["best"][0]) for p in paths)
up = sum(c > 0.001 for c in climb)
title = "Down, up and down to the next SAE" if up > len(paths) / 2 else "The error falls"
viz.path_figure(walks(lambda p: p.size), ends, x="dictionary size (latents)", y="MSE per coordinate",
                title=title, alt="Error against dictionary size along the paths between the trained SAEs.")  # fmt: skip

# %% [markdown]
# **Figure 4.1.** Mean squared error along the paths through all sizes of the ReLU family, over the number of latents in the dictionary, each point with the decoder bias that is best there. Orange: novel latents are inserted. Blue: groups are swapped (one for one leaves the size as it is, so the line runs straight up or down); dotted: the rest is put in and taken out. Points: the SAEs as trained.

# %% tags=["remove-input"]
rises = {f"{p.small} → {p.large}": p.n_rises for p in paths}
halfway = [float(p.mse["best"][p.n_inserted]) / p.mse_large for p in paths]
viz.say(f"""Over all pairs {sum(p.n_inserted for p in paths)} novel latents are inserted, and the error rises at {
    sum(rises.values())
} of them (at most {max(rises.values())} in one pair). After the last
insertion it is {min(halfway):.2f} to {
    max(halfway):.2f} times the larger SAE's own. Then, while groups are swapped and the rest is
exchanged, it climbs in {up} of {len(paths)} paths, by up to {max(climb):.0%} (in {above} to above the smaller SAE's
own), before it comes down to the larger SAE's. {
    "So this walk is not downhill all the way. Latents of one dictionary were fitted to one another, and a mixture of two "
    "dictionaries can fit worse than either, at least in this order. Is it a bad one? We come back to that."
    if up > len(paths) / 2
    else "So the walk is downhill nearly everywhere."
}""")

# %% [markdown]
# The price of a dictionary is not its size alone but how many of its latents are active on a token ({term}`L0`, $L_0$). Figure 4.2 has it across.

# %% tags=["hide-input"]
chosen = [where for where, p in enumerate(paths) if p.small in (24, 32)] or [0]
active = {p.small: (float(p.l0[0]), float(p.mse["best"][0])) for p in (paths[n] for n in chosen)}
end = paths[chosen[-1]]
active[end.large] = float(end.l0[-1]), float(end.mse["best"][-1])
viz.path_figure([walks(lambda p: p.l0)[n] for n in chosen], active, x="L0 (active latents per token)",
                y="MSE per coordinate", title="Inserted latents are paid for in activity",
                alt="Error against active latents per token along some of the paths.")  # fmt: skip

# %% [markdown]
# **Figure 4.2.** Two of these paths over $L_0$. Every inserted latent fires beside those that are there; the other moves lead to the larger SAE's $L_0$.

# %% [markdown]
# ### The bias has to travel too
#
# An SAE's decoder bias belongs to its latents: it is what they don't have to say. If you exchange all latents and keep the small SAE's bias, the path does not end at the large SAE. So we follow three biases at once: the small SAE's; one that moves in a straight line to the large SAE's; and, at every point, the bias with the least error, which is the mean of what the latents leave (it costs nothing: that mean, too, is kept up to date). Only what is *added* travels. Each latent reads as it did before, for its encoder bias makes up for the change. Table 4.3 compares where the three end.

# %% tags=["hide-input"]
bias_rows = []
for p in paths:
    last = {kind: float(mse[-1]) / p.mse_large for kind, mse in p.mse.items()}
    assert abs(last["travelling"] - 1) < 1e-6  # exactly the large SAE
    bias_rows.append({"pair": f"{p.small:,} → {p.large:,}", **last})
viz.table(bias_rows, {"pair": ("path", ""), "small": ("small SAE's bias", ".3f"), "travelling": ("travelling", ".3f"),
                      "best": ("best", ".3f")})  # fmt: skip

# %% [markdown]
# **Table 4.3.** The error at the end of each path, over the large SAE's own, for three decoder biases. *Travelling* ends at 1 by construction, and the cell above checks it to six digits.
#
# ## Does the order matter?
#
# First, of insertions. Novel latents were inserted *greedily*: always the one that lowers the error most, given those before it. You could also go by the *effect* of each alone, by *cosine* (lowest first), or in any order: Figure 4.3.
#
# :::{margin} The paper differs
# The authors report a path on which the error falls at every step, and not the order of its swaps.
# :::

# %% tags=["hide-input"]
from canonlib.pipeline.paths import INSERTIONS

most = max(paths, key=lambda p: p.n_inserted)
where = paths.index(most)
tried = {name: run.paths("standard-all", name)[where] for name in INSERTIONS}
curves = {name: p.mse["best"][: p.n_inserted + 1] / p.mse["best"][0] for name, p in tried.items()}
area = {name: float(c.mean()) for name, c in curves.items()}
ordered = [a for name, a in area.items() if name != "random"]
title = f"On the way: {min(ordered):.3f} to {max(ordered):.3f} in three orders, {area['random']:.3f} in a random one"
viz.order_figure(curves, controls=["random"], y="MSE, share of the small SAE's", title=f"{title} ({most.small} → {most.large})",
                 level=("larger SAE", most.mse_large / float(most.mse["best"][0])),
                 alt="Error over the number of novel latents inserted, in four orders.")  # fmt: skip

# %% tags=["remove-input"]
ups = {name: int((c.diff() > 0).sum()) for name, c in curves.items()}
viz.say(f"""**Figure 4.3.** The pair with the most novel latents ({most.n_inserted}). All orders end at one point; the mean error on the
way, as a share of the small SAE's: {", ".join(f"{value:.3f} ({name})" for name, value in area.items())}. Steps that raise the error: {", ".join(f"{n} ({name})" for name, n in ups.items())}.""")

# %% [markdown]
# Now of the other moves, where the error climbed. So far they went as *planned*: groups from the highest cosine down, and the rest last. Instead, make at every step the move that costs least *then* (*greedy swaps*), whether it is a swap, a latent of the large SAE put in or one of the small SAE taken out (`stitch.greedy_moves`). The effect of every move left follows from the co-activations of the latents, so that choosing costs little. In a third order we let go of the plan altogether: insertions, too, come when they are best (*free*). And a fourth is a control: the same insertions, then groups of the same sizes, swapped as greedily, but with *random partners* dealt out to them. Figure 4.4 follows one path in all four, Table 4.4 has all paths.

# %% tags=["hide-input"]
steep = max(paths, key=lambda p: p.climb)
at = paths.index(steep)
three = {"planned": steep} | {
    word: run.paths("standard-all", order)[at]
    for word, order in (("greedy swaps", "greedy-swaps"), ("free", "free"), ("random partners", "random-partners"))
}
viz.order_figure({word: p.mse["best"] / p.mse["best"][0] for word, p in three.items()}, controls=["random partners"],
                 x="moves made", level=("larger SAE", steep.mse_large / float(steep.mse["best"][0])), y="MSE, share of the small SAE's",
                 title=f"{steep.small} → {steep.large}: the error climbs by {steep.climb:.0%} as planned, by "
                       f"{three['greedy swaps'].climb:.1%} with greedy swaps",
                 alt="Error over the number of moves made, for three orders of the same moves and a control.")  # fmt: skip

# %% tags=["remove-input"]
alike = sum(
    a.moves == b.moves for a, b in zip(*(run.paths("standard-all", o) for o in ("greedy-swaps", "free")), strict=True)
)
viz.say(f"""**Figure 4.4.** The path that climbs most as planned, in four orders; every line leads from the small SAE to the large
one. In {alike} of the {len(paths)} paths *greedy swaps* and *free* make the same moves; where they do, insertions come
first even when nothing makes them. At most the error lies above the lowest before it by {
    ", ".join(f"{p.climb:.1%} ({word})" for word, p in three.items())
}.""")

# %% tags=["hide-input"]
order_names = {
    "greedy": "planned",
    "greedy-swaps": "greedy swaps",
    "free": "free",
    "random-partners": "random partners",
}
climbs = []
for word, name in (("ReLU", "standard-all"), ("BatchTopK", "batchtopk-entities")):
    for row in zip(*(run.paths(name, order) for order in order_names), strict=True):
        climbs.append({"family": word, "pair": f"{row[0].small:,} → {row[0].large:,}"}
                      | {p.order: p.climb for p in row} | {"over": any(p.mse["best"].max() > p.mse["best"][0] for p in row[1:3])})  # fmt: skip
viz.table(climbs, {"family": ("family", ""), "pair": ("path", "")}
          | {order: (word, ".1%") for order, word in order_names.items()})  # fmt: skip

# %% tags=["remove-input"]
by_word = {word: [row for row in climbs if row["family"] == word] for word in ("ReLU", "BatchTopK")}
best_climb = [min(row["greedy-swaps"], row["free"]) for row in climbs]
worst_climb = {word: max(row["greedy-swaps"] for row in rows) for word, rows in by_word.items()}
halved = {word: sum(row["greedy-swaps"] < 0.5 * row["greedy"] for row in rows) for word, rows in by_word.items()}
display(
    viz.say(f"""**Table 4.4.** How far the error climbs above the lowest before it, at most, on each path in four orders (ReLU: all
tokens, BatchTopK: entity mentions). Choosing the swaps greedily takes away more than half of the climb in {
    " and ".join(f"{halved[word]} of {len(rows)} {word} paths" for word, rows in by_word.items())
}; what is left is at most {" and ".join(f"{worst_climb[word]:.1%} ({word})" for word in by_word)}. {
    sum(c <= 0.001 for c in best_climb)
} of {len(climbs)} paths go downhill all the way in the better of the two greedy orders
(rises of up to 0.1% let pass); above the small SAE's own error rise {sum(bool(row["over"]) for row in climbs)}. With random partners the error climbs by {min(row["random-partners"] for row in climbs):.0%} to {
    max(row["random-partners"] for row in climbs):.0%}, further than with the groups' own in {
    sum(row["random-partners"] > row["greedy-swaps"] for row in climbs)
} of {len(climbs)} paths."""),
    viz.claim_box(claim(run, "stitch-path")),
)  # fmt: skip

# %% [markdown]
# ## What does the model lose?
#
# The squared error is the SAE's measure. The model's own is how well it predicts the next token when it has to work with the stitched SAE's output: the cross-entropy loss. Figure 4.5 shows it at every point of the paths with greedy swaps; Table 4.5 adds the planned ones, of which a dozen points were measured.

# %% tags=["hide-input"]
greedy_paths = run.paths("standard-all", "greedy-swaps")


made, points = [], {}
for p in greedy_paths:
    at, values = [int(row["point"]) for row in p.ce], [row["ce_spliced"] for row in p.ce]
    turn, texts, across = at.index(p.n_inserted), moves_of(p), p.size[at]
    made.append(viz.Walk(f"{p.small:,} → {p.large:,}", across, values, turn, turn, [texts[n] for n in at]))
    points |= {p.small: (float(across[0]), values[0]), p.large: (float(across[-1]), values[-1])}
lower = sum(walk.y[walk.n_inserted] < walk.y[0] for walk in made)
viz.path_figure(made, points, x="dictionary size (latents)", y="next-token loss (nats)",
                title=f"Inserting novel latents lowers the model's loss on {lower} of {len(made)} paths",
                alt="The model's next-token loss against dictionary size along the paths with greedy swaps.")  # fmt: skip

# %% tags=["hide-input"]
losses = []
for p, q in zip(paths, greedy_paths, strict=True):
    at = {int(row["point"]): row["ce_spliced"] for row in p.ce}
    row = {"pair": f"{p.small:,} → {p.large:,}", "first": at[0], "inserted": at[p.n_inserted], "last": at[len(p.moves)]}
    for word, one in (("planned", p), ("greedy", q)):
        between = [r["ce_spliced"] for r in one.ce if p.n_inserted < r["point"] < len(p.moves)]
        row[word] = max(between, default=float("nan"))
    steps = torch.tensor([r["ce_spliced"] for r in q.ce if r["point"] <= q.n_inserted]).diff()
    losses.append(row | {"raised": int((steps > 0).sum()), "steps": len(steps)})
viz.table(losses, {"pair": ("path", ""), "first": ("small SAE", ".3f"), "inserted": ("novel inserted", ".3f"),
                   "planned": ("worst, planned", ".3f"), "greedy": ("worst, greedy swaps", ".3f"), "last": ("large SAE", ".3f")})  # fmt: skip

# %% tags=["remove-input"]
helped = sum(row["inserted"] < row["first"] for row in losses)
raised, steps = (sum(row[key] for row in losses) for key in ("raised", "steps"))
over = {w: sum(row[w] > 1.001 * max(row["inserted"], row["last"]) for row in losses) for w in ("planned", "greedy")}
above = {w: sum(row[w] > row["first"] for row in losses) for w in ("planned", "greedy")}
viz.say(f"""**Figure 4.5 and Table 4.5.** Next-token loss in nats (without any SAE: {
    paths[0].ce[0]["ce_clean"]:.3f}, on fewer documents than in chapter 2), best decoder
bias at every point. Orange: insertions; dotted: all other moves, mixed by the greedy order. *Worst* is the highest loss between
the last insertion and the end: at a dozen points of the planned path, at every point of the other. Inserting the novel latents
lowers the loss in {helped} of {len(losses)} pairs{
    f", though {raised} of the {steps} insertions, chosen to lower the error, raise it" if raised else ""
}. While the other moves are made, the loss rises more than 0.1% above both ends of that stretch in {
    over["planned"]
} paths as
planned and in {over["greedy"]} with greedy swaps, and above the small SAE's own in {above["planned"]} and {
    above["greedy"]
}. Even
over more points, the worst loss is lower with greedy swaps in {
    sum(row["greedy"] < row["planned"] for row in losses)
} of {len(losses)} pairs.""")

# %% [markdown]
# ## The best of all lists
#
# If latents can be carried from one SAE to another, nothing ties you to the SAEs that were trained. Take the latents of *all* sizes, and choose for every size the best dictionary you can put together: start from nothing, and from the trained SAE; always add the latent that lowers the error most; then exchange members as long as it helps. The authors' post calls such SAEs {term}`Frankenstein SAEs <Frankenstein SAE>`. We choose on training tokens and judge, in Table 4.6, on tokens that neither training nor choice has seen.
#
# :::{margin} The paper differs
# The authors' post finds them better than SAEs of the same size.
# :::

# %% tags=["hide-input"]
gathered = run.gathered("standard-all")
mentioned = run.gathered("batchtopk-entities")
columns = {"family": ("family", ""), "size": ("latents", ","), "mse_trained": ("trained", ".3f"), "mse": ("gathered", ".3f"),
           "change": ("change", "+.1%"), "l0_trained": ("L0, trained", ".2f"), "l0": ("L0, gathered", ".2f")}  # fmt: skip
both = [
    row | {"family": word, "change": row["mse"] / row["mse_trained"] - 1}
    for word, rows in (("ReLU", gathered), ("BatchTopK", mentioned))
    for row in rows
]
viz.table(both, columns)

# %% tags=["remove-input"]
won, tried_sizes, gain, price, own = {}, {}, {}, {}, {}
for word in ("ReLU", "BatchTopK"):
    here_rows = [row for row in both if row["family"] == word]
    won[word], tried_sizes[word] = sum(row["change"] < -0.001 for row in here_rows), len(here_rows)
    gain[word] = f" (by {-min(row['change'] for row in here_rows):.1%} at best)" if won[word] else ""
    price[word] = [row["l0"] / row["l0_trained"] for row in here_rows]
    shares = [len(row["latents"][str(row["size"])]) / row["n_latents"] for row in here_rows]
    own[word] = sorted(shares)[len(shares) // 2]
more = price["ReLU"] + price["BatchTopK"]

display(
    viz.say(f"""**Table 4.6.** Held-out MSE and $L_0$ of the trained SAE and of the best dictionary of the same size gathered from all
sizes of its family (ReLU: all tokens, BatchTopK: entity mentions). The gathered one is lower by more than 0.1% at {
        won["ReLU"]
    } of {tried_sizes["ReLU"]} ReLU sizes{gain["ReLU"]} and at {won["BatchTopK"]} of {
        tried_sizes["BatchTopK"]
    } BatchTopK sizes{gain["BatchTopK"]}, with {min(more):.2f} to {max(more):.2f} times the active latents. In the
median {own["ReLU"]:.0%} (ReLU) and {own["BatchTopK"]:.0%} (BatchTopK) of the gathered latents are those of the trained SAE of
that size. {
        "So the search finds little that is better than where it started. One reason may be that latents are trained *together*, "
        "each to fill what the others leave, and a latent from elsewhere was trained beside other neighbours."
        if min(own.values()) > 0.8
        else "So training at one size does not find the best dictionary of that size."
    }"""),
    viz.claim_box(claim(run, "stitch-gathered")),
)  # fmt: skip

# %% [markdown]
# ## Doubt: would any partner do?
#
# If swapping did no harm for *any* partner, the groups would mean nothing. So, as a {term}`control`, take our pair's groups and deal their latents of the large SAE out among them at random, as for the grey line of Figure 4.4.

# %%
from canonlib.pipeline.paths import dealt

control = swap_effects(together, dealt(groups, seed))

# %% tags=["remove-input"]
true, false = swaps.delta_mse / before, control.delta_mse / before
viz.say(
    f"""Swapped for its own partners, a group changes the error by {true.mean():+.2%} on average (median {
        true.median():+.2%}); swapped for random ones, by {false.mean():+.1%} (median {false.median():+.1%}). {
        "The partners matter."
        if float(false.mean()) > 2 * abs(float(true.mean()))
        else "The difference is small: at this threshold a swap group says little."
    }"""
)

# %% [markdown]
# ## Are the novel latents what the small SAE lacked?
#
# On GPT-2 nobody can say what a small SAE lacks. In the world we can: a fact is *lacking* when no latent of the small SAE detects it with an F1 above 0.7. For the family on entity mentions, how often is the fact or entity that a latent of the large SAE detects best (F1 above 0.7) one that the small SAE lacked? If novelty means news, more often for novel latents than for reconstruction latents: Table 4.7.

# %%
from canonlib.pipeline.repeats import brought

mentions = run.data.eval.only("entities")
detects = {n: selectivity(sae, mentions) for n, sae in run.family("batchtopk-entities").saes().items()}
news = [
    {"pair": f"{p.small:,} → {p.large:,}"} | brought(p, detects[p.small], detects[p.large], membership)
    for p in run.pairs("batchtopk-entities")
]

# %% tags=["hide-input"]
viz.table(news, {"pair": ("pair", ""), "n_novel": ("novel that detect", ","), "novel": ("lacked (novel)", ".0%"),
                 "n_reconstruction": ("reconstruction that detect", ","), "reconstruction": ("lacked (reconstruction)", ".0%")})  # fmt: skip


# %% tags=["remove-input"]
def span_of(shares):
    return f"{min(shares):.0%} to {max(shares):.0%}"


fair = [row for row in news if min(row["n_novel"], row["n_reconstruction"]) >= 5]
yes = sum(row["novel"] > row["reconstruction"] for row in fair)
finds = [(row["n_novel"] * row["novel"], row["n_reconstruction"] * row["reconstruction"]) for row in fair]
restated = [old / (new + old) for new, old in finds if new + old]
viz.say(f"""**Table 4.7.** Latents of the larger SAE that detect a fact or an entity with F1 above 0.7 (their number by class), and
the share of them whose fact or entity no latent of the smaller SAE detected. In {yes} of {
    len(fair)
} pairs with at least
five of each, what a novel latent detects was lacking more often than what a reconstruction latent detects. {
    f"But there are so many more reconstruction latents that {span_of(restated)} of the latents that bring something lacking are "
    "of these: a name can be new although everything that its latent writes was there, in shared parts. That is chapter 3's "
    "*new is not the same as named*, from the other side."
    if restated and min(restated) > 0.5
    else ""
}""")

# %% [markdown]
# ## Five seeds
#
# All of that is one training of each SAE. So we trained four sizes of both families from four more {term}`seeds <seed>`, and measured everything again: other start weights, other batches, the same model and tokens. First the cosine, chapter 3's test for novelty, on each pair of these sizes, in Figure 4.6.

# %%
from canonlib.intervals import mean_interval

seeded = {"ReLU": run.repeats("standard-all-seeds"), "BatchTopK": run.repeats("batchtopk-entities-seeds")}


def by_pair(rows, key):
    pairs = dict.fromkeys(f"{row['small']:,} → {row['large']:,}" for row in rows)
    values = {p: [] for p in pairs}
    for row in rows:
        found = key(row)
        values[f"{row['small']:,} → {row['large']:,}"].append(float("nan") if found is None else found)
    return values


# %% tags=["hide-input"]
aucs = {word: by_pair(rows, lambda row: row["auc"]) for word, rows in seeded.items()}
columns = list(dict.fromkeys(pair for of in aucs.values() for pair in of))
auc_means = {f"{word} {pair}": mean_interval(v) for word, of in aucs.items() for pair, v in of.items()}
means = [interval.mean for interval in auc_means.values()]
viz.seed_dots(columns, {word: [of.get(c, []) for c in columns] for word, of in aucs.items()},
              colors={"ReLU": viz.ARCHITECTURES["standard"], "BatchTopK": viz.ARCHITECTURES["batchtopk"]},
              level=("chance", 0.5), x="pair of sizes (latents)", y="AUC",
              title=f"Over the seeds, cosine tells novelty with a mean AUC of {min(means):.2f} to {max(means):.2f}",
              alt="AUC of max cosine for each pair of sizes, a dot per seed and the mean with its interval.")  # fmt: skip

# %% tags=["remove-input"]
viz.say(f"""**Figure 4.6.** {{term}}`AUC` of the max cosine as a test for novelty. Dots: one seed each. Diamonds: their mean, with a 95% interval of the mean (Student's $t$). The
means run from {min(means):.2f} to {max(means):.2f}.""")

# %% [markdown]
# Then the question of Table 4.7, whether novel latents bring what was lacking, for both architectures: Figure 4.7.

# %% tags=["hide-input"]
from canonlib.claims.stitching import ENOUGH
from canonlib.pipeline.repeats import apart

ahead = {word: mean_interval(apart(rows)) for word, rows in seeded.items()}
spoken = {word: sum(row["brought_n_novel"] for row in rows) for word, rows in seeded.items()}
most_spoken = max(spoken, key=spoken.get)
brings = {
    side: by_pair(seeded[most_spoken], lambda row, side=side: row[f"brought_{side}"])
    for side in ("novel", "reconstruction")
}
more_often = ahead[most_spoken].low > 0
viz.seed_dots(list(brings["novel"]), {side: list(of.values()) for side, of in brings.items()}, percent=True,
              colors={"novel": viz.LARGE, "reconstruction": viz.SMALL}, y="bring what was lacking", x="pair of sizes (latents)",
              title=f"Novel {most_spoken} latents bring what was lacking more often" if more_often
              else f"Whether novel {most_spoken} latents bring more of what was lacking stays open",
              alt="Share of latents that bring a fact or entity the small SAE lacked, by class, a dot per seed.")  # fmt: skip

# %% tags=["remove-input"]
quiet = [word for word, n in spoken.items() if n < ENOUGH]

viz.say(f"""**Figure 4.7.** Of the latents that detect a fact or an entity on mentions (F1 above 0.7), the share whose fact or entity
the smaller SAE lacked, in the family with most such latents; no dot where a seed has none. Over all seeds and pairs {
    " and ".join(f"{n} novel {word} latents" for word, n in spoken.items())
} detect one. Novel latents are ahead of reconstruction latents by {
    ", ".join(
        f"{one.points} percentage points ({word}, {one.n} seeds)" for word, one in ahead.items() if word not in quiet
    )
}, taking for each seed the mean over the pairs that have both. {
    f"Of {' and '.join(quiet)} SAEs, which spend their latents on sentences, nothing can be said: {spoken[quiet[0]]} latents in all are too few."
    if quiet
    else ""
}""")

# %% [markdown]
# And the other measures in Table 4.8. One is new, and it is the demand {eq}`eq-unique`: are the latents that a size finds the same from seed to seed? A latent of the larger SAE is a {term}`shared latent` when another seed's SAE has it too (matched one to one, with decoder and encoder cosines of at least 0.7).

# %% tags=["hide-input"]
measures = {
    "novel": ("share novel", ".0%", lambda row: row["share_novel"]),
    "cut": ("best threshold", ".2f", lambda row: row["threshold"]),
    "all": ("MSE, novel inserted", ".0%", lambda row: row["mse_all_novel"]),
}
ranges = {
    "planned": ("climb, planned", lambda row: row["climb"]["greedy"]),
    "greedy": ("greedy swaps", lambda row: row["climb"]["greedy-swaps"]),
    "shared": ("shared", lambda row: row["shared"]),
}
summary = []
for word, rows in seeded.items():
    for pair in by_pair(rows, lambda row: 0.0):
        cells = {k: format(mean_interval(by_pair(rows, value)[pair]), spec) for k, (_, spec, value) in measures.items()}
        for key, (_, value) in ranges.items():
            found = by_pair(rows, value)[pair]
            cells[key] = f"{sum(found) / len(found):.0%} ({span_of(found)})"
        summary.append({"pair": f"{word} {pair}"} | cells)
viz.table(summary, {"pair": ("pair", "")} | {key: (name, "") for key, (name, _, _) in measures.items()}
          | {key: (name, "") for key, (name, _) in ranges.items()})  # fmt: skip

# %% tags=["remove-input"]
every = [row for rows in seeded.values() for row in rows]
fell = sum(row["mse_all_novel"] < 1 for row in every)
rose = {word: sum(row["rises"]["greedy"] > 0 for row in rows) for word, rows in seeded.items()}
helped_ce = sum(row["ce_all_novel"] < row["ce_small"] for row in every)
parts = {word: list(by_pair(rows, lambda row: row["shared"]).values()) for word, rows in seeded.items()}
display(
    viz.say(f"""**Table 4.8.** Means over five seeds, with a 95% interval in the first three columns (MSE: with all novel latents inserted, as a
share of the small SAE's) and the range over seeds in the others. Inserting all novel latents lowers the error in {
    fell
} of {len(every)} cases and the next-token loss in {
    helped_ce
}. Taken one by one, greedily, some insertion raises the error after all
in {rose["ReLU"]} of {len(seeded["ReLU"])} ReLU paths and {rose["BatchTopK"]} of {
    len(seeded["BatchTopK"])
} BatchTopK paths: these are doublings, with more to insert than between the neighbouring sizes
above. From the smallest to the largest pair the shared part goes from {
    " and ".join(f"{sum(p[0]) / len(p[0]):.0%} to {sum(p[-1]) / len(p[-1]):.0%} ({w})" for w, p in parts.items())
}: which latents a size finds depends on the start."""),
    *(viz.claim_box(claim(run, name)) for name in ("stitch-news", "unique-seeds")),
)  # fmt: skip

# %% tags=["remove-input"]
first, last = ({word: sum(p[end]) / len(p[end]) for word, p in parts.items()} for end in (0, -1))
times = [share / 0.3 for share in last.values()]
trend = {way: [w for w in parts if (last[w] > first[w]) is up] for way, up in (("shrinks", False), ("grows", True))}
viz.say(f"""Mind what the last box sets side by side. Its 30% stand for 131,072 latents on a model of eight billion
parameters {{cite:p}}`paulo2025seeds`; our shares are {min(times):.1f} to {max(times):.1f} times as much. {
    "That is the easier direction: a small dictionary on a small model leaves a training less choice."
    if min(times) > 1
    else "That is not what one would expect of small dictionaries, which leave a training less choice."
} Size alone does not decide it: as the dictionary grows, the shared part {
    " and ".join(f"{way} in the {' and the '.join(words)} family" for way, words in trend.items() if words)
}. So our numbers say that even small SAEs share only a part, and are no estimate for large ones.""")

# %% [markdown]
# ## The paper and us
#
# The workshop abstract of the stitching work reports a path along which the error falls monotonically. We don't know in which order its swaps were made, and Table 4.4 says how much hangs on it. The authors' GPT-2 SAEs have up to 98,304 latents, ours up to 128 on all tokens, on a model of a million parameters that reads one grammar: here the larger dictionaries come close to the number of things that there are to say.
#
# ## Exercises
#
# ### Exercise 4.1: Find a split
#
# *Easy, 10 minutes.* Which group at threshold 0.7 replaces one latent by the most? Give its latents of the large SAE. Do they fire on different tokens, as parts of a split should?

# %% tags=["nbval-check-output"]
answer_4_1 = None  # yours: latents of the large SAE
exercises.check_widest_split(answer_4_1, groups)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `Group.kind` of a split is "1-n", and `Group.into` holds the latents of the large SAE. Two latents that divide one latent's tokens between them rarely fire together.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The cell below finds the group, and counts the tokens of the parent, of each part, and of two parts at once. If the last number is small beside the others, the parts divide the tokens; if not, they are two wordings that are used together.
#
# </details>

# %% tags=["hide-cell"]
widest = max((g for g in groups if g.kind == "1-n"), key=lambda g: len(g.into))
on = large.encode(x)[:, list(widest.into)] > 0
parent = small.encode(x)[:, list(widest.out)].amax(1) > 0
print(f"latents {widest.out} → {widest.into}, highest cosine {widest.cosine:.2f}")
print(f"tokens: parent {int(parent.sum()):,}, parts {[int(n) for n in on.sum(0)]}")
print(f"two at once {int((on.sum(1) > 1).sum()):,}")
said = exercises.check_widest_split(widest, groups)
assert said
said

# %% [markdown]
# ### Exercise 4.2: The best 256
#
# *Medium, 15 minutes.* Put together the best dictionary of 256 latents from the SAEs on entity mentions. Where do its latents come from, and does it beat the trained SAE of 256 latents on mentions that you did not choose on? Give the SAE; the check measures it on the mentions set aside for evaluation.

# %% tags=["nbval-check-output"]
from canonlib.stitch import frankenstein

by_library = next(row for row in run.gathered("batchtopk-entities") if row["size"] == 256)
trained = run.family("batchtopk-entities").sae(256)

answer_4_2 = None  # yours: an SAE
exercises.check_gathered(answer_4_2, trained, mentions.activations, by_library)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A `pool` of the family's SAEs, as a list (`list(run.family("batchtopk-entities").saes().values())`), on training mentions (`run.data.rows("train", "entities").sample(20_000)`). Then `frankenstein(that_pool, 256).sae` is an SAE of 256 latents drawn from all of them.
#
# </details>
#
# <details><summary>Solution</summary>
#
# The more tokens you choose on, the better the choice holds on others; the library takes 100,000. What the gathered dictionary gains over the trained one is small either way, as in Table 4.6.
#
# </details>

# %% tags=["hide-cell"]
entity_saes = run.family("batchtopk-entities").saes()
chosen_on = run.data.rows("train", "entities").sample(20_000)
best = frankenstein(pool(list(entity_saes.values()), chosen_on), 256)
print("from each size:", {n: len(taken) for n, taken in zip(entity_saes, best.latents, strict=True)})
print("the library's: ", {int(n): len(taken) for n, taken in by_library["latents"].items()})
said = exercises.check_gathered(best, trained, mentions.activations, by_library)
assert said
said

# %% [markdown]
# ### Exercise 4.3: When does a swap hurt?
#
# *Hard, 15 minutes, pencil.* A latent of the small SAE with direction $d$ fires with strength $f$ on a token; the large SAE's partner fires with the same strength and a direction $d'$ of the same length, 1, at cosine $c$. By how much does the swap change that token's squared error, if the residual $r$ is orthogonal to both? For the check take $f = 2$ and $c = 0.7$. What if the residual points along $d' - d$?

# %% tags=["nbval-check-output"]
answer_4_3 = None  # yours
exercises.check_swap_cost(answer_4_3, strength=2, cosine=0.7)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write down $v$ of {eq}`eq-swap` for this one token, and its length.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Here $v = f (d - d')$, and $|v|^2 = 2 f^2 (1 - c)$. With $r$ orthogonal to both the change is all of that: at $c = 0.7$ a swap costs $0.6\, f^2$, which is why a threshold of 0.7 is no licence. If $r$ points along $d' - d$, then $r \cdot v = -f |r| |d - d'|$, and the swap pays as long as $|r| > \tfrac12 f |d - d'|$: a swap is a gain when the small SAE's latent was *nearly* the right one and its residual says what was missing.
#
# </details>

# %% tags=["hide-cell"]
r, d = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])  # the residual is orthogonal to both
partner = torch.tensor([0.7, (1 - 0.7**2) ** 0.5, 0.0])
change = (r + 2 * d - 2 * partner).square().sum() - r.square().sum()
said = exercises.check_swap_cost(change, strength=2, cosine=0.7)
assert said
said

# %% [markdown]
# ## Summary

# %% tags=["remove-input"]
display(
    viz.say(f"""- A swap puts latents of the larger SAE in the place of those that they restate; its effect is exact. Who stands for
whom depends on a threshold: at a cosine of 0.7, {here["placed"]:.0%} of the reconstruction latents have a partner, at 0.9 {
        highest["placed"]:.0%}. Random partners will not do: with them the error climbs by up to {
        max(row["random-partners"] for row in climbs):.0%}."""),
    viz.say(f"""- You can walk from every SAE of the family to the next, and the error is known at every step. Inserting novel
latents greedily raises it at {sum(rises.values())} of {sum(p.n_inserted for p in paths)} steps of this seed's ReLU paths, and
somewhere in {sum(rose.values())} of {len(every)} paths over five seeds. The other moves make it climb by up to {
        max(climb):.0%} as planned; taken greedily, by {worst_climb["ReLU"]:.1%} (ReLU) and {
        worst_climb["BatchTopK"]:.1%} (BatchTopK) at most."""),
    viz.say(f"""- Dictionaries gathered from all sizes beat the trained ones of equal size by more than 0.1% at {
        won["ReLU"]} of {tried_sizes["ReLU"]} sizes (ReLU) and {won["BatchTopK"]} of {tried_sizes["BatchTopK"]} (BatchTopK).
Of the latents that detect an entity or a fact, what the novel ones detect was lacking more often (by {ahead[most_spoken].points} percentage
points, {most_spoken}). SAEs that differ in their seed alone share only part of their latents."""),
)  # fmt: skip

# %% [markdown]
# ## Next
#
# Dictionaries lack latents and share latents. Are the latents themselves whole? [Chapter 5](05-meta-saes.ipynb) takes one apart.
