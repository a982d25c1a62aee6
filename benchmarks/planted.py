"""Data with a known dictionary, start weights and the score for train_step.py."""

from __future__ import annotations

import argparse

import torch
from peers import Start, Weights


class Data:
    """Batches by number, the same for the same number.

    Sparse combinations of a planted dictionary and noise, centred, scaled to a mean norm of sqrt(d_model).
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.d_model, n_latents = args.shape
        self.k, self.device = args.k_true, args.device
        n = args.n_true or n_latents
        rows = torch.randn(n, self.d_model, generator=torch.Generator().manual_seed(0))
        self.features = torch.nn.functional.normalize(rows, dim=1)
        frequency = 1 / torch.arange(1, n + 1, dtype=torch.float64)
        self.cumulative = (frequency / frequency.sum()).cumsum(0).float()
        self.mean, self.scale = torch.zeros(self.d_model), 1.0
        sample = self.batch(-1, 4096)
        self.mean = sample.mean(0).to("cpu")
        self.scale = float(self.d_model**0.5 / (sample.cpu() - self.mean).norm(dim=1).mean())

    def batch(self, number: int, n_tokens: int) -> torch.Tensor:
        """[n_tokens, d_model]"""
        generator = torch.Generator().manual_seed(1_000 + number)
        drawn = torch.rand(n_tokens, self.k, generator=generator)
        feature = torch.searchsorted(self.cumulative, drawn).clamp_(max=len(self.features) - 1)
        size = torch.empty(n_tokens, self.k).exponential_(generator=generator)
        x = torch.nn.functional.embedding_bag(feature, self.features, mode="sum", per_sample_weights=size)
        noise = torch.randn(n_tokens, self.d_model, generator=generator)
        x += noise * (0.1 * (2 * self.k / self.d_model) ** 0.5)
        return ((x - self.mean) * self.scale).to(self.device)


def start_weights(args: argparse.Namespace) -> Start:
    """Unit decoder rows, the encoder their transpose; with --aux the dead latents' encoder is 1,000 times shorter."""
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(args.shape[1], args.shape[0], generator=generator)
    w_dec = torch.nn.functional.normalize(rows, dim=1).to(args.device)
    dead = torch.rand(args.shape[1], generator=generator).to(args.device) < (args.dead_share if args.aux else 0.0)
    w_enc = torch.where(dead[:, None], w_dec * 1e-3, w_dec)
    return Start(w_enc, torch.zeros_like(w_dec[:, 0]), w_dec, dead)


@torch.no_grad()
def held_out_fvu(weights: Weights, x: torch.Tensor, k: int) -> float:
    """Squared error of the SAE on ``x`` over that of the mean; selection as in training, exactly."""
    pre = (x - weights.b_dec) @ weights.w_enc.T + weights.b_enc
    score = (pre * weights.w_dec.norm(dim=1)).relu_()
    flat = score if weights.per_token else score.view(1, -1)
    chosen = flat.topk(k if weights.per_token else k * len(x), dim=1).indices
    keep = torch.zeros_like(flat).scatter_(1, chosen, 1.0).view_as(pre)
    error = (pre.relu_().mul_(keep) @ weights.w_dec).add_(weights.b_dec).sub_(x).square().sum()
    return float(error / (x - x.mean(0)).square().sum())
