"""One training step of a BatchTopK SAE: canonlib's fast trainer, SAELens, other libraries, and the floor.

    python benchmarks/train_step.py --shape 128x8192 --batch 4096 --k 32 --steps 20 --rounds 5 --threads 2
    python benchmarks/train_step.py --shape 128x8192 --aux                  # with 30% of the latents dead
    python benchmarks/train_step.py --shape 128x1024 --curve 1000000        # held-out FVU against tokens and seconds
    python benchmarks/train_step.py --shape 768x24576 --device cuda         # on a GPU

The peers need an environment of their own: peers-requirements.txt says how to make it. What is not installed is left
out with a message. All contestants run in one process, in turn, on the same batches and from the same weights, each
with its library's own update (peers.py). Of the rounds' milliseconds per step the median and the least are reported,
in wall time and in CPU time of the process (all its threads; a busy machine disturbs it less), and the median over
rounds of the ratio to canonlib in the same round. Memory is what a fresh process grows by, at its peak, while it
builds the SAE and its optimizer and makes three steps; on a GPU, what PyTorch allocates there. "floor" is the encoder's
product alone. The held-out FVU after the same steps tells whether the contestants did the same work.

Data: sparse combinations of a planted dictionary (k_true features per token, exponential magnitudes, frequencies that
fall as 1/rank) with noise, centred, scaled to a mean norm of sqrt(d). One JSON file per run goes to
src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from peers import CONTESTANTS, DEFAULT, Contestant, Setting
from planted import Data, held_out_fvu, start_weights
from train_report import CURVE_COLUMNS, ROUND_COLUMNS, machine, summarise_curves, summarise_rounds, table, versions

RESULTS = Path(__file__).resolve().parents[1] / "src" / "canonlib" / "book" / "results"  # a page of the book draws them
MEMORY_STEPS = 3


def shape(text: str) -> tuple[int, int]:
    d_model, n_latents = text.lower().split("x")
    return int(d_model), int(n_latents)


def names(text: str) -> list[str]:
    chosen = [name.strip() for name in text.split(",")]
    if unknown := set(chosen) - set(CONTESTANTS):
        raise argparse.ArgumentTypeError(
            f"no such contestant: {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}"
        )
    return chosen


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--shape", type=shape, default=(128, 8192), help="d_model x latents (default 128x8192)")
    add("--batch", type=int, default=4096, help="tokens per step (default 4096)")
    add("--k", type=int, default=32, help="latents active per token, on average over the batch (default 32)")
    add("--lr", type=float, default=3e-4, help="Adam's learning rate (default 3e-4)")
    add("--steps", type=int, default=20, help="steps of one contestant before the next takes its turn (default 20)")
    add("--rounds", type=int, default=5, help="turns of each contestant (default 5)")
    add("--warmup", type=int, default=3, help="steps of each before the first round, not counted (default 3)")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--device", default="cpu")
    add("--contestants", type=names, default=DEFAULT, help=f"any of {','.join(CONTESTANTS)} (default: the BatchTopKs)")
    add("--aux", action="store_true", help="start with dead latents, and switch the auxiliary losses on")
    add("--dead-share", type=float, default=0.3, help="with --aux: latents dead at the start (default 0.3)")
    add("--dead-window", type=int, default=20, help="with --aux: steps without firing that make dead (default 20)")
    add("--curve", type=int, metavar="TOKENS", help="train over so many tokens instead; turns of --steps steps")
    add("--k-true", type=int, default=32, help="planted features per token (default 32)")
    add("--n-true", type=int, help="planted features (default: as many as latents)")
    add("--pool", type=int, default=16, help="distinct batches held in memory for the rounds (default 16)")
    add("--held-out", type=int, default=2048, help="tokens for the FVU (default 2048)")
    add("--results", type=Path, default=RESULTS, help="folder for the JSON file (default: the book's)")
    add("--no-memory", action="store_true", help="leave out the memory runs")
    add("--tag", default="", help="end of the result's file name, to keep runs apart")
    add("--memory-of", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def setting(args: argparse.Namespace) -> Setting:
    total = -(-args.curve // args.batch) if args.curve else args.warmup + args.rounds * args.steps
    fixed = dict(lr=args.lr, aux=args.aux, dead_window=args.dead_window, device=args.device)
    return Setting(*args.shape, batch=args.batch, k=args.k, total_steps=total, **fixed)


def try_out(name: str, args: argparse.Namespace) -> None:
    """Two steps of a tiny SAE: imports the library and shows whether its step works at all."""
    tiny = argparse.Namespace(**{**vars(args), "shape": (16, 64), "batch": 64, "k": 4, "n_true": 64})
    contestant = CONTESTANTS[name](setting(tiny), start_weights(tiny))
    for number in range(2):
        contestant.step(Data(tiny).batch(number, tiny.batch))


def available(args: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """The contestants that run here, and why the others do not."""
    running, skipped = [], {}
    for name in args.contestants:
        try:
            try_out(name, args)
            running.append(name)
        except (ImportError, RuntimeError) as problem:
            skipped[name] = f"{type(problem).__name__}: {str(problem).splitlines()[0]}"
            say(f"{name}: left out ({skipped[name]})")
    return running, skipped


def run_steps(contestant: Contestant, batches: list[torch.Tensor], cuda: bool) -> tuple[float, float]:
    """Wall seconds and CPU seconds of this process for one step per batch."""
    wall, cpu = time.perf_counter(), time.process_time()
    for x in batches:
        contestant.step(x)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def turns(running: list[str], number: int) -> list[str]:
    """Each round begins with another contestant."""
    first = number % len(running)
    return running[first:] + running[:first]


def time_rounds(args: argparse.Namespace, running: list[str]) -> dict[str, Any]:
    """Milliseconds per step of each contestant, round by round."""
    data, cuda, start = Data(args), args.device.startswith("cuda"), start_weights(args)
    pool, held = [data.batch(i, args.batch) for i in range(args.pool)], data.batch(-2, args.held_out)
    contestants = {name: CONTESTANTS[name](setting(args), start) for name in running}
    found: dict[str, Any] = {n: {"wall_ms": [], "cpu_ms": [], "dead": [c.n_dead()]} for n, c in contestants.items()}
    for contestant in contestants.values():
        run_steps(contestant, [pool[i % len(pool)] for i in range(args.warmup)], cuda)
    for number in range(args.rounds):
        batches = [pool[(args.warmup + number * args.steps + i) % len(pool)] for i in range(args.steps)]
        for name in turns(running, number):
            wall, cpu = run_steps(contestants[name], batches, cuda)
            found[name]["wall_ms"].append(1e3 * wall / args.steps)
            found[name]["cpu_ms"].append(1e3 * cpu / args.steps)
            found[name]["dead"].append(contestants[name].n_dead())
            say(f"round {number + 1}/{args.rounds} {name}: {found[name]['wall_ms'][-1]:.1f} ms per step")
    for name, contestant in contestants.items():
        weights = contestant.weights()
        found[name]["held_out_fvu"] = held_out_fvu(weights, held, args.k) if weights else None
    return found


def train_curves(args: argparse.Namespace, running: list[str]) -> dict[str, Any]:
    """Held-out FVU against tokens and seconds, every batch new, contestants in turn."""
    data, cuda, start = Data(args), args.device.startswith("cuda"), start_weights(args)
    held, steps = data.batch(-2, args.held_out), setting(args).total_steps
    contestants = {name: CONTESTANTS[name](setting(args), start) for name in running if name != "floor"}
    first = {n: held_out_fvu(c.weights(), held, args.k) for n, c in contestants.items()}  # type: ignore[arg-type]
    found: dict[str, Any] = {n: {"tokens": [0], "wall_s": [0.0], "cpu_s": [0.0], "fvu": [f]} for n, f in first.items()}
    for turn, begin in enumerate(range(0, steps, args.steps)):
        end = min(begin + args.steps, steps)
        batches = [data.batch(i, args.batch) for i in range(begin, end)]
        for name in turns(list(contestants), turn):
            wall, cpu = run_steps(contestants[name], batches, cuda)
            curve = found[name]
            curve["tokens"].append(end * args.batch)
            curve["wall_s"].append(curve["wall_s"][-1] + wall)
            curve["cpu_s"].append(curve["cpu_s"][-1] + cpu)
            curve["fvu"].append(held_out_fvu(contestants[name].weights(), held, args.k))  # type: ignore[arg-type]
        say(f"{end}/{steps} steps: " + ", ".join(f"{n} {found[n]['fvu'][-1]:.4f}" for n in found))
    return found


def status_mib(field: str) -> float | None:
    """VmRSS or VmHWM of this process, in MiB; None where there is no /proc."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), None)


def memory_run(args: argparse.Namespace) -> float | None:
    """MiB this process grows by at its peak: weights, optimizer and three steps of one contestant.

    VmHWM and not getrusage's maxrss, which a child takes over from a larger parent.
    """
    try_out(args.memory_of, args)
    x, start = Data(args).batch(0, args.batch), start_weights(args)
    gc.collect()
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    cuda = args.device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() / 2**20 if cuda else status_mib("VmRSS")
    contestant = CONTESTANTS[args.memory_of](setting(args), start)
    run_steps(contestant, [x] * MEMORY_STEPS, cuda)
    after = torch.cuda.max_memory_allocated() / 2**20 if cuda else status_mib("VmHWM")
    return None if before is None or after is None else round(after - before, 1)


def memory_in_child(name: str) -> float | None:
    """``memory_run`` in a fresh process."""
    say(f"memory: {name}")
    command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def settings(args: argparse.Namespace) -> dict[str, Any]:
    return {key: value for key, value in vars(args).items() if key not in ("memory_of", "threads", "tag", "results")}


def save(args: argparse.Namespace, result: dict[str, Any]) -> None:
    parts = ["train-step", "x".join(map(str, args.shape)), args.device]
    parts += [word for word, wanted in (("aux", args.aux), ("curve", args.curve), (args.tag, args.tag)) if wanted]
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / f"{'-'.join(parts)}.json").write_text(json.dumps(result, indent=2) + "\n")
    say(f"written: {args.results.name}/{'-'.join(parts)}.json")


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        print(json.dumps(memory_run(args)))
        return
    facts = machine(args.threads)
    running, skipped = available(args)
    found = train_curves(args, running) if args.curve else time_rounds(args, running)
    if args.curve:
        summarise_curves(found)
    else:
        summarise_rounds(found, args.batch)
        for name in [] if args.no_memory else running:
            found[name]["peak_mib"] = memory_in_child(name)
    save(args, {
        "benchmark": "train-step", "machine": facts, "versions": versions(), "settings": settings(args),
        "contestants": found, "left_out": skipped,
    })  # fmt: skip
    print(table(found, CURVE_COLUMNS if args.curve else ROUND_COLUMNS))


if __name__ == "__main__":
    main()
