"""SAELens's trainer with a faster step for TopK-like SAEs: the same SAE, loss and updates, without dense activations.

SAELens makes the [n_tokens, n_latents] activations, keeps them for autograd and multiplies by them four times. Here
they are never kept (``select``), decoding and gradients touch active entries only (``gradients``), and Adam is fused.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import TrainStepOutput
from sae_lens.saes.topk_sae import TopKTrainingSAE
from sae_lens.training.sae_trainer import SAETrainer

from canonlib.errors import ConfigError
from canonlib.sae.entries import SPARSE_NEWS, Encoder, Entries
from canonlib.sae.gradients import Decoded, Gradients, backward
from canonlib.sae.select import Selector
from canonlib.tiers import TOPK_LIKE

_DENSE_ABOVE = 1 / 16
"""Share of active entries from which dense products are faster (an active entry costs 6 to 12 times a dense one)."""


def refusal(sae: Any, autocast: bool = False) -> str:
    """Why the fast step cannot train ``sae``; empty when it can."""
    architecture, cfg = sae.cfg.architecture(), sae.cfg
    if architecture not in TOPK_LIKE:
        return f"architecture is {architecture!r}, and the fast step is for {', '.join(TOPK_LIKE)}"
    if getattr(cfg, "use_matryoshka_aux_loss", False):
        return "use_matryoshka_aux_loss is True"
    if cfg.normalize_activations in ("layer_norm", "constant_norm_rescale"):
        return f"normalize_activations is {cfg.normalize_activations!r}, a scale of each token's own"
    if sae.dtype not in (torch.float32, torch.float64):
        return f"dtype is {sae.dtype}, and the fast step works in float32 or float64"
    return "autocast is on" if autocast else ""


class FastTrainer(SAETrainer[Any, Any]):
    """``SAETrainer`` whose step works on active entries; constructor, ``fit``, logs and results are SAELens's.

    For TopK, BatchTopK and Matryoshka BatchTopK training SAEs in float32 or float64. Raises ``ConfigError`` for what
    ``refusal`` names: use SAELens's own trainer there. While it trains, ``W_enc`` is laid out latent by latent in
    memory (its shape stays [d_model, n_latents]); ``release`` restores SAELens's layout, and ``fit`` ends with it.
    Forward hooks on the SAE's activations do not run in training. On a GPU it pays for large dictionaries; on small ones
    SAELens's own step is as fast or faster there (the book's page on performance, *On a GPU*).
    """

    def __init__(self, cfg: SAETrainerConfig, sae: TopKTrainingSAE, data_provider: Any, **more: Any) -> None:
        reason = refusal(sae, cfg.autocast)
        if reason:
            raise ConfigError(f"the fast trainer cannot train this SAE: {reason}. Use SAELens's SAETrainer.")
        _keep_freed_memory()
        sae.to(cfg.device)
        super().__init__(cfg, sae, data_provider, **more)
        self._selector, self._dead_selector = Selector(), Selector()
        self._grads = Gradients.zeros(sae.cfg.d_sae, sae.W_dec.detach())
        self._lay_out()

    def _lay_out(self) -> None:
        """Store ``W_enc`` latent by latent, and let Adam see those rows: fused Adam is slow on a transposed view."""
        sae, (group,) = self.sae, self.optimizer.param_groups
        rows = torch.nn.Parameter(sae.W_enc.data.T.contiguous())
        sae.W_enc.data = rows.data.T
        group["params"] = [rows if p is sae.W_enc else p for p in group["params"]]
        group["fused"] = True  # one pass over weights and moments instead of a dozen
        rows.grad, sae.b_enc.grad, sae.W_dec.grad = self._grads.w_enc, self._grads.b_enc, self._grads.w_dec

    def release(self) -> None:
        """Give ``W_enc`` its own memory in SAELens's layout, which safetensors can save; the last call on a trainer."""
        self.sae.W_enc.data = self.sae.W_enc.data.contiguous()
        self.sae.zero_grad()

    def fit(self) -> Any:
        """Train to the end, as SAELens does."""
        super().fit()
        self.release()
        return self.sae

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """As SAELens's; the encoder's moments in ``trainer_state`` are [n_latents, d_model]."""
        view = self.sae.W_enc.data
        self.sae.W_enc.data = view.contiguous()
        super().save_checkpoint(*args, **kwargs)
        self.sae.W_enc.data = view

    def _train_step(self, sae: Any, sae_in: torch.Tensor) -> TrainStepOutput:
        sae.train()
        with torch.no_grad():
            output = self._loss_and_gradients(sae, sae_in)
            self._clip()
        self.optimizer.step()
        self.lr_scheduler.step()
        for scheduler in self.coefficient_schedulers.values():
            scheduler.step()
        return output

    def _clip(self) -> None:
        """Gradient norm at most 1 over all parameters, as in SAELens; nothing is touched below that."""
        params = self.optimizer.param_groups[0]["params"]
        norm = torch.nn.utils.get_total_norm([p.grad for p in params])
        if norm > 1.0:
            torch.nn.utils.clip_grads_with_norm_(params, 1.0, norm)

    def _loss_and_gradients(self, sae: Any, sae_in: torch.Tensor) -> TrainStepOutput:
        """Set every parameter's gradient and return the losses."""
        x = sae.process_sae_in(sae_in)
        scale = sae.W_dec.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else torch.ones_like(sae.b_enc)
        encoder = Encoder(sae.W_enc.T, sae.b_enc, scale)
        entries = self._select(sae.cfg, x, encoder)
        difference, losses, b_dec = _reconstruct(sae, sae_in, x, entries, self._grads)
        dead = self.dead_neurons.nonzero().reshape(-1)
        self._count(entries, len(scale))
        losses["auxiliary_reconstruction_loss"] = x.new_tensor(0.0)
        if len(dead) and sae.cfg.aux_loss_coefficient:
            losses["auxiliary_reconstruction_loss"] = self._revive(sae, x, encoder, dead, -difference)
        if sae.cfg.apply_b_dec_to_input:
            b_dec -= self._grads.b_enc @ encoder.weight
        sae.b_dec.grad = b_dec
        metrics = {}
        if sae.cfg.architecture() != "topk":
            # It asks for the least of the positive scores, and all are positive: one pass over them is enough.
            sae.update_topk_threshold(entries.score.amin(0, keepdim=True) if len(entries.score) else entries.score)
            metrics["topk_threshold"] = sae.topk_threshold
        acts = _as_sparse(entries, (len(x), len(scale)))
        loss = torch.stack(list(losses.values())).sum()
        return TrainStepOutput(sae_in, difference.add_(sae_in), acts, acts, loss, losses, metrics)

    def _select(self, cfg: Any, x: torch.Tensor, encoder: Encoder) -> Entries:
        if cfg.architecture() == "topk":
            return self._selector.per_token(x, encoder, cfg.k)
        return self._selector.over_batch(x, encoder, int(cfg.k * len(x)))

    def _count(self, entries: Entries, n_latents: int) -> None:
        """SAELens's statistics of who fired when."""
        fires = torch.bincount(entries.latent, minlength=n_latents)
        self.n_forward_passes_since_fired += 1
        self.n_forward_passes_since_fired[fires > 0] = 0
        self.act_freq_scores += fires
        self.n_frac_active_samples += self.cfg.train_batch_size_samples

    def _revive(
        self, sae: Any, x: torch.Tensor, encoder: Encoder, dead: torch.Tensor, left: torch.Tensor
    ) -> torch.Tensor:
        """The auxiliary loss: the d_model/2 highest dead latents reconstruct what is ``left``; gradients are added.

        Gao et al. 2024 (arXiv 2406.04093), appendix A.2, as in SAELens's ``calculate_topk_aux_loss``.
        """
        half = x.shape[1] // 2
        k = min(half, len(dead))
        part = Encoder(encoder.weight[dead], encoder.bias[dead], encoder.scale[dead])
        chosen = self._dead_selector.per_token(x, part, k, negative=True)
        weight = sae.cfg.aux_loss_coefficient * min(len(dead) / half, 1.0)
        method = _dense if k > _DENSE_ABOVE * len(dead) else _sparse
        loss, more = method(chosen, x, sae.W_dec[dead], left, weight)
        for ours, added in ((self._grads.w_enc, more.w_enc), (self._grads.b_enc, more.b_enc),
                            (self._grads.w_dec, more.w_dec)):  # fmt: skip
            ours.index_add_(0, dead, added)
        return loss


def _keep_freed_memory() -> None:
    """Let glibc keep what a step frees: else it may return that to the system, and each step takes a thousand page faults.

    It adapts to the largest block it has seen freed, up to 32 MiB, and keeps twice that (mallopt(3), M_MMAP_THRESHOLD).
    The block here is never written to, and so costs nothing; other allocators do not mind.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def _per_token(difference: torch.Tensor) -> torch.Tensor:
    """Squared error summed over coordinates, mean over tokens: SAELens's ``mse_loss``."""
    return torch.linalg.vector_norm(difference, dim=-1).square().mean()


def _reconstruct(
    sae: Any, target: torch.Tensor, x: torch.Tensor, entries: Entries, grads: Gradients
) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """x̂ - x, the losses and the decoder bias's gradient; ``grads`` is filled.

    One level, or for a Matryoshka SAE one loss for each prefix of the dictionary.
    """
    widths = list(getattr(sae.cfg, "matryoshka_widths", None) or [sae.cfg.d_sae])
    levels = list(zip(_ranges(widths), _levels(entries, widths), strict=True))
    decoded = [Decoded(part, sae.W_dec[first:last]) for (first, last), part in levels]
    differences = [decoded[0].out.add_(sae.b_dec).sub_(target)]
    for level in decoded[1:]:
        differences.append(differences[-1] + level.out)
    losses = {"mse_loss": _per_token(differences[-1])}
    losses |= {f"inner_mse_loss_{w}": _per_token(d) for w, d in zip(widths[:-1], differences[:-1], strict=True)}
    weight, total = 2 / len(target), differences[-1]
    for i in reversed(range(len(levels))):
        if i < len(levels) - 1:
            total = total + differences[i]  # a latent serves its own level and all wider ones
        (first, last), part = levels[i]
        backward(part, decoded[i], x, total, weight, grads.part(first, last))
    return differences[-1], losses, weight * total.sum(0)


def _ranges(widths: list[int]) -> list[tuple[int, int]]:
    return list(zip([0, *widths[:-1]], widths, strict=True))


def _levels(entries: Entries, widths: list[int]) -> list[Entries]:
    """The entries of each level, latents counted from the level's first."""
    if len(widths) == 1:
        return [entries]
    token, n_tokens, levels = entries.token, len(entries.offsets) - 1, []
    for first, last in _ranges(widths):
        inside = ((entries.latent >= first) & (entries.latent < last)).nonzero().reshape(-1)
        counts = torch.bincount(token[inside], minlength=n_tokens)
        offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        levels.append(Entries(entries.latent[inside] - first, entries.value[inside], offsets, entries.score[inside]))
    return levels


def _sparse(
    entries: Entries, x: torch.Tensor, w_dec: torch.Tensor, target: torch.Tensor, weight: float
) -> tuple[torch.Tensor, Gradients]:
    """``weight`` times the loss of reconstructing ``target``, and its gradients, on active entries."""
    decoded, grads = Decoded(entries, w_dec), Gradients.zeros(len(w_dec), x)
    difference = decoded.out.sub_(target)
    backward(entries, decoded, x, difference, 2 * weight / len(x), grads)
    return weight * _per_token(difference), grads


def _dense(
    entries: Entries, x: torch.Tensor, w_dec: torch.Tensor, target: torch.Tensor, weight: float
) -> tuple[torch.Tensor, Gradients]:
    """The same by dense products, for entries that are a large share of the matrix."""
    acts = x.new_zeros(len(x), len(w_dec))
    place = entries.token * len(w_dec) + entries.latent
    acts.view(-1)[place] = entries.value
    difference = acts @ w_dec - target
    upstream = difference * (2 * weight / len(x))
    grad = torch.zeros_like(acts)
    grad.view(-1)[place] = (upstream @ w_dec.T).view(-1)[place]
    return weight * _per_token(difference), Gradients(grad.T @ x, grad.sum(0), acts.T @ upstream)


def _as_sparse(entries: Entries, shape: tuple[int, int]) -> torch.Tensor:
    index = torch.stack([entries.token, entries.latent])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=SPARSE_NEWS)
        return torch.sparse_coo_tensor(index, entries.score, shape, is_coalesced=True, check_invariants=False)
