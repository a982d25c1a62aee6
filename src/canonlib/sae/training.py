"""Train SAEs from one stream of activations that can be left and taken up again.

The SAE, its loss and the training step are SAELens's (for TopK-like SAEs the step is ``fast.FastTrainer``'s, which
computes the same); the loop around ``SAETrainer.step`` is ours, because it feeds many SAEs from one stream and writes
checkpoints without pickle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from canonlib.errors import ConfigError, require_seed
from canonlib.rows import Rows
from canonlib.sae import checkpoint as checkpoints
from canonlib.sae.architectures import start_from_data, untrained
from canonlib.sae.batches import Batches
from canonlib.sae.folders import sort_configuration
from canonlib.sae.io import open_sae, require_device, require_memory
from canonlib.sae.outliers import ordinary_rows
from canonlib.store import write_json
from canonlib.tiers import TOPK_LIKE, Family, Member

if TYPE_CHECKING:
    from sae_lens import SAE, TrainingSAE
    from sae_lens.config import LoggingConfig
    from sae_lens.training.sae_trainer import SAETrainer

CHECKPOINT_EVERY = 250
"""Steps between checkpoints."""
REPORT_EVERY = 50
"""Steps between two points of the loss curve."""
SAMPLE = 100_000
"""Tokens from which scale, mean and starting directions are taken."""
L0_SAMPLE = 4_096
"""Tokens on which the L0 is counted that the SAE's metadata keep."""


class News(NamedTuple):
    """What a training tells of itself every ``REPORT_EVERY`` steps."""

    step: int
    losses: dict[str, float]
    """SAELens's names; ``mse_loss`` is summed over coordinates, in the trainer's scale."""
    l0: float
    dead: int
    """Latents that have not fired for SAELens's ``dead_feature_window``."""


def make_trainer(
    family: Family, sae: TrainingSAE[Any], scale: float, logger: LoggingConfig | None = None, fast: bool = True
) -> SAETrainer[Any, Any]:
    """The trainer of one SAE: ``FastTrainer`` where it applies (and ``fast``), else SAELens's with a fused Adam."""
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    from canonlib.sae.fast import FastTrainer, refusal

    config = SAETrainerConfig(
        total_training_samples=family.steps * family.batch,
        train_batch_size_samples=family.batch,
        lr=family.lr,
        lr_end=family.lr,
        lr_warm_up_steps=min(50, family.steps // 10),
        lr_decay_steps=family.steps // 5,
        dead_feature_window=100,
        device=str(sae.device),
        logger=logger or LoggingConfig(log_to_wandb=False),
    )
    made: SAETrainer[Any, Any]
    if fast and not refusal(sae):
        made = FastTrainer(config, sae, data_provider=iter(()))
    else:
        made = SAETrainer(config, sae, data_provider=iter(()))
        for group in made.optimizer.param_groups:
            group["fused"] = True
    made.activation_scaler.scaling_factor = scale
    return made


class Training:
    """One SAE in training: where it starts, its steps, its checkpoints and the folder it ends in."""

    def __init__(
        self, family: Family, member: Member, rows: Rows, seed: int, checkpoint: Path | None = None,
        metadata: dict[str, Any] | None = None, logger: LoggingConfig | None = None, device: str = "cpu",
    ) -> None:  # fmt: skip
        """``seed`` is the tier's; the member's own is added. Raises what ``checkpoint.load`` raises, and ``ConfigError``
        for rows that are all the same.
        """
        torch.manual_seed(require_seed("seed", seed) + member.seed)
        sample = rows.sample(SAMPLE)
        if bool((sample == sample[0]).all()):
            raise ConfigError(
                f"activations hold {len(rows):,} rows, all the same ({'one token' if sample.any() else 'zeros'}): an SAE "
                "learns from rows that differ. Look at the harvest."
            )
        self._sample = sample[:: -(-len(sample) // L0_SAMPLE)].clone()
        self.family, self.member, self.checkpoint = family, member, checkpoint
        typical = sample.norm(dim=1).mean().item()
        if not 0 < typical < float("inf"):
            raise ConfigError(
                f"activations have a mean norm of {typical:g} in float32, and no scale follows from it: bring them to norms "
                "that float32 can square."
            )
        self.scale = rows.d_model**0.5 / typical
        sae = untrained(family, member, rows.d_model, metadata or {})
        generator = torch.Generator().manual_seed(seed + member.seed)
        # A BatchTopK latent that starts beside a winner stays dead: starting apart halves their number in the world.
        start_from_data(sae, sample * self.scale, generator, spread=family.architecture in TOPK_LIKE)
        sae = sae.to(device)
        self.trainer = make_trainer(family, sae, self.scale, logger)
        fields = asdict(family)
        kept = {name: fields[name] for name in ("architecture", "tokens", "steps", "batch", "lr")}
        self.config = {**kept, **member._asdict(), "tier_seed": seed, "d_model": rows.d_model, "n_tokens": len(rows)}
        self.losses = checkpoints.load(self.trainer, checkpoint, self.config) if checkpoint else []
        self.resumed_from = self.step

    @property
    def step(self) -> int:
        """Steps done."""
        return self.trainer.n_training_steps

    def take(self, batch: torch.Tensor) -> News | None:
        """One step on ``batch`` ``[batch, d_model]``; every ``REPORT_EVERY`` steps, news of it."""
        step, output = self.step, self.trainer.step(batch)
        if self.trainer.cfg.logger.log_to_wandb:
            self.trainer._log_train_step(output)
        self.trainer.n_training_steps += 1
        news = None
        if step % REPORT_EVERY == 0:
            losses = {name: float(value.detach()) for name, value in output.losses.items()}
            self.losses.append(round(losses["mse_loss"], 6))
            active = int(output.feature_acts.bool().sum())
            news = News(step, losses, active / len(batch), int(self.trainer.dead_neurons.sum()))
        if self.checkpoint and self.step % CHECKPOINT_EVERY == 0:
            checkpoints.save(self.trainer, self.checkpoint, self.losses, self.config)
        return news

    def finish(self, out: Path) -> None:
        """Write the SAE's inference form to ``out`` as a SAELens folder, with its loss curve as ``training.json``."""
        from canonlib.sae.fast import FastTrainer

        sae = self.trainer.sae
        if isinstance(self.trainer, FastTrainer):
            self.trainer.release()
        if "topk_threshold" in sae.state_dict():
            # SAELens averages the threshold from zero up: after few steps it is too low and L0 after loading too high.
            sae.topk_threshold /= 1 - (1 - sae.cfg.topk_threshold_lr) ** self.step
        sae.fold_activation_norm_scaling_factor(self.scale)
        self.trainer.set_final_sae_metadata()
        sae.cfg.metadata.l0 = self._l0()
        sae.save_inference_model(out)
        sort_configuration(out)
        write_json(
            out / "training.json", {"every": REPORT_EVERY, "mse_loss": self.losses, "scaling_factor": self.scale}
        )

    @torch.no_grad()
    def _l0(self) -> float:
        """Active latents per token, which tells later whether activations look like those of the training."""
        if self.family.architecture in TOPK_LIKE:
            return float(self.member.sparsity)
        sae = self.trainer.sae
        active = torch.count_nonzero(sae.encode(self._sample.to(sae.device)))
        return round(int(active) / len(self._sample), 2)


def train_together(
    trainings: Sequence[Training], rows: Rows, seed: int, report: Callable[[Training, News], None] | None = None
) -> None:
    """Take every training to its end, all from one stream: each batch is read once and goes to each SAE in turn.

    The trainings must agree on the batch size; they may have different lengths, and may stand at different steps (as
    after a kill). Batch n depends on ``seed`` and n alone. Raises ``ConfigError`` for different batch sizes.
    """
    sizes = {t.family.batch for t in trainings}
    if len(sizes) > 1:
        raise ConfigError(f"SAEs that share a stream need one batch size, got {sorted(sizes)}.")
    batches = Batches(rows, sizes.pop(), seed)
    for step in range(min(t.step for t in trainings), max(t.family.steps for t in trainings)):
        batch = batches.batch(step)
        for training in trainings:
            if training.step == step < training.family.steps:
                news = training.take(batch)
                if news and report:
                    report(training, news)


def train(
    family: Family,
    size: int,
    activations: Any,
    seed: int,
    out: Path,
    checkpoint: Path | None = None,
    metadata: dict[str, Any] | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
    logger: LoggingConfig | None = None,
    device: str = "cpu",
    max_norm: float | None = None,
) -> SAE[Any]:
    """Train one SAE and save it to ``out`` as a SAELens folder (its inference form); return what loads from there.

    activations: ``[n_tokens, d_model]``, a tensor or NumPy array of any floating-point type, memory-mapped or not, a list
    of such shards, or ``Rows``. max_norm: leave out rows whose norm is more than this many times the median; without it,
    a ``UserWarning`` tells of outliers that outweigh the others. checkpoint: folder to go on from and to write to every
    ``CHECKPOINT_EVERY`` steps. report: called every ``REPORT_EVERY`` steps with the step and the losses. logger:
    SAELens's logging configuration; with ``log_to_wandb`` the losses go to the current Weights & Biases run (see
    ``wandb.init``). device: where it is trained; what comes back is on the CPU. The family's first sparsity and seed
    are used. Raises ConfigError for sizes or sparsities that cannot work, activations that are not finite, and a
    checkpoint of another configuration.

    >>> import tempfile
    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> family = Family("batchtopk", "all", sizes=(16,), sparsities=(2,), steps=50, batch=256, lr=3e-3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sae = train(family, 16, truth.activations, seed=0, out=Path(folder) / "sae")
    ...     saved = sorted(path.name for path in (Path(folder) / "sae").iterdir())
    >>> sae.cfg.architecture(), tuple(sae.W_dec.shape)
    ('jumprelu', (16, 32))
    >>> saved
    ['cfg.json', 'sae_weights.safetensors', 'training.json']
    """
    rows, family = ordinary_rows(activations, max_norm, what="scale, mean and loss"), replace(family, sizes=(size,))
    member = family.members[0]
    if metadata is not None and not isinstance(metadata, dict):
        raise ConfigError(f"metadata must be a dictionary, got a {type(metadata).__name__}.")
    out, device = Path(out), require_device(device)
    require_memory(8 * 4 * member.size * rows.d_model, f"a training of {member.size:,} latents")
    one = Training(family, member, rows, seed, checkpoint, metadata, logger, device)
    train_together([one], rows, seed + member.seed, lambda _, n: report(n.step, n.losses) if report else None)
    one.finish(out)
    return load(out)


def load(folder: Path) -> SAE[Any]:
    """The SAE in a SAELens folder, on the CPU. Raises ``ConfigError`` as ``canonlib.sae.open_sae`` does."""
    return open_sae(folder)


def read_losses(folder: Path) -> list[float]:
    """Training MSE every 50 steps (summed over coordinates, in the trainer's scale), from ``training.json``."""
    return list(json.loads((folder / "training.json").read_text())["mse_loss"])
