"""Every claim of the book, computed from a run's results."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from canonlib.claims.model import Claim, verdict
from canonlib.errors import unknown
from canonlib.intervals import mean_interval
from canonlib.pipeline import metastage, repeats
from canonlib.pipeline.run import Run
from canonlib.pipeline.stitching import Pair

STITCHED = "standard-all"
"""The family that the stitching chapter follows: the paper's architecture, on all tokens."""
ENTITY = metastage.BASE
"""The family that the entity story and the meta-SAE follow."""
LABELS = {
    "standard": "ReLU", "gated": "Gated", "jumprelu": "JumpReLU", "topk": "TopK", "batchtopk": "BatchTopK",
    "matryoshka_batchtopk": "Matryoshka",
}  # fmt: skip
"""What the field calls SAELens's architectures."""
ENOUGH = 20
"""Novel latents that must detect a fact before their share means anything."""
GREEDY = ("greedy-swaps", "free")
"""Orders of a path's moves that look for the least harm at every step."""
_RULES: list[Callable[[Run], Claim]] = []


def _rule(rule: Callable[[Run], Claim]) -> Callable[[Run], Claim]:
    _RULES.append(rule)
    return rule


def _claim(run: Run, holds: bool, *, paper: str = "", source: str = "", reason: str = "", **fields: Any) -> Claim:
    mark = verdict(holds, paper, reason)
    kept = reason if mark != "holds" and mark != "agrees" else ""
    return Claim(paper=paper, source=source, verdict=mark, tier=run.tier.name, reason=kept, **fields)


def _untested(tier: str, **fields: Any) -> Claim:
    return Claim(paper="", source="", ours="", bound="", verdict="not tested here", tier=tier, **fields)


def span(values: list[float], digits: int = 2) -> str:
    """ "0.91 to 0.98", or one number when they are equal at that precision."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


@_rule
def world_known(run: Run) -> Claim:
    """The model answers the fact prompts."""
    known = run.knowledge["clause"]["accuracy"]
    return _claim(
        run, known["overall"] >= 0.98, id="world-known", chapter=1, bound="at least 98%",
        sentence="The world's model answers single-attribute questions about every person and city.",
        ours=f"{known['overall']:.1%} of {known['n']:,} questions",
    )  # fmt: skip


@_rule
def world_causal(run: Run) -> Claim:
    """Patching the entity's token flips the answers."""
    flips = run.knowledge["clause"]["flips"]
    return _claim(
        run, flips["overall"] >= 0.95, id="world-causal", chapter=1, bound="at least 95%",
        sentence="An entity's token carries its facts at the hook point: swapping it for another's flips the answer.",
        ours=f"{flips['overall']:.1%} of {flips['n']:,} swaps",
    )  # fmt: skip


@_rule
def size_entities(run: Run) -> Claim:
    """Entities get latents of their own as the dictionary grows."""
    rows = run.evaluation(ENTITY)
    shares = [row["own_entities"] for row in rows]
    small, large = rows[0]["n_latents"], rows[-1]["n_latents"]
    return _claim(
        run, shares[-1] > 5 * shares[0] and shares[-1] > 0.2, id="size-entities", chapter=2,
        bound="at least a fifth of the entities at the largest size, five times the smallest's",
        sentence="Larger dictionaries hold latents for single entities (F1 above 0.7) where smaller ones do not.",
        ours=f"{shares[0]:.0%} of entities at {small:,} latents, {max(shares):.0%} at best, {shares[-1]:.0%} at {large:,}",
    )  # fmt: skip


def fvu_at(rows: list[dict[str, Any]], l0: float) -> float | None:
    """FVU of an architecture at ``l0``, on a line between its neighbouring rows (both axes logarithmic).

    None outside its range.
    """
    points = sorted((math.log(row["l0"]), math.log(row["fvu"])) for row in rows)
    x = math.log(l0)
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1:
            return math.exp(y0 if x1 == x0 else y0 + (x - x0) / (x1 - x0) * (y1 - y0))
    return None


def _ratios(run: Run, other: str) -> list[float]:
    """BatchTopK's FVU over another architecture's at the L0 of each of BatchTopK's rows, where both are known."""
    ours, theirs = run.frontier["batchtopk"], run.frontier[other]
    at = [(row["fvu"], fvu_at(theirs, row["l0"])) for row in ours]
    return [mine / their for mine, their in at if their is not None]


@_rule
def frontier_batchtopk(run: Run) -> Claim:
    """BatchTopK against the authors' two rivals at equal L0."""
    ratios = {other: _ratios(run, other) for other in ("topk", "standard")}
    ours = {name: f"{span(values)} of {LABELS[name]}'s" for name, values in ratios.items() if values}
    n_levels = len(run.frontier["batchtopk"])
    holds = all(values and max(values) < 1 for values in ratios.values())
    return _claim(
        run, holds, id="frontier-batchtopk", chapter=2, bound="lower at every L0 that both reach",
        sentence="At equal L0 a BatchTopK SAE leaves less unexplained than a TopK or a ReLU SAE.",
        paper="lower error than TopK at equal L0", source="Bussmann et al. 2024, BatchTopK SAEs",
        ours="FVU " + ", ".join(ours.values()) + f" ({n_levels} levels of sparsity)",
        reason="" if holds else "at some L0 another architecture is as good",
    )  # fmt: skip


def _range(pairs: list[Pair]) -> str:
    """The sizes that a claim over pairs covers: "7 pairs of sizes, 16 to 128 latents"."""
    return f"{len(pairs)} pairs of sizes, {pairs[0].small} to {pairs[-1].large} latents"


@_rule
def stitch_auc(run: Run) -> Claim:
    """Cosine predicts the sign of the insertion effect."""
    pairs = run.pairs(STITCHED)
    aucs = [p.summary["auc"] or 0.0 for p in pairs]
    fewest = min(p.summary["n_novel"] for p in pairs)
    return _claim(
        run, min(aucs) >= 0.9, id="stitch-auc", chapter=3, bound="AUC of at least 0.9 for every adjacent pair",
        paper="max decoder cosine tells novel from reconstruction latents", source="Leask et al. 2025, stitching",
        sentence="Low maximum decoder cosine predicts that inserting a latent lowers the smaller SAE's error.",
        ours=f"AUC {span(aucs)} over {_range(pairs)}; as few as {fewest} novel latents in a pair",
    )  # fmt: skip


@_rule
def stitch_novel(run: Run) -> Claim:
    """All novel latents together help."""
    pairs = run.pairs(STITCHED)
    ratios = [p.summary["mse_all_novel"] / p.summary["mse_small"] for p in pairs]
    return _claim(
        run, max(ratios) < 1, id="stitch-novel", chapter=3, bound="MSE falls for every adjacent pair",
        paper="error falls along the path", source="workshop abstract, 2024",
        sentence="Inserting all novel latents of the next larger SAE lowers the smaller SAE's MSE.",
        ours=f"to {span(ratios)} of the smaller SAE's MSE over {_range(pairs)}",
    )  # fmt: skip


@_rule
def stitch_share(run: Run) -> Claim:
    """How many latents are novel when the size doubles."""
    shares = [p.summary["share_novel"] for p in run.doublings(STITCHED)]
    mean = sum(shares) / len(shares)
    return _claim(
        run, 0.2 <= mean <= 0.5, id="stitch-share", chapter=3, bound="mean share between 20% and 50%",
        paper="about a third", source="Matryoshka SAEs paper, citing it; stitching post: 35%",
        sentence="When the dictionary doubles, about a third of the latents that fire are novel.",
        ours=f"{mean:.0%} on average ({min(shares):.0%} to {max(shares):.0%})",
        reason="a world of a few hundred entities and a one-million-parameter model are far smaller than GPT-2",
    )  # fmt: skip


@_rule
def stitch_threshold(run: Run) -> Claim:
    """The cosine that separates the classes best."""
    pairs = run.pairs(STITCHED)
    cuts = [p.summary["threshold"] for p in pairs if p.summary["threshold"] is not None]
    cuts = cuts or [0.0]  # no pair with both classes: the claim differs, it does not crash
    middle = sorted(cuts)[len(cuts) // 2]
    return _claim(
        run, min(cuts) >= 0.6 and max(cuts) <= 0.8, id="stitch-threshold", chapter=3,
        bound="between 0.6 and 0.8 for every adjacent pair",
        paper="0.7", source="meta-SAE post, on GPT-2", sentence="The best cosine threshold is near 0.7.",
        ours=f"median {middle:.2f} over {_range(pairs)}", reason=f"it depends on the pair: {span(cuts)}",
    )  # fmt: skip


@_rule
def stitch_path(run: Run) -> Claim:
    """The error along the whole way from each size to the next."""
    paths = run.paths(STITCHED)
    steps = sum(p.n_inserted for p in paths)
    falls = steps - sum(p.n_rises for p in paths)
    best = [min(pair) for pair in zip(*([p.climb for p in run.paths(STITCHED, o)] for o in GREEDY), strict=True)]
    climbing = [c for c in best if c > 0.001]
    return _claim(
        run, falls == steps and not climbing, id="stitch-path", chapter=4,
        bound="at every insertion and every swap, in one of the greedy orders (0.1% passes)",
        paper="monotonically decreasing reconstruction error", source="workshop abstract, 2024",
        sentence="On the path from each SAE to the next larger one, by insertions and swaps, the error only falls.",
        ours=f"it falls at {falls} of {steps} insertions; while the other moves are made greedily it climbs in "
        f"{len(climbing)} of {len(paths)} paths, by up to {max(best):.1%} (swaps from the highest cosine down: up to "
        f"{max(p.climb for p in paths):.0%})",
        reason="some exchanges cost more at their time than they bring, even in the better order",
    )  # fmt: skip


@_rule
def stitch_news(run: Run) -> Claim:
    """Novel latents against the facts that the small SAE lacked, over seeds."""
    words: dict[str, Any] = {"id": "stitch-news", "chapter": 4,
             "sentence": "Of latents that detect a fact, novel ones more often detect one that the smaller SAE lacked."}  # fmt: skip
    found = {f.architecture: run.repeats(f.name) for f in run.tier.repeats}
    spoken = {name: sum(row["brought_n_novel"] for row in rows) for name, rows in found.items()}
    apart = {name: mean_interval(repeats.apart(rows)) for name, rows in found.items() if spoken[name] >= ENOUGH}
    few = "".join(f"; {LABELS[name]}: too few, {n} in all" for name, n in spoken.items() if n < ENOUGH)
    if not apart or any(one.n < 2 for one in apart.values()):
        return _untested(
            run.tier.name, reason=f"needs {ENOUGH} novel latents that detect a fact, and two seeds", **words
        )
    return _claim(
        run, all(one.low > 0 for one in apart.values()), **words,
        bound=f"difference above zero over seeds (95% interval), for each architecture with {ENOUGH} such latents",
        ours=", ".join(
            f"{100 * one.mean:.0f} ({100 * one.low:.0f} to {100 * one.high:.0f}) percentage points more often than "
            f"reconstruction latents ({LABELS[name]}, {one.n} seeds)"
            for name, one in apart.items()
        ) + few,
    )  # fmt: skip


@_rule
def unique_seeds(run: Run) -> Claim:
    """Do trainings that differ in their seed alone find the same latents?"""
    words: dict[str, Any] = {"id": "unique-seeds", "chapter": 4,
             "sentence": "SAEs that differ in their seed alone share only part of their latents."}  # fmt: skip
    shared = {
        f"{LABELS[f.architecture]}, {f.sizes[-1]} latents": [
            row["shared"] for row in run.repeats(f.name) if row["large"] == f.sizes[-1]
        ]
        for f in run.tier.repeats
        if len(f.seeds) > 1
    }
    if not shared:
        return _untested(run.tier.name, reason="needs SAEs of several seeds", **words)
    means = {name: (sum(values) / len(values), min(values), max(values)) for name, values in shared.items()}
    return _claim(
        run, all(most < 0.9 for _, _, most in means.values()), **words,
        bound="under 90% for every seed at the largest size, for each architecture",
        paper="about 30% shared, 131,072 latents on Llama 3 8B", source="Paulo and Belrose 2025",
        ours=", ".join(f"{m:.0%} shared ({low:.0%} to {high:.0%} by seed; {name})" for name, (m, low, high) in means.items()),
        reason="small dictionaries on a small model leave less choice",
    )  # fmt: skip


@_rule
def stitch_gathered(run: Run) -> Claim:
    """Dictionaries gathered from several SAEs against trained ones."""
    told, ratios = [], []
    for name in (STITCHED, ENTITY):
        rows = run.gathered(name)
        here = [row["mse"] / row["mse_trained"] for row in rows]
        active = [row["l0"] / row["l0_trained"] for row in rows]
        beaten = sum(ratio < 0.999 for ratio in here)
        told.append(
            f"lower at {beaten} of {len(rows)} sizes ({name}), MSE {span(here)} times and L0 {span(active)} times"
        )
        ratios += here
    return _claim(
        run, max(ratios) < 1, id="stitch-gathered", chapter=4, bound="lower held-out MSE at every size",
        paper="better than SAEs with as many latents, with higher L0", source="stitching post, 2024",
        sentence="A dictionary gathered from SAEs of several sizes has a lower error than a trained one of its size.",
        ours="; ".join(told),
        reason="elsewhere the search finds nothing better than the trained dictionary",
    )  # fmt: skip


@_rule
def meta_variance(run: Run) -> Claim:
    """Variance explained by the meta-SAE."""
    share = run.meta.summary["variance_explained"]
    return _claim(
        run, share >= 0.5, id="meta-variance", chapter=5, bound="at least half, in sample",
        paper="55.47%", source="Leask et al. 2025, meta-SAEs",
        sentence="A small meta-SAE with four active meta-latents explains at least half of the decoder's variance.",
        ours=f"{share:.0%} ({run.tier.meta_latents} meta-latents on {run.meta.summary['n_alive']:,} latents)",
    )  # fmt: skip


@_rule
def meta_control(run: Run) -> Claim:
    """More than the controls."""
    s = run.meta.summary
    share, shuffled, gaussian = s["variance_explained"], s["variance_shuffled"], s["variance_gaussian"]
    most = gaussian - shuffled > share - gaussian
    beyond = "most of that is their covariance" if most else "less than half of that is their covariance"
    return _claim(
        run, share >= 2 * shuffled, id="meta-control", chapter=5, bound="at least twice the shuffled control's",
        sentence=f"Shared parts explain decoder directions far better than shuffled or random ones; {beyond}.",
        ours=f"{share:.0%} against {shuffled:.0%} (shuffled), {s['variance_random']:.0%} (random) and "
        f"{gaussian:.0%} (Gaussian, of the same covariance); on rows held out {s['variance_held_out']:.0%} against "
        f"{s['variance_gaussian_held_out']:.0%} (Gaussian)",
    )  # fmt: skip


@_rule
def meta_facts(run: Run) -> Claim:
    """Meta-latents are facts."""
    s = run.meta.summary
    return _claim(
        run, s["mean_best_f1"] > s["chance_best_f1"] and s["n_beyond_chance"] > 0.01 * s["n_used"],
        id="meta-facts", chapter=5,
        bound="mean best F1 above chance (facts dealt anew among people and among cities), and more meta-latents at "
        "p < 0.01 than the hundredth that luck lets pass",
        paper="by eye: Einstein is science, prominent figures, German, E...", source="meta-SAE post",
        sentence="Meta-latents match true attributes of the entities whose latents use them better than chance.",
        ours=f"mean best F1 {s['mean_best_f1']:.2f} against {s['chance_best_f1']:.2f} by chance, "
        f"{s['n_beyond_chance']} of {s['n_used']} at p < 0.01; best: {s['best_names']}",
    )  # fmt: skip


_UNTESTED = (
    (
        "edit-facts",
        6,
        "Editing one meta-latent changes one fact and leaves the others.",
        "this version has no edits of meta-latents",
    ),
    (
        "gpt2",
        6,
        "On GPT-2 small, with the paper's SAEs, stitching and meta-SAEs give the paper's numbers.",
        "its SAEs come from the hub, and this book needs no network",
    ),
)


def compute(run: Run) -> list[Claim]:
    """All claims of the run's tier, in chapter order; those not tested here are listed with the reason."""
    tested = [rule(run) for rule in _RULES]
    rest = [_untested(run.tier.name, id=i, chapter=c, sentence=s, reason=why) for i, c, s, why in _UNTESTED]
    return sorted(tested, key=lambda claim: claim.chapter) + rest


def claim(run: Run, claim_id: str) -> Claim:
    """One claim by its id, computed without the others; ConfigError lists the ids."""
    for rule in _RULES:
        if rule.__name__.replace("_", "-") == claim_id:
            return rule(run)
    raise unknown("claim", claim_id, [rule.__name__.replace("_", "-") for rule in _RULES])
