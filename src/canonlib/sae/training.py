"""Train one SAE with SAELens's trainer, from a stream that can be left and taken up again.

The SAE, its loss and each training step are SAELens's; the loop around ``SAETrainer.step`` is ours, because it must
write checkpoints without pickle and go on from them exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.sae.batches import Batches
from canonlib.sae.folders import sort_configuration
from canonlib.store import write_json, write_tensors
from canonlib.tiers import Family

if TYPE_CHECKING:
    from sae_lens import SAE, TrainingSAE
    from sae_lens.training.sae_trainer import SAETrainer

CHECKPOINT_EVERY = 250
"""Steps between checkpoints."""
SPREAD_OVER = 6_000
"""Data points among which starting directions are chosen."""
COUNTERS = ("act_freq_scores", "n_forward_passes_since_fired")


def untrained(family: Family, size: int, d_model: int, metadata: dict[str, Any]) -> TrainingSAE[Any]:
    """SAELens's training SAE of one size, with SAELens's own initial weights (set the torch seed first)."""
    from sae_lens import (
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        StandardTrainingSAE,
        StandardTrainingSAEConfig,
    )
    from sae_lens.saes.sae import SAEMetadata

    shared: dict[str, Any] = dict(
        d_in=d_model,
        d_sae=require_positive("sizes", size),
        normalize_activations="expected_average_only_in",
        metadata=SAEMetadata(**metadata),
    )
    if family.architecture == "standard":
        warm_up = family.steps // 5
        l1 = StandardTrainingSAEConfig(l1_coefficient=family.sparsity, l1_warm_up_steps=warm_up, **shared)
        return StandardTrainingSAE(l1)
    if family.sparsity > size:
        raise ConfigError(f"sparsity (k = {family.sparsity:g}) must not exceed the dictionary size ({size}).")
    return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=family.sparsity, decoder_init_norm=1.0, **shared))


@torch.no_grad()
def start_from_data(sae: TrainingSAE[Any], scaled: torch.Tensor, generator: torch.Generator, spread: bool) -> None:
    """Put the decoder bias at the data's mean and the decoder directions on data points.

    ``scaled``: [n_tokens, d_model], scaled as the trainer scales. The points are drawn at random, or, with ``spread``,
    each as far in angle as can be from those before. Where there are fewer distinct points than latents, the rest keep
    SAELens's random directions. The encoder starts as the decoder's transpose, as in SAELens.
    """
    sae.b_dec.data = scaled.mean(0)
    drawn = torch.randperm(len(scaled), generator=generator)[:SPREAD_OVER]
    points = torch.nn.functional.normalize(scaled[drawn] - sae.b_dec, dim=1)
    chosen = points[_spread(points, len(sae.W_dec))] if spread else points[: len(sae.W_dec)]
    norm = sae.W_dec.norm(dim=1).mean()
    sae.W_dec.data[: len(chosen)] = chosen * norm
    sae.W_enc.data = sae.W_dec.data.T.clone().contiguous()


def _spread(points: torch.Tensor, n: int) -> list[int]:
    """Indices of up to ``n`` unit rows, each the one whose nearest row chosen so far is farthest in angle."""
    chosen, nearest = [0], points @ points[0]
    while len(chosen) < n:
        farthest = int(nearest.argmin())
        if nearest[farthest] > 1 - 1e-6:
            break
        chosen.append(farthest)
        nearest = torch.maximum(nearest, points @ points[farthest])
    return chosen


def _trainer(family: Family, sae: TrainingSAE[Any], scaling_factor: float) -> SAETrainer[Any, Any]:
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    config = SAETrainerConfig(
        total_training_samples=family.steps * family.batch,
        train_batch_size_samples=family.batch,
        lr=family.lr,
        lr_end=family.lr,
        lr_warm_up_steps=min(50, family.steps // 10),
        lr_decay_steps=family.steps // 5,
        dead_feature_window=100,
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainer: SAETrainer[Any, Any] = SAETrainer(config, sae, data_provider=iter(()))
    trainer.activation_scaler.scaling_factor = scaling_factor
    return trainer


def save_checkpoint(trainer: SAETrainer[Any, Any], folder: Path, losses: list[float]) -> None:
    """Write all that the next step depends on: weights, Adam's moments, counters, step. safetensors and JSON."""
    tensors = {f"sae.{k}": v for k, v in trainer.sae.state_dict().items()}
    for i, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
    tensors |= {f"counter.{k}": getattr(trainer, k) for k in COUNTERS}
    step = trainer.n_training_steps
    name = f"step-{step}.safetensors"
    write_tensors(folder / name, {k: v.detach().contiguous() for k, v in tensors.items()})
    counts = {"n_training_samples": trainer.n_training_samples, "n_frac_active_samples": trainer.n_frac_active_samples}
    # The JSON names the tensors it belongs to, so a kill between the two writes leaves the former pair in force.
    write_json(folder / "checkpoint.json", {"step": step, "tensors": name, "losses": losses, **counts})
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_checkpoint(trainer: SAETrainer[Any, Any], folder: Path) -> list[float]:
    """Put the trainer where ``save_checkpoint`` left it; returns the losses so far. Nothing to load: empty list."""
    from safetensors.torch import load_file

    if not (folder / "checkpoint.json").is_file():
        return []
    saved = json.loads((folder / "checkpoint.json").read_text())
    tensors = load_file(folder / saved["tensors"])
    trainer.sae.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("sae.")})
    adam = trainer.optimizer.state_dict()
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, i, name = key.split(".", 2)
            adam["state"].setdefault(int(i), {})[name] = value
    for name in COUNTERS:
        setattr(trainer, name, tensors[f"counter.{name}"])
    # Schedules are functions of the step: replay them before the moments are put in place.
    for _ in range(saved["step"]):
        trainer.optimizer._opt_called = True
        trainer.lr_scheduler.step()
        for schedule in trainer.coefficient_schedulers.values():
            schedule.step()
    adam["param_groups"] = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict(adam)
    trainer.n_training_steps = saved["step"]
    trainer.n_training_samples = saved["n_training_samples"]
    trainer.n_frac_active_samples = saved["n_frac_active_samples"]
    return list(saved["losses"])


def train(
    family: Family,
    size: int,
    activations: torch.Tensor,
    seed: int,
    out: Path,
    checkpoint: Path | None = None,
    metadata: dict[str, Any] | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> SAE[Any]:
    """Train one SAE and save it to ``out`` as a SAELens folder (its inference form); return what loads from there.

    activations: [n_tokens, d_model]. checkpoint: folder to go on from and to write to every ``CHECKPOINT_EVERY``
    steps. report: called every 50 steps with the step and the losses. The loss every 50 steps is written beside the
    SAE as ``training.json``. Raises ConfigError for sizes or sparsities that cannot work.
    """
    torch.manual_seed(seed)
    sae = untrained(family, size, activations.shape[1], metadata or {})
    scale = activations.shape[1] ** 0.5 / activations.norm(dim=1).mean().item()
    # BatchTopK leaves latents that start beside a winner dead: starting apart halves them in the world.
    spread = family.architecture == "batchtopk"
    start_from_data(sae, activations * scale, torch.Generator().manual_seed(seed), spread)
    trainer = _trainer(family, sae, scale)
    losses = load_checkpoint(trainer, checkpoint) if checkpoint else []
    batches = Batches(activations, family.batch, seed)
    for step in range(trainer.n_training_steps, family.steps):
        output = trainer.step(batches.batch(step))
        trainer.n_training_steps += 1
        if step % 50 == 0:
            losses.append(round(output.losses["mse_loss"].item(), 6))
            if report:
                report(step, {name: value.detach().item() for name, value in output.losses.items()})
        if checkpoint and trainer.n_training_steps % CHECKPOINT_EVERY == 0:
            save_checkpoint(trainer, checkpoint, losses)
    sae.fold_activation_norm_scaling_factor(scale)
    trainer.set_final_sae_metadata()
    sae.save_inference_model(out)
    sort_configuration(out)
    write_json(out / "training.json", {"every": 50, "mse_loss": losses, "scaling_factor": scale})
    return load(out)


def load(folder: Path) -> SAE[Any]:
    """The SAE in a SAELens folder, on the CPU."""
    from sae_lens import SAE

    return SAE.load_from_disk(folder, device="cpu")


def read_losses(folder: Path) -> list[float]:
    """Training MSE every 50 steps (summed over coordinates, in the trainer's scale), from ``training.json``."""
    return list(json.loads((folder / "training.json").read_text())["mse_loss"])
