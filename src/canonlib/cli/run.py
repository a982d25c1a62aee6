"""``canonlib run``: a tier's whole line, from the model to the claims table."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer


def choose_engine(name: str, address: str | None, gpus: float) -> Any:
    """The engine of that name; ConfigError for an unknown one, and for Ray's options without Ray."""
    from canonlib.errors import ConfigError, unknown

    if name not in ("local", "ray"):
        raise unknown("engine", name, ("local", "ray"))
    if name == "ray":
        from canonlib.sae.cluster import OnRay

        return OnRay(address, gpus)
    if address is not None or gpus:
        raise ConfigError("--address and --gpus belong to --engine ray; add it, or leave them out.")
    return None


def run_command(
    tier: Annotated[str, typer.Option(help="Which profile to run: world needs no network.")] = "world",
    seed: Annotated[int, typer.Option(help="Seed of the data, the SAEs and the meta-SAE.")] = 0,
    engine: Annotated[str, typer.Option(help="Where SAEs are trained: local (this machine's cores) or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to use; without it, ray starts one on this machine.")
    ] = None,
    gpus: Annotated[float, typer.Option(help="With ray: GPUs for each training, 0 for CPUs.", min=0.0)] = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Run a tier from model to claims table, reusing what is stored.

    Stages: model, activations, SAE families, evaluation, stitching, repeats, meta-SAE, claims. Each stage is kept in
    the store (see 'canonlib store ls'), so a second run takes seconds, and an interrupted one goes on where it stopped.

    Examples:

      canonlib run --tier world

      CANONLIB_STORE=/data/store canonlib run --tier world --seed 1

      canonlib run --tier world --engine ray --address auto    (the store must be on a path that all nodes share)
    """
    from rich.console import Console

    from canonlib import tiers
    from canonlib.claims import table
    from canonlib.claims.compute import compute
    from canonlib.pipeline import Run
    from canonlib.processes import workers_here
    from canonlib.store import Store

    workers_here()  # a wrong CANONLIB_WORKERS is said before the minutes that a harvest takes
    console = Console()
    line = Run(tiers.get(tier, seed=seed), Store(), progress=not quiet, engine=choose_engine(engine, address, gpus))
    before = {a.key for a in line.store.artefacts()}
    for stage in line.stages():
        start = time.perf_counter()
        stage.work()
        fresh = [a for a in line.store.artefacts() if a.key not in before]
        before |= {a.key for a in fresh}
        done = f"{len(fresh)} made" if fresh else "reused from the store"
        console.print(f"{stage.name:<32}{done:<24}{time.perf_counter() - start:7.1f} s", highlight=False)
    console.print(table.rich_table(compute(line)))
