"""Max decoder cosine of every latent of one dictionary in another, in bounded memory.

    python benchmarks/similarity.py --a 98304 --b 49152 --d-model 768
    python benchmarks/similarity.py --a 24576 --b 12288 --d-model 768 --rounds 3

Contestants take turns in one process: ``canonlib.compare.nearest``; scikit-learn's NearestNeighbors (brute force,
cosine), the usual tool; and the floor, the same number of multiplications as one blocked matrix product, nothing looked
for in it. Contestants that would take more than --limit seconds (estimated from a twentieth of the rows) are timed on
that part, and the result says so. All answers are compared. Directions are random, a twentieth of them near-copies, for
timing does not depend on the values. One JSON file per run goes to src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from train_report import write_result

from canonlib.compare import nearest

PART = 20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--a", type=int, default=24_576, help="latents whose neighbour is looked for (default 24576)")
    add("--b", type=int, default=12_288, help="latents among which it is looked for (default 12288)")
    add("--d-model", type=int, default=768)
    add("--k", type=int, default=1, help="neighbours of each (default 1)")
    add("--block", type=int, default=2_048, help="block of canonlib and of the floor (default 2048)")
    add("--rounds", type=int, default=1)
    add("--limit", type=float, default=120.0, help="seconds beyond which a contestant is timed on a part (default 120)")
    add("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def directions(args: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    b = torch.randn(args.b, args.d_model, generator=generator)
    a = torch.randn(args.a, args.d_model, generator=generator)
    copies = torch.randint(args.b, (args.a // 20,), generator=generator)
    a[: len(copies)] = b[copies] + 0.3 * a[: len(copies)]
    return a, b


def by_sklearn(a: torch.Tensor, b: torch.Tensor, k: int) -> torch.Tensor:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(b.numpy())
    distance, _ = found.kneighbors(a.numpy())
    return 1 - torch.from_numpy(distance)


def floor(a: torch.Tensor, b: torch.Tensor, block: int) -> None:
    out = torch.empty(block, block)
    for rows in a.split(block):
        for columns in b.split(block):
            torch.mm(rows, columns.T, out=out[: len(rows), : len(columns)])


def timed(call: Callable[[torch.Tensor], Any], a: torch.Tensor, limit: float) -> tuple[float, float, Any]:
    """Seconds for all of ``a``, the share of its rows they were taken on, and the answer for those."""
    part = a[: max(1, len(a) // PART)]
    started = time.perf_counter()
    answer = call(part)
    estimate = (time.perf_counter() - started) * len(a) / len(part)
    if estimate > limit:
        return estimate, len(part) / len(a), answer
    started = time.perf_counter()
    answer = call(a)
    return time.perf_counter() - started, 1.0, answer


def peak_mib() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    a, b = directions(args)
    before = peak_mib()
    nearest(a[:64], b, args.k, args.block)
    calls: dict[str, Callable[[torch.Tensor], Any]] = {
        "canonlib": lambda rows: nearest(rows, b, args.k, args.block).cosine,
        "floor": lambda rows: floor(rows, b, args.block),
        "sklearn": lambda rows: by_sklearn(rows, b, args.k),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    share: dict[str, float] = {}
    answers, memory = {}, 0
    for number in range(args.rounds):
        for name, call in calls.items():
            taken, share[name], answers[name] = timed(call, a, args.limit)
            seconds[name].append(taken)
            print(f"round {number + 1}/{args.rounds} {name}: {taken:.2f} s", file=sys.stderr, flush=True)
            if name == "canonlib" and number == 0:
                memory = peak_mib() - before
    n = min(len(answers["canonlib"]), len(answers["sklearn"]))
    torch.testing.assert_close(answers["canonlib"][:n], answers["sklearn"][:n].float(), rtol=0, atol=1e-4)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    flops = 2 * args.a * args.b * args.d_model
    return {
        "shape": {"a": args.a, "b": args.b, "d_model": args.d_model, "k": args.k, "block": args.block},
        "seconds_median": median, "seconds_all": seconds, "share_of_rows_timed": share,
        "over_floor": median["canonlib"] / median["floor"], "sklearn_over_canonlib": median["sklearn"] / median["canonlib"],
        "canonlib_gflops": flops / median["canonlib"] / 1e9, "canonlib_peak_mib_beside_dictionaries": memory,
    }  # fmt: skip


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    name = f"similarity-{args.d_model}-{args.a}-{args.b}-k{args.k}"
    write_result("similarity", name, args.threads, measure(args))


if __name__ == "__main__":
    main()
