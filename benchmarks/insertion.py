"""Cost of all insertion effects of a pair of SAEs, against encoding the data and against the loop over latents.

    python benchmarks/insertion.py --d-model 768 --small 768 --large 1536 --tokens 8192

Three things are timed in turn, round after round, in one process: encoding the data with both SAEs (at the block
size the library uses and at --batch-size; the faster of the two is the yardstick), ``insertion_effects``, and the
loop that evaluates one stitched SAE per latent, on a sample of latents and extrapolated to all of them. The SAEs are
random with a fixed L0 on the random data: timing depends on shapes and density only. One JSON file per run goes to
src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from sae_lens import SAE
from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig
from train_report import write_result

from canonlib.stitch import insert, insertion_effects
from canonlib.stitch.active import rows_per_block


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d-model", type=int, default=768)
    parser.add_argument("--small", type=int, default=768, help="latents of the small SAE")
    parser.add_argument("--large", type=int, default=1536, help="latents of the large SAE")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--l0", type=float, default=40.0, help="latents active per token, in both SAEs")
    parser.add_argument("--architecture", choices=["standard", "jumprelu"], default="standard")
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=5, help="latents timed in the loop, per round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


@torch.no_grad()
def random_sae(architecture: str, n_latents: int, x: torch.Tensor, l0: float, seed: int) -> SAE[Any]:
    """Unit decoder rows, encoder their transpose, and a bias (ReLU) or threshold (JumpReLU) that gives ``l0`` on x."""
    fields = {"d_in": x.shape[1], "d_sae": n_latents, "device": str(x.device)}
    sae: Any = (
        StandardSAE(StandardSAEConfig(**fields))
        if architecture == "standard"
        else JumpReLUSAE(JumpReLUSAEConfig(**fields))
    )
    rows = torch.randn(sae.W_dec.shape, generator=torch.Generator().manual_seed(seed)).to(x.device)
    sae.W_dec.copy_(torch.nn.functional.normalize(rows, dim=1))
    sae.W_enc.copy_(sae.W_dec.T)
    pre = (x[:64] @ sae.W_enc).flatten()
    keep = max(1, round(64 * l0))
    cut = float(pre.topk(min(keep, pre.numel())).values[-1])
    if architecture == "standard":
        sae.b_enc.fill_(-cut)
    else:
        sae.threshold.fill_(cut)
    return sae


def timed(call: Callable[[], object], device: torch.device) -> float:
    """CPU seconds of this process (all its threads), or wall seconds on a GPU.

    On a shared machine wall time measures the neighbours as well; CPU time mostly does not.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


@torch.no_grad()
def encode_both(small: SAE[Any], large: SAE[Any], x: torch.Tensor, rows: int) -> None:
    for block in x.split(rows):
        small.encode(block)
        large.encode(block)


@torch.no_grad()
def loop(small: SAE[Any], large: SAE[Any], x: torch.Tensor, latents: list[int], rows: int) -> None:
    """The obvious way: build the small SAE with one latent inserted, run it on the data, and so on."""
    for latent in latents:
        stitched = insert(small, large, [latent])
        for block in x.split(rows):
            float((block - stitched(block)).square().sum())


def measure(args: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(args.device)
    x = torch.randn(args.tokens, args.d_model, generator=torch.Generator().manual_seed(0)).to(device)
    small = random_sae(args.architecture, args.small, x, args.l0, seed=1)
    large = random_sae(args.architecture, args.large, x, args.l0, seed=2)
    own_rows = rows_per_block(args.batch_size, args.large, device)
    sample = torch.randperm(args.large, generator=torch.Generator().manual_seed(3))[: args.sample].tolist()
    effects = insertion_effects(small, large, x, args.batch_size)  # also the warm-up
    calls: dict[str, Callable[[], object]] = {
        "encode_at_library_blocks": lambda: encode_both(small, large, x, own_rows),
        "encode_at_batch_size": lambda: encode_both(small, large, x, args.batch_size),
        "insertion_effects": lambda: insertion_effects(small, large, x, args.batch_size),
        "loop_over_sample": lambda: loop(small, large, x, sample, own_rows),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(args.rounds):
        for name, call in calls.items():
            seconds[name].append(timed(call, device))
    return summary(args, seconds, own_rows, float(effects.fires.sum()) / args.tokens)


def summary(args: argparse.Namespace, seconds: dict[str, list[float]], rows: int, l0: float) -> dict[str, Any]:
    median = {name: statistics.median(values) for name, values in seconds.items()}
    best = {name: min(values) for name, values in seconds.items()}
    encode = min(median["encode_at_library_blocks"], median["encode_at_batch_size"])
    best_encode = min(best["encode_at_library_blocks"], best["encode_at_batch_size"])
    whole_loop = median["loop_over_sample"] / args.sample * args.large
    return {
        "shape": {name: getattr(args, name) for name in ("d_model", "small", "large", "tokens", "architecture")},
        "device": args.device,
        "l0_large": round(l0, 2),
        "rows_per_block": rows,
        "clock": "wall" if args.device.startswith("cuda") else "process CPU time",
        "seconds_median": median,
        "seconds_all": seconds,
        "closed_form_over_encoding_median": median["insertion_effects"] / encode,
        "closed_form_over_encoding_best": best["insertion_effects"] / best_encode,
        "loop_latents_timed": args.sample,
        "loop_seconds_extrapolated": whole_loop,
        "loop_over_closed_form_extrapolated": whole_loop / median["insertion_effects"],
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    name = f"insertion-{args.architecture}-{args.d_model}-{args.small}-{args.large}-{args.tokens}-{args.device}"
    write_result("insertion", name, args.threads, measure(args), unsaid=("seconds_all",))


if __name__ == "__main__":
    main()
