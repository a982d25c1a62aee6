"""Cost of a whole path between two SAEs, against evaluating the stitched SAE at every point.

    python benchmarks/paths.py --d-model 128 --small 256 --large 512 --tokens 30000
    python benchmarks/paths.py --d-model 768 --small 768 --large 1536 --tokens 8192

Timed in turn in one process: encoding the data with both SAEs; ``stitch.pool``, the pass over the data that the rest
stands on; ``stitch.walk`` over every move; ``stitch.greedy_moves``, which chooses the order of all moves; and the loop that builds
the stitched SAE and reconstructs the data, on a sample of points and extrapolated to all (the obvious way). For a greedy
order the loop would need every move left at every point: its time is extrapolated to that as well. The SAEs are random
with a given L0 (see insertion.py): time depends on shapes and density only. One JSON file per run goes to
src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from insertion import encode_both, random_sae
from train_report import write_result

from canonlib.sae.metrics import reconstruction
from canonlib.stitch import greedy_moves, plan, pool, walk
from canonlib.stitch.groups import Group


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--d-model", type=int, default=128)
    add("--small", type=int, default=256, help="latents of the small SAE")
    add("--large", type=int, default=512, help="latents of the large SAE")
    add("--tokens", type=int, default=30_000)
    add("--l0", type=float, default=20.0, help="latents active per token, in both SAEs")
    add("--rounds", type=int, default=3)
    add("--sample", type=int, default=5, help="points evaluated by the loop, per round")
    add("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def measure(args: argparse.Namespace) -> dict[str, Any]:
    x = torch.randn(args.tokens, args.d_model, generator=torch.Generator().manual_seed(0))
    small, large = (random_sae("standard", n, x, args.l0, seed) for n, seed in ((args.small, 1), (args.large, 2)))
    both = pool([small, large], x)
    groups = [Group((i,), (i,), 1.0) for i in range(args.small // 2)]
    moves = plan(args.small, args.large, range(args.small, args.large), groups)
    path = walk(both, moves)
    points = torch.randperm(len(moves), generator=torch.Generator().manual_seed(3))[: args.sample].tolist()
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: encode_both(small, large, x, 4096),
        "pool": lambda: pool([small, large], x),
        "walk": lambda: walk(both, moves),
        "greedy_moves": lambda: greedy_moves(both, moves),
        "loop_over_sample": lambda: [reconstruction(path.sae(p), x).mse for p in points],
    }
    for point, mse in zip(points, calls["loop_over_sample"](), strict=True):  # the two ways agree
        assert abs(float(path.mse["best"][point]) / mse - 1) < 1e-4
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(args.rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
            print(f"round {number + 1}/{args.rounds} {name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return summary(args, seconds, len(moves))


def summary(args: argparse.Namespace, seconds: dict[str, list[float]], n_moves: int) -> dict[str, Any]:
    median = {name: statistics.median(values) for name, values in seconds.items()}
    point, looped = median["loop_over_sample"] / args.sample, median["loop_over_sample"] / args.sample * n_moves
    return {
        "shape": {name: getattr(args, name) for name in ("d_model", "small", "large", "tokens", "l0")},
        "moves": n_moves, "seconds_median": median, "seconds_all": seconds,
        "pool_over_encoding": median["pool"] / median["encode"], "loop_ms_per_point": 1e3 * point,
        "loop_over_walk_extrapolated": looped / (median["pool"] + median["walk"]),
        "loop_over_greedy_extrapolated": looped * (n_moves + 1) / 2 / (median["pool"] + median["greedy_moves"]),
    }  # fmt: skip


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    name = f"paths-{args.d_model}-{args.small}-{args.large}-{args.tokens}"
    write_result("paths", name, args.threads, measure(args))


if __name__ == "__main__":
    main()
