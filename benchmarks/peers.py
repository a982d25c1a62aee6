"""The contestants of train_step.py: each library's own BatchTopK training step, started from the same weights.

Every adapter builds the library's own SAE and trainer, puts ``Start`` into it, and its ``step`` is one call of the
library's own update: forward, backward, clipping of the gradient at 1, Adam, and whatever statistics the library keeps
in each step. ``weights`` reads the SAE back, so that all are scored by one function.

Where the libraries differ, and what was chosen:

- The start: decoder rows of norm 1, the encoder their transpose, biases 0. dictionary_learning would put its decoder
  bias at the geometric median of the first batch: left out (the data are centred). overcomplete has no decoder bias.
- The decoder: dictionary_learning and overcomplete renormalise its rows in every step, SAELens and canonlib score
  activations times decoder norms instead. Each does what it does by default.
- The threshold for inference: SAELens and canonlib update theirs in every step, dictionary_learning from step 1,000 on
  by default; here from the first, as nearly all steps of a real training do. overcomplete updates its own in each.
- Silence: overcomplete's loop runs with monitoring=0 (it logs the loss by default); SAELens logs nothing.
- The loss: overcomplete's is the mean over coordinates (its README), the others' is summed over them. The clip at 1
  therefore bites at other times; Adam does not care about the scale otherwise.
- The auxiliary loss: SAELens and canonlib with coefficient 1 over the d/2 highest dead latents of each token,
  dictionary_learning with alpha 1/32 of a normalised loss over as many, overcomplete's ``top_k_auxiliary_loss`` with
  penalty 0.1 over the n/2 highest latents that were not chosen, dead or not.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch

NEVER = 10**9
"""Steps without firing after which a latent counts as dead when there is no auxiliary loss."""
BLOCK_BYTES = 8 * 2**20
MIN_ROWS = 256


@dataclass(frozen=True)
class Setting:
    """What all contestants share."""

    d_model: int
    n_latents: int
    batch: int
    k: int
    lr: float
    aux: bool
    dead_window: int
    total_steps: int
    device: str

    @property
    def window(self) -> int:
        """Steps without firing until a latent is dead."""
        return self.dead_window if self.aux else NEVER


class Start(NamedTuple):
    """The weights all contestants begin with."""

    w_enc: torch.Tensor
    """[n_latents, d_model]"""
    b_enc: torch.Tensor
    """[n_latents]"""
    w_dec: torch.Tensor
    """[n_latents, d_model]"""
    dead: torch.Tensor
    """[n_latents] bool: latents that count as dead from the first step on."""


class Weights(NamedTuple):
    """A trained SAE, for scoring: x̂ = Σ_j a_j d_j + b_dec with a = (x - b_dec)·w + b_enc on the selected entries."""

    w_enc: torch.Tensor
    b_enc: torch.Tensor
    w_dec: torch.Tensor
    b_dec: torch.Tensor
    per_token: bool = False
    """Select the k largest of each token instead of k · n_tokens over the batch."""


class Contestant(Protocol):
    """One library's SAE in training."""

    def step(self, x: torch.Tensor) -> None: ...

    def weights(self) -> Weights | None: ...

    def n_dead(self) -> int | None:
        """Latents that the library counts as dead; None where it does not count."""


class SAELens:
    """``SAETrainer.step`` of SAELens, or of a subclass."""

    def __init__(self, s: Setting, start: Start, trainer: Any = None, topk: bool = False, **options: Any) -> None:
        from sae_lens import (
            BatchTopKTrainingSAE,
            BatchTopKTrainingSAEConfig,
            TopKTrainingSAE,
            TopKTrainingSAEConfig,
        )
        from sae_lens.config import SAETrainerConfig
        from sae_lens.training.sae_trainer import SAETrainer

        fields: dict[str, Any] = dict(d_in=s.d_model, d_sae=s.n_latents, k=s.k, device=s.device, **options)
        sae: Any = (
            TopKTrainingSAE(TopKTrainingSAEConfig(**fields))
            if topk
            else BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**fields))
        )
        with torch.no_grad():
            sae.W_enc.copy_(start.w_enc.T)
            sae.b_enc.copy_(start.b_enc)
            sae.W_dec.copy_(start.w_dec)
            sae.b_dec.zero_()
        config = SAETrainerConfig(
            total_training_samples=s.total_steps * s.batch,
            train_batch_size_samples=s.batch,
            lr=s.lr,
            lr_end=s.lr,
            device=s.device,
            dead_feature_window=s.window,
        )
        self.topk = topk
        self.trainer: Any = (trainer or SAETrainer)(config, sae, iter(()))
        if s.aux:
            self.trainer.n_forward_passes_since_fired[start.dead] = s.window + 1

    def step(self, x: torch.Tensor) -> None:
        self.trainer.step(x)
        self.trainer.n_training_steps += 1

    def weights(self) -> Weights:
        sae = self.trainer.sae
        return Weights(sae.W_enc.T, sae.b_enc, sae.W_dec, sae.b_dec, per_token=self.topk)

    def n_dead(self) -> int:
        return int(self.trainer.dead_neurons.sum())


def canonlib(s: Setting, start: Start) -> SAELens:
    """SAELens's SAE and configuration, with canonlib's ``FastTrainer`` in the place of ``SAETrainer``."""
    from canonlib.sae.fast import FastTrainer

    return SAELens(s, start, trainer=FastTrainer)


def saelens_sparse(s: Setting, start: Start) -> SAELens:
    """SAELens's ``use_sparse_activations``, which its BatchTopK takes and ignores."""
    return SAELens(s, start, use_sparse_activations=True)


def saelens_topk_sparse(s: Setting, start: Start) -> SAELens:
    """SAELens's TopK (k per token: an easier task), where the option works if decoder norms are left out."""
    return SAELens(s, start, topk=True, use_sparse_activations=True, rescale_acts_by_decoder_norm=False)


class DictionaryLearning:
    """``BatchTopKTrainer.update`` of saprmarks/dictionary_learning."""

    def __init__(self, s: Setting, start: Start) -> None:
        without_init("dictionary_learning")
        from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer

        self.trainer: Any = BatchTopKTrainer(
            steps=s.total_steps + 1,
            activation_dim=s.d_model,
            dict_size=s.n_latents,
            k=s.k,
            layer=0,
            lm_name="none",
            lr=s.lr,
            auxk_alpha=1 / 32 if s.aux else 0.0,
            warmup_steps=0,
            threshold_start_step=0,
            device=s.device,
        )
        self.trainer.dead_feature_threshold = (s.window + 1) * s.batch
        if s.aux:
            self.trainer.num_tokens_since_fired[start.dead] = self.trainer.dead_feature_threshold
        self.done = 0
        with torch.no_grad():
            self.trainer.ae.encoder.weight.copy_(start.w_enc)
            self.trainer.ae.encoder.bias.copy_(start.b_enc)
            self.trainer.ae.decoder.weight.copy_(start.w_dec.T)

    def step(self, x: torch.Tensor) -> None:
        self.done += 1  # counted from 1: step 0 would move the decoder bias
        self.trainer.update(self.done, x)

    def weights(self) -> Weights:
        ae = self.trainer.ae
        return Weights(ae.encoder.weight, ae.encoder.bias, ae.decoder.weight.T, ae.b_dec)

    def n_dead(self) -> int:
        return int((self.trainer.num_tokens_since_fired >= self.trainer.dead_feature_threshold).sum())


class Overcomplete:
    """One batch through ``overcomplete.sae.train_sae``, with the loss of its README."""

    def __init__(self, s: Setting, start: Start) -> None:
        without_init("overcomplete")
        from overcomplete.sae import BatchTopKSAE
        from overcomplete.sae.losses import top_k_auxiliary_loss
        from overcomplete.sae.train import train_sae

        self.sae: Any = BatchTopKSAE(s.d_model, s.n_latents, top_k=s.k * s.batch, device=s.device)
        with torch.no_grad():
            self.sae.encoder.final_block[0].weight.copy_(start.w_enc)
            self.sae.encoder.final_block[0].bias.copy_(start.b_enc)
            self.sae.dictionary._weights.copy_(start.w_dec)
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=s.lr)
        self.criterion = top_k_auxiliary_loss if s.aux else mean_square
        self.train, self.device = train_sae, s.device

    def step(self, x: torch.Tensor) -> None:
        loop = dict(nb_epochs=1, clip_grad=1.0, monitoring=0, device=self.device)
        self.train(self.sae, [x], self.criterion, self.optimizer, **loop)

    def weights(self) -> Weights:
        layer = self.sae.encoder.final_block[0]
        rows = torch.nn.functional.normalize(self.sae.dictionary._weights.detach(), dim=1)
        return Weights(layer.weight, layer.bias, rows, torch.zeros_like(rows[0]))

    def n_dead(self) -> None:
        return None


def mean_square(x: torch.Tensor, x_hat: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    """The criterion of overcomplete's README."""
    return (x - x_hat).square().mean()


class Floor:
    """The encoder's product alone, in blocks and into one buffer: what no exact method can leave out."""

    def __init__(self, s: Setting, start: Start) -> None:
        self.weight = start.w_enc.clone()
        rows = min(s.batch, max(MIN_ROWS, BLOCK_BYTES // (4 * s.n_latents)))
        self.out = self.weight.new_empty(rows, s.n_latents)

    def step(self, x: torch.Tensor) -> None:
        for rows in x.split(len(self.out)):
            torch.mm(rows, self.weight.T, out=self.out[: len(rows)])

    def weights(self) -> None:
        return None

    def n_dead(self) -> None:
        return None


def without_init(package: str) -> None:
    """Register a package without running its ``__init__``.

    Both peers' import language or image models there (nnsight, torchvision), which their training does not use.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(f"{package} is not installed")
    sys.modules.setdefault(package, importlib.util.module_from_spec(spec))


CONTESTANTS: dict[str, Callable[[Setting, Start], Contestant]] = {
    "canonlib": canonlib,
    "saelens": SAELens,
    "saelens-sparse": saelens_sparse,
    "saelens-topk-sparse": saelens_topk_sparse,
    "dictionary_learning": DictionaryLearning,
    "overcomplete": Overcomplete,
    "floor": Floor,
}
DEFAULT = [name for name in CONTESTANTS if name != "saelens-topk-sparse"]  # not the same task
