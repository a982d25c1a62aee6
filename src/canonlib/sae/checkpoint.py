"""Checkpoints of a training: all that the next step depends on, in safetensors and JSON, whole or not at all."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, StoreError
from canonlib.store import sha256_file, write_json, write_tensors
from canonlib.store.artefact import manifest_checksum

if TYPE_CHECKING:
    from sae_lens.training.sae_trainer import SAETrainer

log = logging.getLogger("canonlib.sae")

COUNTERS = ("act_freq_scores", "n_forward_passes_since_fired")
NUMBERS = ("n_training_samples", "n_frac_active_samples")
STATE = "checkpoint.json"


def save(trainer: SAETrainer[Any, Any], folder: Path, losses: list[float], config: dict[str, Any]) -> None:
    """Write weights, Adam's moments, counters and step into ``folder`` (made when missing).

    The former checkpoint goes when the new one is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"sae.{k}": v for k, v in trainer.sae.state_dict().items()}
    for i, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
    tensors |= {f"counter.{k}": getattr(trainer, k) for k in COUNTERS}
    step = trainer.n_training_steps
    name = f"step-{step}.safetensors"
    write_tensors(folder / name, {k: v.detach().contiguous() for k, v in tensors.items()})
    numbers = {k: getattr(trainer, k) for k in NUMBERS}
    state = {"step": step, "tensors": name, "sha256": sha256_file(folder / name), "losses": losses, "config": config}
    # The JSON names the tensors it belongs to, so a kill between the two writes leaves the former pair in force.
    state = json.loads(json.dumps(state | numbers))
    write_json(folder / STATE, state | {"checksum": manifest_checksum(state)})
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(trainer: SAETrainer[Any, Any], folder: Path, config: dict[str, Any]) -> list[float]:
    """Put the trainer where ``save`` left it; returns the losses so far. Nothing to load: empty list.

    A checkpoint that cannot be read, or whose bytes are no longer those that were written, is logged as a warning, and the
    training starts anew. Raises ``ConfigError`` when the checkpoint is of another configuration; neither touches the
    folder or the trainer.
    """
    if not os.path.lexists(folder / STATE):
        return []
    try:
        saved, tensors = _read(folder)
    except StoreError as error:
        log.warning("%s", error)
        return []
    require_same(saved["config"], config, folder)
    trainer.sae.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("sae.")})
    _restore_optimizer(trainer, tensors, saved["step"])
    for name in COUNTERS:
        setattr(trainer, name, tensors[f"counter.{name}"].to(trainer.cfg.device))
    for name in NUMBERS:
        setattr(trainer, name, saved[name])
    trainer.n_training_steps = saved["step"]
    return list(saved["losses"])


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """State and tensors as they were written. Raises ``StoreError`` for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if not (folder / STATE).is_file():
            raise ValueError(f"{STATE} is no regular file")
        saved = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if not isinstance(saved, dict) or saved.get("checksum") != manifest_checksum(saved):
            raise ValueError(f"{STATE} does not match its own checksum")
        path = folder / saved["tensors"]
        if not path.is_file() or sha256_file(path) != saved["sha256"]:
            raise ValueError(f"{path.name} is missing or does not match its checksum")
        return saved, load_file(path)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise StoreError(
            f"the checkpoint in {folder} cannot be read ({error}): that training starts anew, from its first step."
        ) from error


def require_same(saved: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    """Raise ``ConfigError`` naming every field in which a checkpoint's configuration differs from the wanted one."""
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    names = sorted(k for k in {*saved, *wanted} if saved.get(k) != wanted.get(k))
    if names:
        differ = "; ".join(f"{k} is {saved.get(k)!r} there and {wanted.get(k)!r} here" for k in names)
        raise ConfigError(
            f"the checkpoint in {folder} is of another training: {differ}. Go on with its own configuration, or give "
            "another checkpoint folder; nothing was changed."
        )


def _restore_optimizer(trainer: SAETrainer[Any, Any], tensors: dict[str, torch.Tensor], step: int) -> None:
    adam = trainer.optimizer.state_dict()
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, i, name = key.split(".", 2)
            adam["state"].setdefault(int(i), {})[name] = value
    # Schedules are functions of the step: replay them before the moments are put in place.
    for _ in range(step):
        trainer.optimizer._opt_called = True
        trainer.lr_scheduler.step()
        for schedule in trainer.coefficient_schedulers.values():
            schedule.step()
    adam["param_groups"] = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict(adam)
