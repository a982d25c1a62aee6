"""Training a meta-SAE at the paper's scale: rows per second beside SAELens's trainer, the same start, batches and recipe.

    python benchmarks/meta_train.py                     # 49,152 x 768, 2,304 meta-latents, batches of 16,384
    python benchmarks/meta_train.py --full              # and then canonlib's whole training, 2,000 steps

Contestants take turns, --block steps at a time, in one process: canonlib's meta-SAE trainer; SAELens's ``SAETrainer`` on
the same ``BatchTopKTrainingSAE`` in float32; and the same under bfloat16 autocast, which is how SAEBench's
``meta_structure`` trains. All start from one SAE and see the same batches, so that after the same steps they should
explain the same: that is measured, in sample, by the highest activations of each batch. SAEBench's own function then trains
for --saebench steps on the same rows in batches of the same size, and canonlib by ``recipe("saebench")`` for as many; the
times of both are those of whole trainings, set-up and first steps included. The decoder is made up: rows that are sums of
four of a tenth as many hidden directions, with noise. One JSON file per run goes to src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import Any

import torch
from meta_structure import by_batches, made_up
from train_report import write_result

from canonlib.meta import MetaConfig, recipe, train_meta_sae
from canonlib.meta import training as meta_training


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--shape", default="49152x768", help="latents x d_model of the decoder (default 49152x768)")
    add("--meta-latents", type=int, default=2_304)
    add("--batch", type=int, default=16_384)
    add("--warm", type=int, default=12, help="steps of each that are not timed (default 12): thresholds settle in them")
    add("--rounds", type=int, default=3, help="turns of each contestant that are timed (default 3)")
    add("--block", type=int, default=4, help="steps in a turn (default 4)")
    add("--saebench", type=int, default=60, help="steps of SAEBench's own function (default 60; 0 leaves it out)")
    add("--full", action="store_true", help="afterwards, canonlib's whole training of 2,000 steps")
    add("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def contestants(rows: torch.Tensor, config: MetaConfig) -> dict[str, Any]:
    """Trainers by name, from one start, each with its own copy of the stream."""
    from sae_lens.training.sae_trainer import SAETrainer

    def stream() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    torch.manual_seed(config.seed)
    start = meta_training._starting_sae(rows, torch.arange(len(rows)), config, torch.Generator().manual_seed(0))
    ours = meta_training._trainer(copy.deepcopy(start), rows, config, stream())
    found: dict[str, Any] = {"canonlib": ours}
    for name, autocast in (("saelens", False), ("saelens_autocast", True)):
        settings = copy.copy(ours.cfg)
        settings.autocast = autocast
        found[name] = SAETrainer(
            settings, copy.deepcopy(start), meta_training._batches(rows, config.batch_size, config, stream())
        )
    return found


def turn(trainer: Any, steps: int) -> float:
    batches = [next(trainer.data_provider) for _ in range(steps)]
    start = time.perf_counter()
    for batch in batches:
        trainer.step(batch)
        trainer.n_training_steps += 1
    return time.perf_counter() - start


def beside_saebench(rows: torch.Tensor, args: argparse.Namespace) -> dict[str, Any]:
    """Rows per second and variance explained, by SAEBench's function and by its recipe here."""
    from sae_bench.evals.meta_structure import main as saebench
    from sae_bench.evals.meta_structure.eval_config import MetaStructureEvalConfig

    settings = MetaStructureEvalConfig(train_steps=args.saebench, train_batch_size=args.batch, learning_rate=1e-3)
    torch.manual_seed(0)
    trained, seconds = saebench._train_meta_structure_on_decoder(rows, args.meta_latents, settings, "cpu")
    theirs = saebench._decoder_variance_metrics(trained, rows, settings.eval_batch_size)[0]
    config = recipe("saebench", args.meta_latents, len(rows), steps=args.saebench, batch_size=args.batch, lr=1e-3)
    start = time.perf_counter()
    meta = train_meta_sae(rows, config, progress=False)
    ours = time.perf_counter() - start
    total = args.saebench * args.batch
    return {
        "steps": args.saebench,
        "rows_per_second": {"saebench": total / seconds, "canonlib": total / ours},
        "times_as_fast": seconds / ours,
        "variance_explained": {"saebench": theirs, "canonlib": by_batches(meta.sae, rows, config.k)},
    }


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    rows = made_up(args.shape)
    config = recipe("released", args.meta_latents, len(rows), batch_size=args.batch)
    trainers = contestants(rows, config)
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for i in range(args.rounds + 1):
        for name, trainer in trainers.items():
            steps = args.block if i else args.warm
            took = turn(trainer, steps)
            if i:
                seconds[name].append(took)
            print(f"round {i}, {name}: {took / steps:.2f} s a step", flush=True)
    measured = {
        "decoder": {"n_latents": len(rows), "d_model": rows.shape[1]},
        "meta_latents": args.meta_latents,
        "batch": args.batch,
        "steps_each": args.warm + args.rounds * args.block,
        "rows_per_second": {n: args.block * args.batch / statistics.median(s) for n, s in seconds.items()},
        "times_as_fast": {
            n: statistics.median(a / b for a, b in zip(s, seconds["canonlib"]))
            for n, s in seconds.items()
            if n != "canonlib"
        },
        "variance_explained": {n: by_batches(t.sae, rows, config.k, args.batch) for n, t in trainers.items()},
        "seconds": seconds,
    }
    if args.saebench:
        measured["saebench"] = beside_saebench(rows, args)
    if args.full:
        start = time.perf_counter()
        report = train_meta_sae(rows, config).report
        measured["full"] = {"steps": config.steps, "seconds": time.perf_counter() - start,
                            "variance_explained": report.variance_explained, "dead_fraction": report.dead_fraction,
                            "threshold": report.threshold, "l0": report.l0}  # fmt: skip
    name = f"meta-train-{len(rows)}x{rows.shape[1]}-{args.meta_latents}" + ("-full" if args.full else "")
    write_result("meta_train", name, args.threads, measured)


if __name__ == "__main__":
    main()
