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
# # How fast is it, and what bounds it?
#
# Figures on this page are read from `src/canonlib/book/results/`, where each run of a benchmark leaves its numbers with the machine and the versions it ran on; they lie in the package, so that this page runs anywhere. To measure on your own machine, `python benchmarks/train_step.py --help` says how.

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
results = ""  # a folder of your own results; the package's when empty

# %% tags=["hide-input"]
import json
import statistics
from importlib.resources import files
from pathlib import Path

import plotly.graph_objects as go
from IPython.display import display

from canonlib import viz
from canonlib.viz.figures import new_figure

viz.setup_plotly()
results = results or str(files("canonlib.book") / "results")

# %% [markdown]
# Five contestants, each with its colour, and a reader of the result files.

# %% tags=["hide-input"]
NAMES = {
    "canonlib": "canonlib", "saelens": "SAELens", "dictionary_learning": "dictionary_learning",
    "overcomplete": "overcomplete", "floor": "the encoder's product alone",
}  # fmt: skip
COLORS = dict(zip(NAMES, (*(viz.NEUTRAL[i] for i in (2, 6, 1, 4)), viz.CONTROL), strict=True))


def read(tag: str, device: str = "cpu") -> list[dict]:
    """Every training benchmark whose name ends with the tag, smallest dictionary first."""
    found = [p for p in Path(results).glob(f"train-step-*-{device}*.json") if p.stem.split(f"-{device}")[1] == tag]
    runs = [json.loads(p.read_text()) for p in found]
    return sorted(runs, key=lambda r: r["settings"]["shape"][0] * r["settings"]["shape"][1])


# %% tags=["hide-input"]
def shape(run: dict) -> str:
    """Width of the activations × dictionary size."""
    d_model, n_latents = run["settings"]["shape"]
    return f"{d_model} × {n_latents:,}"


# %% [markdown]
# ## One training step
#
# A training step of a {term}`BatchTopK` {term}`SAE` encodes a batch, keeps the $k$ largest activations per token on average, decodes, takes the gradient and moves the weights. Every contestant of Figure 1 does that on the same batches from the same start weights, by turns in one process. The open diamond is no trainer: it is one matrix product in float32, the encoder's, which every contestant but ours makes in full.

# %% tags=["hide-input"]
timed, rows = read(""), []
for r in timed:
    c = r["contestants"]
    peers = [n for n in ("saelens", "dictionary_learning", "overcomplete") if n in c]
    best = min(peers, key=lambda n: c[n]["wall_ms_median"])
    rows.append({
        "shape": shape(r), "ours": c["canonlib"]["wall_ms_median"], "floor": c["floor"]["wall_ms_median"],
        "peer": c[best]["wall_ms_median"] / c["canonlib"]["wall_ms_median"], "who": NAMES[best],
        "cpu": min(c[n]["cpu_ms_median"] for n in peers) / c["canonlib"]["cpu_ms_median"],
        "saelens": c["saelens"]["wall_ms_median"] / c["canonlib"]["wall_ms_median"],
        "memory": c["saelens"]["peak_mib"] / c["canonlib"]["peak_mib"], "mib": c["canonlib"]["peak_mib"],
    })  # fmt: skip

# %% tags=["hide-input"]
ahead_by = [r["peer"] for r in rows]
figure = new_figure(f"For a step the fastest peer takes {min(ahead_by):.1f} to {max(ahead_by):.1f} times as long as canonlib",
                    "Milliseconds per step of five contestants at each shape.",
                    x="ms per step (log scale)", height=120 + 90 * len(timed))  # fmt: skip
for name, label in NAMES.items():
    there = [r for r in timed if name in r["contestants"]]
    figure.add_trace(go.Scatter(
        x=[r["contestants"][name]["wall_ms_median"] for r in there], y=[shape(r) for r in there], mode="markers",
        name=label, marker={"size": 11, "color": COLORS[name], "symbol": "diamond-open" if name == "floor" else "circle"},
        hovertemplate="%{x:.3g} ms<extra>" + label + "</extra>",
    ))  # fmt: skip
figure.update_xaxes(type="log")
figure.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.25})
figure

# %% tags=["remove-input"]
s, m = timed[0]["settings"], timed[0]["machine"]
viz.say(f"""**Figure 1.** Median wall time of a step on {s["batch"]:,} tokens, $k$ = {s["k"]}, for activations of width
d_model and several dictionary sizes (d_model × latents). Measured on {m["cores"]} cores ({m["cpu"].replace("(R)", "")},
{m["threads"]} threads), torch {timed[0]["versions"]["torch"]}, SAELens {timed[0]["versions"]["sae-lens"]},
dictionary_learning {timed[0]["versions"]["dictionary-learning"]}, overcomplete {timed[0]["versions"]["overcomplete"]}.""")

# %% [markdown]
# Table 1 has the same as numbers.

# %% tags=["hide-input", "nbval-check-output"]
viz.table(rows, {
    "shape": ("shape", ""), "ours": ("ours, ms", ".0f"), "peer": ("fastest peer ×", ".1f"), "who": ("which", ""),
    "cpu": ("in CPU time ×", ".1f"), "saelens": ("SAELens ×", ".1f"), "memory": ("its memory ×", ".1f"), "mib": ("ours, MiB", ".0f"),
})  # fmt: skip

# %% [markdown]
# **Table 1.** Our milliseconds for a step, how many times as much the fastest of the three peers needs (in wall time with two threads, and in the CPU time of both), how many times as much SAELens's own trainer needs in time and in memory, and our own peak memory.

# %% tags=["remove-input"]
share = [r["ours"] / r["floor"] for r in rows]


def ahead(run: dict, clock: str) -> float:
    """How many times as long as we the fastest peer takes."""
    c = run["contestants"]
    return min(c[n][clock] for n in ("saelens", "dictionary_learning", "overcomplete")) / c["canonlib"][clock]


alone = ", ".join(f"{ahead(r, 'cpu_ms_median'):.1f} at {shape(r)}" for r in read("-one-thread"))
asleep = ", ".join(
    f"{ahead(r, 'cpu_ms_median'):.1f} in CPU time and {ahead(r, 'wall_ms_median'):.1f} in wall time at {shape(r)}"
    for r in read("-passive")
)
viz.say(f"""The fastest peer takes {min(r["peer"] for r in rows):.1f} to {
    max(r["peer"] for r in rows):.1f} times as long as we do for a
step, SAELens {min(r["saelens"] for r in rows):.0f} to {max(r["saelens"] for r in rows):.0f} times. {
    f"CPU time counts both threads, also while one waits for the other, for it waits busily. With one thread the ratio to "
    f"the fastest peer is {alone}; with two that sleep while they wait (`OMP_WAIT_POLICY=passive`, for everyone) it is {asleep}."
} Our whole step takes {
    max(share):.1f} times as long as the encoder's product in float32 at the smallest dictionary and {
    min(share):.1f} times at best.""")

# %% [markdown]
# ## Where the time went
#
# SAELens and its peers make the activations of every latent for every token, keep them for the gradient, and multiply by them four times. But a token uses $k$ of thousands of latents. Here the pre-activations are made in blocks that fit the processor's cache and only entries that can be among the largest leave it. On processors that multiply bfloat16 matrices in hardware (AMX) a first search is made in that precision: rows are rounded, and the norms of what rounding loses are added as further columns, so that the product is never *below* the exact one and no entry is missed; what passes is computed again in float32. After that, decoding and both weight gradients are sums over those entries ([the formulas](api/sae.md)); Adam takes one pass over the weights. The result is the same SAE: the tests compare losses, gradients and updates with SAELens's, step by step.
#
# ## Equal quality
#
# A fast step is worth nothing if it learns less. So in Figure 2 each contestant trains on the same tokens, and we look at the error ({term}`FVU`) on tokens that none has seen.

# %% tags=["hide-input"]
curves = read("-curve")
for run in curves:
    ours, theirs = run["contestants"]["canonlib"], run["contestants"]["saelens"]
    alike, times = abs(ours["fvu_final"] / theirs["fvu_final"] - 1) < 0.01, theirs["wall_s"][-1] / ours["wall_s"][-1]
    title = f"{shape(run)}: SAELens ends at {'the same error' if alike else 'another error'} after {times:.1f} times as long"
    figure = new_figure(title, "Held-out FVU against seconds of training, one line per contestant.",
                            x="seconds of training (log scale)", y="FVU on unseen tokens")  # fmt: skip
    for name, c in run["contestants"].items():
        if name in NAMES and "fvu" in c:
            figure.add_trace(go.Scatter(x=c["wall_s"][1:], y=c["fvu"][1:], name=NAMES[name], mode="lines+markers",
                                        line={"color": COLORS[name]}, marker={"size": 5}))  # fmt: skip
    figure.update_xaxes(type="log")
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.3})
    display(figure)

# %% tags=["remove-input"]
apart = [abs(r["contestants"]["canonlib"]["fvu_final"] / r["contestants"]["saelens"]["fvu_final"] - 1) for r in curves]
others = ("dictionary_learning", "overcomplete")
gain = []
for r in curves:
    theirs = [c["fvu_final"] for n, c in r["contestants"].items() if n in others]
    gain += [1 - r["contestants"]["canonlib"]["fvu_final"] / min(theirs)] if theirs else []
seen = ", ".join(f"{r['settings']['curve']:,} at {shape(r)}" for r in curves)
viz.say(f"""**Figure 2** ({len(curves)} panels). The same number of tokens for everyone ({
    seen
}); lines end where the tokens do. Against SAELens, whose mathematics ours is, the final errors differ by
{max(apart):.2%} at most. dictionary_learning and overcomplete keep decoder rows at unit length, which is another
method: at these learning rates our final error is {min(gain):.0%} to {max(gain):.0%} {
    "lower" if min(gain) > 0 else "lower (higher where negative)"
} than the best of theirs, at the {len(gain)} shapes where they ran. So {
    "the times above are"
    if len(curves) == len(timed)
    else f"at {len(curves)} of {len(timed)} shapes the times above are"
} not bought with quality.""")

# %% [markdown]
# ## With dead latents to revive
#
# The {term}`auxiliary loss` gives {term}`dead latents <dead latent>` the remaining error to explain. It needs their pre-activations, so a step with many dead latents costs more, for everyone: Table 2.

# %% tags=["hide-input", "nbval-check-output"]
revived = read("-aux")
viz.table([
    {"shape": shape(r), "dead": r["contestants"]["canonlib"]["dead"][0]}
    | {n: r["contestants"][n]["wall_ms_median"] for n in ("canonlib", "saelens", "dictionary_learning")}
    for r in revived
], {"shape": ("d_model × latents", ""), "dead": ("dead at the start", ",d"), "canonlib": ("canonlib, ms", ".0f"),
    "saelens": ("SAELens", ".0f"), "dictionary_learning": ("dictionary_learning", ".0f")})  # fmt: skip

# %% [markdown]
# **Table 2.** Median wall time of a step that has dead latents to revive, and how many are dead at its start.
#
# ## Stitching
#
# All {term}`insertion effects <insertion effect>` of a pair of SAEs come from one pass over the data, by {eq}`eq-insertion-effect`. Table 3 has the times. What can it be measured against? Downwards against encoding the data with both SAEs, which nobody can do without. Upwards against the obvious way, one stitched SAE for each latent, run on all the data; that takes so long that we time very few latents and multiply.


# %% tags=["hide-input", "nbval-check-output"]
def stored(pattern: str) -> list[dict]:
    """The results of one benchmark, the smallest first."""
    runs = [json.loads(p.read_text()) for p in Path(results).glob(pattern)]
    return sorted(runs, key=lambda r: list(r["shape"].values())[:3])


effects = [
    {"pair": f"{r['shape']['small']:,} → {r['shape']['large']:,}", "d": r["shape"]["d_model"], "tokens": r["shape"]["tokens"],
     "seconds": r["seconds_median"]["insertion_effects"], "encoding": r["closed_form_over_encoding_median"],
     "hours": r["loop_seconds_extrapolated"] / 3600, "timed": r["loop_latents_timed"] * len(r["seconds_all"]["loop_over_sample"]),
     "loop": r["loop_over_closed_form_extrapolated"],
     "mib": r["peak_memory_mib"]} for r in stored("insertion-*-cpu.json")
]  # fmt: skip
viz.table(effects, {"pair": ("pair", ""), "d": ("d_model", ""), "tokens": ("tokens", ","), "seconds": ("CPU s", ".1f"),
                    "encoding": ("× encoding", ".2f"), "hours": ("the loop, CPU h", ",.1f"), "loop": ("the loop ×", ",.0f"),
                    "timed": ("timings", ""), "mib": ("process, MiB", ",")})  # fmt: skip

# %% [markdown]
# **Table 3.** All insertion effects of a pair: CPU seconds, as a multiple of encoding the data with both SAEs; the loop over all latents, in CPU hours and as a multiple of ours, extrapolated from so many timings; and the memory of the whole process.
#
# Comparing two dictionaries means a product of every direction with every other (Table 4). It is made in blocks, so that memory holds one block of it; the floor is that product alone, and scikit-learn's brute-force neighbours are the tool at hand.

# %% tags=["hide-input", "nbval-check-output"]
similar = [
    {"pair": f"{r['shape']['a']:,} in {r['shape']['b']:,}", "d": r["shape"]["d_model"],
     "seconds": r["seconds_median"]["canonlib"], "floor": r["over_floor"], "sklearn": r["sklearn_over_canonlib"],
     "mib": r["canonlib_peak_mib_beside_dictionaries"]} for r in stored("similarity-*.json")
]  # fmt: skip
viz.table(similar, {"pair": ("dictionaries", ""), "d": ("d_model", ""), "seconds": ("s", ".1f"), "floor": ("× the product", ".2f"),
                    "sklearn": ("scikit-learn ×", ".1f"), "mib": ("MiB beside them", ",")})  # fmt: skip

# %% [markdown]
# **Table 4.** The nearest neighbour in one dictionary of every latent of the other: seconds, as a multiple of the product alone; scikit-learn's time over ours; and memory beside the dictionaries.
#
# And a {term}`path` between two SAEs (Table 5). One pass over the data makes a {term}`pool` of both SAEs' latents: how much any two do the same on the same tokens, {eq}`eq-pool`. From it follow the error at every point of a path and the greedy order of its moves. The loop would build and evaluate the stitched SAE at every point, for a greedy order with every move that is left; its time is extrapolated from a few points, and ours includes the pool.

# %% tags=["hide-input", "nbval-check-output"]
walked = [
    {"pair": f"{r['shape']['small']:,} → {r['shape']['large']:,}", "d": r["shape"]["d_model"], "tokens": r["shape"]["tokens"],
     "moves": r["moves"], "pool": r["seconds_median"]["pool"], "walk": r["seconds_median"]["walk"],
     "encoding": r["pool_over_encoding"], "greedy": r["seconds_median"]["greedy_moves"],
     "loop": r["loop_over_walk_extrapolated"], "greedy_loop": r["loop_over_greedy_extrapolated"]} for r in stored("paths-*.json")
]  # fmt: skip
viz.table(walked, {"pair": ("pair", ""), "d": ("d_model", ""), "tokens": ("tokens", ","), "moves": ("moves", ","),
                   "pool": ("pool, s", ".2f"), "encoding": ("× encoding", ".1f"), "walk": ("walk, s", ".2f"),
                   "loop": ("the loop ×", ",.0f"), "greedy": ("greedy order, s", ".2f"), "greedy_loop": ("its loop ×", ",.0f")})  # fmt: skip

# %% [markdown]
# **Table 5.** A path between two SAEs: its moves; seconds for the pool, and as a multiple of encoding the data; for the errors at every point; for the greedy order; and how many times as long the loops would take.
#
# ## Meta-SAEs
#
# Table 6 is about a {term}`meta-SAE` at the paper's scale, 2,304 meta-latents on 49,152 decoder directions of 768 coordinates in batches of 16,384, against SAELens's own trainer on the same SAE, from the same start and with the same batches: in float32, and under bfloat16 autocast, which is how SAEBench's `meta_structure` trains. The decoder is made up (sums of four of a tenth as many hidden directions, with noise).

# %% tags=["hide-input", "nbval-check-output"]
scale = [json.loads(p.read_text()) for p in sorted(Path(results).glob("meta-train-*.json"))]
names = {"canonlib": "canonlib", "saelens": "SAELens", "saelens_autocast": "SAELens, bfloat16"}
speeds = [
    {"who": names[who], "decoder": f"{r['decoder']['n_latents']:,} × {r['decoder']['d_model']}", "rows": rows,
     "times": r["times_as_fast"].get(who, 1.0), "explained": r["variance_explained"][who]}
    for r in scale if "full" not in r for who, rows in r["rows_per_second"].items()
]  # fmt: skip
viz.table(speeds, {"who": ("trainer", ""), "decoder": ("decoder", ""), "rows": ("rows a second", ",.0f"),
                   "times": ("canonlib ×", ".1f"), "explained": ("variance explained, same steps", ".4f")})  # fmt: skip

# %% [markdown]
# **Table 6.** Decoder rows that each trainer takes in a second, how many times as fast canonlib is, and the variance explained after equal steps.

# %% tags=["remove-input"]
viz.say("\n\n".join(f"""After the same steps they explain the same. canonlib's first dozen steps are slower, until its
threshold settles; they are not in the times. The whole training, {r["full"]["steps"]:,} batches of {r["batch"]:,}, took
canonlib **{r["full"]["seconds"] / 60:.1f} minutes** on this machine and explains {r["full"]["variance_explained"]:.0%} in
sample (threshold {r["full"]["threshold"]:.3f}, L0 {r["full"]["l0"]:.2f}, {r["full"]["dead_fraction"]:.0%} dead)."""
                     for r in scale if "full" in r))  # fmt: skip

# %% tags=["remove-input"]
beside = [(r, r["saebench"]) for r in scale if "saebench" in r]
viz.say("\n\n".join(f"""SAEBench's own function, given the same rows and batches of {r["batch"]:,}, takes
{b["rows_per_second"]["saebench"]:,.0f} rows a second over {b["steps"]} steps, canonlib by the same recipe
{b["rows_per_second"]["canonlib"]:,.0f}, slow first steps and the final report included: **{b["times_as_fast"]:.1f} times** as fast, at a
variance explained of {b["variance_explained"]["canonlib"]:.3f} against {b["variance_explained"]["saebench"]:.3f}."""
                     for r, b in beside))  # fmt: skip

# %% [markdown]
# SAEBench's `meta_structure` reports one number, the variance of the decoder explained in sample by a meta-SAE of a quarter of its size. In Table 7 its own code and `recipe("saebench")` take turns on the same decoders: the base SAE of [chapter 5](05-meta-saes.ipynb), and a made-up one with a tenth as many meta-latents as directions. Batches of 1,024 are small, and what a step costs beside its products weighs more.

# %% tags=["hide-input", "nbval-check-output"]
trained = [json.loads(p.read_text()) for p in sorted(Path(results).glob("meta-structure-*.json"))]
trained.sort(key=lambda r: (r["decoder"]["n_latents"], not r["saebench_autocast"]))
found = [
    {"decoder": f"{r['decoder']['n_latents']:,} × {r['decoder']['d_model']}", "meta": r["meta_latents"],
     "precision": "bfloat16" if r["saebench_autocast"] else "float32", "steps": r["steps"],
     "saebench": f"{r['variance_explained']['saebench']['mean']:.3f} ± {r['variance_explained']['saebench']['sd']:.3f}",
     "canonlib": f"{r['variance_explained']['canonlib']['mean']:.3f} ± {r['variance_explained']['canonlib']['sd']:.3f}",
     "seconds": statistics.median(r["seconds"]["canonlib"]), "times": r["times_as_fast"]} for r in trained
]  # fmt: skip
viz.table(found, {"decoder": ("decoder", ""), "meta": ("meta-latents", ","), "steps": ("steps", ","),
                  "precision": ("in", ""), "saebench": ("SAEBench", ""), "canonlib": ("canonlib", ""),
                  "seconds": ("ours, s", ".1f"), "times": ("its ×", ".1f")})  # fmt: skip

# %% tags=["remove-input"]
seeds = sorted({len(r["seconds"]["canonlib"]) for r in trained})
viz.say(f"""**Table 7.** SAEBench's number, the variance explained, by its own code and by ours: mean ± standard deviation over
{" or ".join(map(str, seeds))} seeds. Beside it the precision in which SAEBench computes, our seconds, and how many times as long SAEBench takes.""")

# %% tags=["remove-input"]
gaps = [abs(r["variance_explained"]["canonlib"]["mean"] - r["variance_explained"]["saebench"]["mean"]) for r in trained]
noise = [max(r["variance_explained"][k]["sd"] for k in ("canonlib", "saebench")) for r in trained]
viz.say(f"""The means differ by {max(gaps):.3f} at most, {
    "less than one standard deviation of a seed at every row" if all(g < n for g, n in zip(gaps, noise))
    else "more than one standard deviation of a seed at some row"
}: the same number, for less time.""")  # fmt: skip

# %% [markdown]
# ## The explorer
#
# How long does a reader of [the explorer](explorer.md) wait when the SAE is large? Table 8 opens one of a made-up SAE from a folder, each time in a fresh Chromium. The *first view* is over when a latent's page shows its parts and its texts; a *search* goes through all latents, from the words to the sorted list, and *shown* is from the key that was pressed to the picture of the list.

# %% tags=["hide-input", "nbval-check-output"]
walks = [json.loads(p.read_text()) for p in sorted(Path(results).glob("explorer-*.json"))]
told = [
    {"n": r["n_latents"], "mb": r["bytes"] / 1e6, "files": r["n_files"], "write": r["write_seconds"],
     "view": statistics.median(r["first_view_seconds"]), "worst": max(r["first_view_seconds"]),
     "index": statistics.median(r["index_ms"]), "search": statistics.median(r["search_ms_median"].values()),
     "slowest": r["search_ms_worst"], "shown": statistics.median(r["shown_ms_median"].values()),
     "last": r["shown_ms_worst"]} for r in walks
]  # fmt: skip
viz.table(told, {"n": ("latents", ","), "mb": ("MB on disk", ".0f"), "files": ("files", ","), "write": ("to write, s", ".0f"),
                 "view": ("first view, s", ".2f"), "worst": ("at worst", ".2f"), "index": ("index read, ms", ".0f"),
                 "search": ("a search, ms", ".0f"), "slowest": ("at worst", ".0f"),
                 "shown": ("shown, ms", ".0f"), "last": ("at worst", ".0f")})  # fmt: skip

# %% [markdown]
# **Table 8.** The explorer of a large SAE: what it takes on disk and to write, and what a reader waits for. The index is read once, by the first search of a visit or while the first page is being read.

# %% [markdown]
# ## The chapters, from nothing
#
# In Colab or on Binder you open one chapter and have no SAEs yet. The chapter then trains those that it needs, and computes what its sentences rest on. Table 9 has what that takes, and what the chapter takes when it finds all of it in the store, as in a clone after `make book`.

# %% tags=["hide-input", "nbval-check-output"]
cold = json.loads((Path(results) / "cold-chapters.json").read_text())
runs = [
    {"chapter": name, "minutes": both["empty"]["seconds"] / 60, "seconds": both["filled"]["seconds"],
     "memory": max(one["memory_mib"] for one in both.values())} for name, both in cold["chapters"].items()
]  # fmt: skip
viz.table(runs, {"chapter": ("chapter", ""), "minutes": ("from nothing, min", ".1f"), "seconds": ("store filled, s", ".0f"),
                 "memory": ("memory, MiB", ",")})  # fmt: skip

# %% tags=["remove-input"]
viz.say(f"""**Table 9.** Each chapter alone on {cold["machine"]["cores"]} cores, without a GPU: from an empty store and with a filled one; and the
most memory that its kernel held (training runs in processes beside it).""")

# %% [markdown]
# ## On a GPU
#
# Everything else in this book was made without a GPU; the library runs on one too, and `pytest -m gpu` compares the two. There matrix products cost little, and what counts is how many kernels a step launches and how much memory they move. Table 10 has the steps of Tables 1 and 2, by canonlib and by SAELens.

# %% tags=["hide-input", "nbval-check-output"]
on_gpu = read("", "cuda") + read("-aux", "cuda")
faster = [
    r["contestants"]["saelens"]["wall_ms_median"] / r["contestants"]["canonlib"]["wall_ms_median"] for r in on_gpu
]
rows = [
    {"shape": shape(r), "dead": "30%" if r["settings"]["aux"] else "none", "times": times,
     "ours": c["canonlib"]["wall_ms_median"], "floor": c["floor"]["wall_ms_median"],
     "memory": c["saelens"]["peak_mib"] / c["canonlib"]["peak_mib"] if c["canonlib"].get("peak_mib") else None}
    for r, c, times in zip(on_gpu, (r["contestants"] for r in on_gpu), faster)
]  # fmt: skip
viz.table(rows, {"shape": ("shape", ""), "dead": ("dead latents", ""), "ours": ("ours, ms", ".1f"), "floor": ("product alone, ms", ".2f"),
                 "times": ("SAELens ×", ".2f"), "memory": ("its memory ×", ".1f")})  # fmt: skip

# %% tags=["remove-input"]
m, v = on_gpu[0]["machine"], on_gpu[0]["versions"]
most = max(on_gpu, key=lambda r: r["settings"]["shape"][1])
least = min(on_gpu, key=lambda r: r["settings"]["shape"][1])
viz.say(f"""**Table 10.** A step on one {m["gpu"]}, in float32, batches of {most["settings"]["batch"]:,}, $k$ = {most["settings"]["k"]}:
our milliseconds, the encoder's product alone, and how many times as much SAELens's own trainer takes in time and in
memory (–: not measured). torch {v["torch"]}, SAELens {v["sae-lens"]}.""")

# %% tags=["remove-input"]
viz.say(f"""So on a GPU the fast trainer is for large dictionaries: SAELens takes {faster[on_gpu.index(most)]:.1f} times as long at {shape(most)},
and {faster[on_gpu.index(least)]:.2f} times as long at {shape(least)}, where launching many small kernels takes the time.""")

# %% [markdown]
# ## Doubt

# %% tags=["remove-input"]
from collections import Counter

machines = [json.loads(p.read_text())["machine"] for p in sorted(Path(results).glob("*.json"))]
kinds = Counter(f"{m['cpu'].replace('(R)', '')}{' with AMX' if 'amx_tile' in m['cpu_flags'] else ''}, {m['cores']} cores, "
                f"{m['gpu'] or 'no GPU'}" for m in machines)  # fmt: skip
load = [m["load_average_at_start"] for m in machines]
viz.say(f"""The {len(machines)} files of results were written on {"one kind of machine" if len(kinds) == 1 else
f"{len(kinds)} kinds of machines"}: {"; ".join(kind if len(kinds) == 1 else f"{kind} ({n} files)" for kind, n in kinds.most_common())}. They name the kind and not
the machine, and not all of them had it to themselves: the load when they began was {min(load):.1f} to {max(load):.1f}. On
other processors, above all on those without AMX, the ratios may be others.""")  # fmt: skip

# %% [markdown]
# With two threads the serial steps (finding the active entries, sorting them) leave one core waiting, so small dictionaries gain less from a second core than the matrix product does. The curves of the larger dictionaries use a learning rate ten times as high as the smallest, so that they are trained within a few hundred thousand tokens. Peers were written for GPUs, where dense products cost less; of them only SAELens was measured there. The contestants' auxiliary losses differ (each its own), and overcomplete's is left out above for that reason. Timings are from the first steps of a training, when thresholds move most. The stitching benchmarks use random SAEs of a given $L_0$; time depends on shapes and on how many latents fire, not on what they mean.
