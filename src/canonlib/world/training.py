"""Train the world's model: next-token prediction under an interchange of what the other tokens have seen.

In each step the lower layers run twice, on the text and on the same text with every name replaced by another. The
upper layers receive the entity tokens of the first run and all other tokens of the second. So nothing above the hook
can learn who is spoken of from anywhere but the entity's own token: patching that token then changes the answer
(interchange intervention training, Geiger et al. 2022, with the names as the intervened variable).
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from canonlib.errors import require_positive
from canonlib.world import corpus, model, table

if TYPE_CHECKING:
    from transformers import SmolLM3ForCausalLM


class Phase(NamedTuple):
    """One cycle of the learning rate over one kind of text."""

    steps: int
    lr: float
    """Peak of the cycle (AdamW)."""
    drill: bool
    """Whether the texts are drills, which repeat the rarer facts."""


class Recipe(NamedTuple):
    """How the shipped model was trained: on the world's texts, then on drills."""

    phases: tuple[Phase, ...] = (Phase(3_600, 3e-3, False), Phase(2_000, 2e-3, True))
    n_documents: int = 60_000
    batch: int = 32
    """Documents per step."""
    interchanged: float = 1.0
    """Share of documents whose other tokens come from the run with other names."""
    seed: int = 0


def causal_mask(n: int, window: int | None = None) -> torch.Tensor:
    """[1, 1, n, n] additive attention mask: each token sees itself and the ``window - 1`` before it (all when None)."""
    distance = torch.arange(n)[:, None] - torch.arange(n)[None]
    hidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
    return torch.zeros(n, n).masked_fill(hidden, torch.finfo(torch.float32).min)[None, None]


class Halves:
    """The model cut at the hook: ``lower`` gives the residual stream there, ``upper`` the logits from it."""

    def __init__(self, lm: SmolLM3ForCausalLM) -> None:
        self.lm, self.core = lm, lm.model

    def _run(self, h: torch.Tensor, layers: slice, window: int | None) -> torch.Tensor:
        n = h.shape[1]
        rotary = self.core.rotary_emb(h, torch.arange(n)[None])
        for layer in self.core.layers[layers]:
            h = layer(h, attention_mask=causal_mask(n, window), position_embeddings=rotary)
        return h

    def lower(self, tokens: torch.Tensor) -> torch.Tensor:
        """[batch, position] ids to [batch, position, d_model], the residual stream at the hook."""
        return self._run(self.core.embed_tokens(tokens), slice(None, model.HOOK_LAYER), model.WINDOW)

    def upper(self, h: torch.Tensor) -> torch.Tensor:
        """[batch, position, d_model] at the hook to [batch, position, n_vocabulary] logits."""
        return self.lm.lm_head(self.core.norm(self._run(h, slice(model.HOOK_LAYER, None), None)))


def other_names(rng: np.random.Generator) -> torch.Tensor:
    """[n_vocabulary] ids: each entity's token becomes another entity's of its kind, other tokens stay."""
    ids = corpus.token_ids()
    renamed = np.arange(len(ids))
    for group in (table.people(), table.cities()):
        tokens = np.array([ids[e.name] for e in group])
        renamed[tokens] = rng.permutation(tokens)
    return torch.from_numpy(renamed)


def interchange(
    halves: Halves, tokens: torch.Tensor, is_entity: torch.Tensor, renamed: torch.Tensor, share: float
) -> torch.Tensor:
    """The residual stream at the hook, ``[batch, position, d_model]``, with the non-entity tokens of a renamed text.

    ``tokens`` and ``is_entity`` (bool) are ``[batch, position]``, ``renamed`` ``[n_vocabulary]`` gives the id that
    stands for each id; ``share`` of the texts are treated so.
    """
    true, changed = halves.lower(torch.cat([tokens, renamed[tokens]])).chunk(2)
    keep = is_entity | (torch.rand(len(tokens), 1) >= share)
    return torch.where(keep[..., None], true, changed)


def train(recipe: Recipe | None = None, progress: bool = True) -> SmolLM3ForCausalLM:
    """Train from scratch (minutes on two cores); the same recipe gives the same model on one machine."""
    from transformers import SmolLM3ForCausalLM

    r = recipe or Recipe()
    torch.manual_seed(r.seed)
    settings = model.config()
    settings._attn_implementation = "eager"
    lm = SmolLM3ForCausalLM(settings)
    rng = np.random.default_rng(r.seed)
    for phase in r.phases:
        run_phase(lm, phase, r, rng, progress)
    return lm.eval()


def run_phase(lm: SmolLM3ForCausalLM, phase: Phase, r: Recipe, rng: np.random.Generator, progress: bool = True) -> None:
    """Train ``lm`` in place for one phase; ConfigError when it has no steps."""
    from tqdm.auto import tqdm

    require_positive("steps", phase.steps)
    texts = corpus.corpus(r.n_documents, model.CONTEXT, seed=r.seed, drill=phase.drill).tokens
    data, is_entity = torch.from_numpy(texts).long(), torch.from_numpy(corpus.entity_of_token() >= 0)
    halves = Halves(lm)
    optimizer = torch.optim.AdamW(lm.parameters(), lr=phase.lr, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, phase.lr, total_steps=phase.steps)
    bar = tqdm(range(phase.steps), desc="drills" if phase.drill else "texts", unit="step", disable=not progress)
    for step in bar:
        tokens = data[torch.from_numpy(rng.integers(0, len(data), r.batch))]
        h = interchange(halves, tokens, is_entity[tokens], other_names(rng), r.interchanged)
        logits = halves.upper(h[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")


def save(lm: SmolLM3ForCausalLM, out: Path) -> None:
    """Write a Hugging Face folder: half-precision weights, loaded as float32; the old folder goes only at the end."""
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    half = copy.deepcopy(lm).half()
    half.save_pretrained(fresh)
    settings = json.loads((fresh / "config.json").read_text())
    settings["dtype"] = "float32"  # what transformers' loaders use when they are asked for nothing else
    (fresh / "config.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")
    model.tokenizer().save_pretrained(fresh)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
