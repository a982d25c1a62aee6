"""SAEBench's meta_structure number, and canonlib's by SAEBench's settings, on the decoder of the same SAE.

    python benchmarks/meta_structure.py --sae path/to/sae-folder
    python benchmarks/meta_structure.py --shape 24576x768 --meta-latents 2304 --steps 300 --seeds 1

Contestants take turns in one process: SAEBench's own evaluation (its code, unseeded there, seeded here) and
``canonlib.meta.train_meta_sae`` with ``recipe("saebench")``. Both report the variance of the decoder explained in sample
and the seconds that training took. They are the same training but for: directions at unit length (SAEBench takes them as
they are: the same where decoder norms are folded), float32 throughout (SAEBench trains under bfloat16 autocast), and the
score, which canonlib takes in the saved form with one threshold and SAEBench with the highest activations of each batch
of 4,096 rows; canonlib's is also taken that way. Give a SAELens folder, or a shape for random sums of hidden directions.
SAEBench is in benchmarks/peers-requirements.txt. One JSON file per run goes to src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from train_report import write_result

from canonlib.meta import recipe, train_meta_sae
from canonlib.meta.model import unit_rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sae", type=Path, help="folder of a SAELens SAE")
    add("--shape", help="latents x d_model of a made-up decoder, such as 24576x768")
    add("--meta-latents", type=int, help="meta-latents (default: a quarter of the latents, as SAEBench)")
    add("--steps", type=int, default=1_500, help="training steps (default 1500, as SAEBench)")
    add("--seeds", type=int, default=5, help="trainings by each (default 5)")
    add("--float32", action="store_true", help="switch SAEBench's bfloat16 autocast off")
    add("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    if (args.sae is None) == (args.shape is None):
        parser.error("give either --sae or --shape")
    return args


def made_up(shape: str) -> torch.Tensor:
    """Unit rows, each a sum of four of a tenth as many hidden directions, with noise."""
    n, d = map(int, shape.split("x"))
    generator = torch.Generator().manual_seed(0)
    hidden = torch.nn.functional.normalize(torch.randn(n // 10, d, generator=generator), dim=1)
    chosen = torch.randint(len(hidden), (n, 4), generator=generator)
    rows = hidden[chosen].sum(1) + 0.7 * torch.randn(n, d, generator=generator) / d**0.5
    return torch.nn.functional.normalize(rows, dim=1)


def by_saebench(rows: torch.Tensor, n: int, args: argparse.Namespace, seed: int) -> tuple[float, float]:
    """Variance explained and seconds, by SAEBench's own functions."""
    from sae_bench.evals.meta_structure import main as saebench
    from sae_bench.evals.meta_structure.eval_config import MetaStructureEvalConfig

    settings = MetaStructureEvalConfig(train_steps=args.steps, autocast=not args.float32)
    torch.manual_seed(seed)
    trained, seconds = saebench._train_meta_structure_on_decoder(rows, n, settings, "cpu")
    return saebench._decoder_variance_metrics(trained, rows, settings.eval_batch_size)[0], seconds


def by_canonlib(rows: torch.Tensor, n: int, args: argparse.Namespace, seed: int) -> tuple[float, float, float]:
    """Variance explained in the saved form and by the highest activations of each 4,096 rows, and seconds."""
    config = recipe("saebench", n, len(rows), steps=args.steps, seed=seed)
    start = time.perf_counter()
    meta = train_meta_sae(rows, config, progress=False)
    seconds = time.perf_counter() - start
    return meta.report.variance_explained, by_batches(meta.sae, unit_rows(rows), config.k), seconds


@torch.no_grad()
def by_batches(sae: Any, rows: torch.Tensor, k: float, size: int = 4_096) -> float:
    """Variance of unit rows explained when the k highest activations a row of each batch of ``size`` rows are active."""
    left, lengths = 0.0, sae.W_dec.norm(dim=1)
    for part in rows.split(size):
        score = ((part - sae.b_dec) @ sae.W_enc + sae.b_enc).relu() * lengths
        least = score.flatten().topk(int(k * len(part))).values[-1]
        active = torch.where(score >= least, score, 0) / lengths
        left += float((part - sae.b_dec - active @ sae.W_dec).double().square().sum())
    return 1 - left / float((rows - rows.mean(0)).double().square().sum())


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    if args.sae is not None:
        from sae_lens import SAE

        rows, name = SAE.load_from_disk(args.sae).W_dec.detach().float().contiguous(), "sae"
    else:
        rows, name = made_up(args.shape), "made-up"
    n = args.meta_latents or math.ceil(0.25 * len(rows))
    ours, theirs = [], []
    for seed in range(args.seeds):
        theirs.append(by_saebench(rows, n, args, seed))
        ours.append(by_canonlib(rows, n, args, seed))
        print(f"seed {seed}: SAEBench {theirs[-1]}, canonlib {ours[-1]}", flush=True)
    columns = {
        "saebench": [t[0] for t in theirs],
        "canonlib": [o[0] for o in ours],
        "canonlib_by_batches": [o[1] for o in ours],
    }
    measured = {
        "decoder": {"from": name, "n_latents": len(rows), "d_model": rows.shape[1]},
        "meta_latents": n,
        "steps": args.steps,
        "saebench_autocast": not args.float32,
        "variance_explained": {key: _summary(values) for key, values in columns.items()},
        "seconds": {"saebench": [t[1] for t in theirs], "canonlib": [o[2] for o in ours]},
        "times_as_fast": statistics.median(t[1] / o[2] for t, o in zip(theirs, ours)),
    }
    plain = "-float32" if args.float32 else ""
    write_result(
        "meta_structure", f"meta-structure-{name}-{len(rows)}x{rows.shape[1]}-{n}{plain}", args.threads, measured
    )


def _summary(values: list[float]) -> dict[str, Any]:
    return {
        "each": values,
        "mean": statistics.mean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
    }


if __name__ == "__main__":
    main()
