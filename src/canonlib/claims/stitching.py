"""Claims of chapters 3 and 4: what larger dictionaries add, and whether several trainings agree."""

from __future__ import annotations

from collections.abc import Callable

from canonlib.claims.model import Claim
from canonlib.claims.rules import ENTITY, LABELS, STITCHED, claim_of, span
from canonlib.intervals import Interval, mean_interval
from canonlib.pipeline import repeats
from canonlib.pipeline.run import Run
from canonlib.pipeline.stitching import Pair
from canonlib.tiers import Family

ENOUGH = 20
"""Novel latents that must detect a fact before their share means anything."""
CUT = 0.85
"""AUC that the lower end of an interval over seeds must reach; the means lie some 0.03 above that end, or more."""
GREEDY = ("greedy-swaps", "free")
"""Orders of a path's moves that look for the least harm at every step."""


def _range(pairs: list[Pair]) -> str:
    """The sizes that a claim over pairs covers: "7 pairs of sizes, 16 to 128 latents"."""
    return f"{len(pairs)} pairs of sizes, {pairs[0].small} to {pairs[-1].large} latents"


def _aucs(pairs: list[Pair]) -> list[float]:
    return [p.summary["auc"] or 0.0 for p in pairs]


def over_seeds(run: Run, value: Callable[[Pair], float]) -> list[Interval]:
    """``value`` of each pair of the seeds' sizes of the stitched family, over the seeds: one interval for each pair.

    One training is not enough to decide by: rounded otherwise it ends at another SAE. Where the tier has no seeds, the
    pairs of the one training stand alone.
    """
    family = _seeded(run)
    found = [run.pairs(family.name, seed) for seed in family.seeds]
    return [mean_interval(map(value, same)) for same in zip(*found, strict=True)]


def _seeded(run: Run) -> Family:
    """The family of the stitched SAEs' kind that was trained from several seeds, or else the stitched one itself."""
    stitched = run.tier.family(STITCHED)
    kind = (stitched.architecture, stitched.tokens)
    return next((f for f in run.tier.repeats if (f.architecture, f.tokens) == kind), stitched)


def _steps(run: Run) -> str:
    """What ``over_seeds`` covers: "16 → 32 → 64 → 128 latents, 5 seeds"."""
    family = _seeded(run)
    return (
        f"{' → '.join(map(str, family.sizes))} latents, {len(family.seeds)} seed{'s' if len(family.seeds) > 1 else ''}"
    )


def stitch_auc(run: Run) -> Claim:
    """Cosine predicts the sign of the insertion effect."""
    pairs, others = run.pairs(STITCHED), run.pairs(ENTITY)
    fewest = min(p.summary["n_novel"] for p in pairs)
    least = min(one.floor for one in over_seeds(run, lambda p: p.summary["auc"] or 0.0))
    return claim_of(
        run, least >= CUT, id="stitch-auc", chapter=3,
        bound=f"AUC of at least {CUT} over the seeds (95% interval) for every pair of ReLU SAEs up to as many latents as "
        "dimensions (the range was chosen after trials in which larger ones failed)",
        paper="max decoder cosine tells novel from reconstruction latents", source="Leask et al. 2025, stitching",
        sentence="Low maximum decoder cosine predicts that inserting a latent lowers the smaller SAE's error.",
        ours=f"AUC at least {least:.2f} ({_steps(run)}, lower end of 95%; ReLU); {span(_aucs(pairs))} over {_range(pairs)} of "
        f"the first seed, with as few as {fewest} novel latents in a pair; BatchTopK {span(_aucs(others))}",
        reason="" if least >= CUT else "with few novel latents a single one that lies near an old one counts much",
    )  # fmt: skip


def stitch_novel(run: Run) -> Claim:
    """All novel latents together help."""
    pairs = run.pairs(STITCHED)
    ratios = [_all_novel(p) for p in pairs]
    seeds = over_seeds(run, _all_novel)
    return claim_of(
        run, max(one.ceiling for one in seeds) < 1, id="stitch-novel", chapter=3,
        bound="MSE falls over the seeds (95% interval) for every pair",
        paper="error falls along the path", source="workshop abstract, 2024",
        sentence="Inserting all novel latents of the next larger SAE lowers the smaller SAE's MSE.",
        ours=f"to {span([one.mean for one in seeds])} of the smaller SAE's MSE ({_steps(run)}); {span(ratios)} over "
        f"{_range(pairs)} of the first seed",
        reason="in some trainings what latents bring one by one does not add up",
    )  # fmt: skip


def _all_novel(pair: Pair) -> float:
    """MSE with all novel latents inserted, as a share of the small SAE's."""
    return float(pair.summary["mse_all_novel"] / pair.summary["mse_small"])


def stitch_share(run: Run) -> Claim:
    """How many latents are novel when the size doubles."""
    doubled, others = run.doublings(STITCHED), run.doublings(ENTITY)
    shares, theirs = ([p.summary["share_novel"] for p in pairs] for pairs in (doubled, others))
    mean = sum(shares) / len(shares)
    ends = [f"{share:.0%} at {p.small} → {p.large}" for p, share in zip(doubled, shares, strict=True)]
    return claim_of(
        run, 0.2 <= mean <= 0.5, id="stitch-share", chapter=3, bound="mean share between 20% and 50% (ReLU)",
        paper="about a third", source="Matryoshka SAEs paper, citing it; stitching post: 35%",
        sentence="When the dictionary doubles, about a third of the latents that fire are novel.",
        ours=f"{mean:.0%} on average ({', '.join(dict.fromkeys((ends[0], ends[-1])))}; ReLU); BatchTopK "
        + (f"{sum(theirs) / len(theirs):.0%} ({min(theirs):.0%} to {max(theirs):.0%})" if theirs else "has no doublings here"),
        reason="a world of a few hundred entities and a one-million-parameter model are far smaller than GPT-2",
    )  # fmt: skip


def stitch_threshold(run: Run) -> Claim:
    """The cosine that separates the classes best."""
    pairs = run.pairs(STITCHED)
    cuts = [p.summary["threshold"] for p in pairs if p.summary["threshold"] is not None]
    cuts = cuts or [0.0]  # no pair with both classes: the claim differs, it does not crash
    middle = sorted(cuts)[len(cuts) // 2]
    seeds = over_seeds(run, lambda p: float("nan") if p.summary["threshold"] is None else p.summary["threshold"])
    return claim_of(
        run, all(one.floor >= 0.6 and one.ceiling <= 0.8 for one in seeds), id="stitch-threshold", chapter=3,
        bound="between 0.6 and 0.8 over the seeds (95% interval) for every pair",
        paper="0.7", source="meta-SAE post, on GPT-2", sentence="The best cosine threshold is near 0.7.",
        ours=f"{', '.join(f'{one:.2f}' for one in seeds)} ({_steps(run)}); median {middle:.2f} over {_range(pairs)} of the "
        "first seed",
        reason=f"it depends on the pair: {span(cuts)}",
    )  # fmt: skip


def stitch_path(run: Run) -> Claim:
    """The error along the whole way from each size to the next."""
    paths = run.paths(STITCHED)
    steps = sum(p.n_inserted for p in paths)
    falls = steps - sum(p.n_rises for p in paths)
    best = [min(pair) for pair in zip(*([p.climb for p in run.paths(STITCHED, o)] for o in GREEDY), strict=True)]
    climbing = [c for c in best if c > 0.001]
    return claim_of(
        run, falls == steps and not climbing, id="stitch-path", chapter=4,
        bound="at every insertion and every swap, in one of the greedy orders (0.1% passes)",
        paper="monotonically decreasing reconstruction error", source="workshop abstract, 2024",
        sentence="On the path from each SAE to the next larger one, by insertions and swaps, the error only falls.",
        ours=f"it falls at {falls} of {steps} insertions; while the other moves are made greedily it climbs in "
        f"{len(climbing)} of {len(paths)} paths, by up to {max(best):.1%} (swaps from the highest cosine down: up to "
        f"{max(p.climb for p in paths):.0%})",
        reason="some exchanges cost more at their time than they bring, even in the better order",
    )  # fmt: skip


def stitch_news(run: Run) -> Claim:
    """Novel latents against the facts that the small SAE lacked, over seeds."""
    found = {f.architecture: run.repeats(f.name) for f in run.tier.repeats}
    spoken = {name: sum(row["brought_n_novel"] for row in rows) for name, rows in found.items()}
    apart = {name: mean_interval(repeats.apart(rows)) for name, rows in found.items() if spoken[name] >= ENOUGH}
    few = "".join(f"; {LABELS[name]}: too few, {n} in all" for name, n in spoken.items() if n < ENOUGH)
    tested = bool(apart) and all(one.n > 1 for one in apart.values())
    return claim_of(
        run, all(one.low > 0 for one in apart.values()) if tested else None, id="stitch-news", chapter=4,
        sentence="Of latents that detect an entity or a fact, novel ones more often detect one that the smaller SAE lacked.",
        bound=f"difference above zero over seeds (95% interval), for each architecture with {ENOUGH} such latents",
        ours=", ".join(
            f"{one.points} percentage points more often than reconstruction latents ({LABELS[name]}, {one.n} seeds)"
            for name, one in apart.items()
        ) + few,
        reason="" if tested else f"needs {ENOUGH} novel latents that detect a fact, and two seeds",
    )  # fmt: skip


def unique_seeds(run: Run) -> Claim:
    """Do trainings that differ in their seed alone find the same latents?"""
    reported = 0.30
    shared = {
        f"{LABELS[f.architecture]}, {f.sizes[-1]} latents": [
            row["shared"] for row in run.repeats(f.name) if row["large"] == f.sizes[-1]
        ]
        for f in run.tier.repeats
        if len(f.seeds) > 1
    }
    return claim_of(
        run, all(max(values) < 0.9 for values in shared.values()) if shared else None, id="unique-seeds", chapter=4,
        bound="under 90% for every seed at the largest size trained from several, for each architecture",
        paper="about 30% shared, 131,072 latents on Llama 3 8B", source="Paulo and Belrose 2025",
        sentence="SAEs that differ in their seed alone share only part of their latents.",
        ours="; ".join(
            f"{sum(values) / len(values):.0%} shared ({min(values):.0%} to {max(values):.0%} by seed; {name}), "
            f"{sum(values) / len(values) / reported:.1f} times what Paulo and Belrose report"
            for name, values in shared.items()
        ),
        reason="small dictionaries on a small model leave less choice" if shared else "needs SAEs of several seeds",
    )  # fmt: skip


def stitch_gathered(run: Run) -> Claim:
    """Dictionaries gathered from several SAEs against trained ones."""
    told, ratios = [], []
    for name in (STITCHED, ENTITY):
        rows = run.gathered(name)
        here = [row["mse"] / row["mse_trained"] for row in rows]
        active = [row["l0"] / row["l0_trained"] for row in rows]
        beaten = sum(ratio < 0.999 for ratio in here)
        told.append(
            f"lower at {beaten} of {len(rows)} sizes ({LABELS[run.tier.family(name).architecture]}), MSE {span(here)} times and L0 {span(active)} times"
        )
        ratios += here
    return claim_of(
        run, max(ratios) < 1, id="stitch-gathered", chapter=4, bound="lower held-out MSE at every size",
        paper="better than SAEs with as many latents, with higher L0", source="stitching post, 2024",
        sentence="A dictionary gathered from SAEs of several sizes has a lower error than a trained one of its size.",
        ours="; ".join(told),
        reason="elsewhere the search finds nothing better than the trained dictionary",
    )  # fmt: skip


RULES = (
    stitch_auc,
    stitch_novel,
    stitch_share,
    stitch_threshold,
    stitch_path,
    stitch_news,
    unique_seeds,
    stitch_gathered,
)
