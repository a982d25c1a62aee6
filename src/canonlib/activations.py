"""What the model feels at each token: residual streams harvested once, kept on disk, read through memory maps.

An artefact of this room holds, for each split, shards of at most ``SHARD_ROWS`` tokens; a shard is one safetensors
file with ``activations`` [n, d_model] float32 and, row by row, ``token``, ``document``, ``position`` and ``entity``
(index into ``world.table.entities()``, -1 elsewhere). ``<bos>`` is left out: its residual stream is like no other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, unknown
from canonlib.rows import Rows
from canonlib.store import Artefact, Build, Store, sha256_file, write_tensors
from canonlib.tiers import TOKENS, Tier

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

SHARD_ROWS = 262_144
SPLITS = ("train", "eval")
CODE = ("canonlib.activations", "canonlib.world")
_BATCH_DOCUMENTS = 250


@dataclass(frozen=True)
class Split:
    """The tokens of one split, row by row; ``document`` and ``position`` lead back to the text."""

    activations: torch.Tensor
    """[n_tokens, d_model] residual stream at the hook."""
    token: torch.Tensor
    """[n_tokens] token ids."""
    document: torch.Tensor
    """[n_tokens] index of the document in its split."""
    position: torch.Tensor
    """[n_tokens] place in the document."""
    entity: torch.Tensor
    """[n_tokens] index into ``world.table.entities()``, -1 where no entity is named."""

    def __len__(self) -> int:
        return len(self.token)

    def take(self, rows: torch.Tensor) -> Split:
        """The chosen rows, copied: ``rows`` is a mask, bool ``[n_tokens]``, or indices ``[n]``."""
        return Split(**{name: getattr(self, name)[rows] for name in COLUMNS})

    def only(self, tokens: str) -> Split:
        """All rows, or those of entity mentions (``tokens="entities"``); ``ConfigError`` lists the choices for
        another.
        """
        chosen = chosen_rows(self.entity, tokens)
        return self if chosen is None else self.take(chosen)


def chosen_rows(entity: torch.Tensor, tokens: str) -> torch.Tensor | None:
    """Indices ``[n]`` of the rows that ``tokens`` asks for, by their ``entity`` ``[n_tokens]``; None for all of them.

    ``ConfigError`` lists the choices for another ``tokens``.
    """
    if tokens not in TOKENS:
        raise unknown("tokens", tokens, TOKENS)
    return None if tokens == "all" else (entity >= 0).nonzero()[:, 0]


COLUMNS = ("activations", "token", "document", "position", "entity")


class Activations:
    """A harvest on disk."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact

    @property
    def key(self) -> str:
        """The artefact's key: names these data in the configurations of what is made from them."""
        return self.artefact.key

    def _files(self, name: str) -> list[str]:
        if name not in SPLITS:
            raise unknown("split", name, SPLITS)
        return sorted(f for f in self.artefact.manifest["files"] if f.startswith(f"{name}-"))

    def rows(self, name: str, tokens: str = "all") -> Rows:
        """The activations of one split, read from disk where and when they are asked for.

        tokens: "all", or "entities" for entity mentions alone. Raises ``ConfigError`` for another split or choice.
        """
        files = self._files(name)
        shards = [self.artefact.tensors(f) for f in files]
        chosen = chosen_rows(torch.cat([s["entity"] for s in shards]), tokens)
        return Rows([s["activations"] for s in shards], [f"{self.artefact.key[:12]}/{f}" for f in files], chosen)

    def split(self, name: str) -> Split:
        """One split; a single shard stays memory-mapped, several are joined in memory. ``ConfigError`` lists the
        splits.
        """
        shards = [self.artefact.tensors(f) for f in self._files(name)]
        if len(shards) == 1:
            return Split(**{c: shards[0][c] for c in COLUMNS})
        return Split(**{c: torch.cat([s[c] for s in shards]) for c in COLUMNS})

    @cached_property
    def train(self) -> Split:
        """The split that SAEs are trained on."""
        return self.split("train")

    @cached_property
    def eval(self) -> Split:
        """The split that everything is measured on."""
        return self.split("eval")


def documents(tier: Tier, split: str) -> torch.Tensor:
    """[n_documents, context] token ids of one split; the two splits come from seeds of their own."""
    from canonlib.world import corpus

    n = {"train": tier.train_documents, "eval": tier.eval_documents}[split]
    return torch.from_numpy(corpus.corpus(n, tier.context, seed=_data_seed(tier, split)).tokens).long()


def _data_seed(tier: Tier, split: str) -> int:
    # The model's own corpus has seed 0; harvests start far from it.
    return 1_000 + 2 * tier.seed + (split == "eval")


def configuration(tier: Tier) -> dict[str, Any]:
    """Everything that decides what is harvested (the store's key)."""
    fields = asdict(tier)
    kept = ("model", "hook", "context", "train_documents", "eval_documents", "seed")
    return {name: fields[name] for name in kept} | {"weights": model_hash(tier)}


def model_hash(tier: Tier) -> str:
    """sha256 of the embedded model's weights: another model is another harvest."""
    from canonlib.world import model

    return sha256_file(model.check_folder(model.folder()) / "model.safetensors")


@torch.no_grad()
def residual_stream(lm: TransformerBridge, tokens: torch.Tensor, hook: str) -> torch.Tensor:
    """[batch, position] ids to [batch, position, d_model] at the hook; ConfigError for a hook the model lacks."""
    if hook not in lm.hook_dict:
        raise unknown("hook", hook, sorted(h for h in lm.hook_dict if "resid" in h) or list(lm.hook_dict))
    _, cache = lm.run_with_cache(tokens, names_filter=[hook])
    return cache[hook]


def _rows(lm: TransformerBridge, tokens: torch.Tensor, hook: str, first: int) -> dict[str, torch.Tensor]:
    from canonlib.world import corpus

    n, context = tokens.shape
    kept = tokens[:, 1:].flatten()
    entity = torch.from_numpy(corpus.entity_of_token())[kept]
    return {
        "activations": residual_stream(lm, tokens, hook)[:, 1:].flatten(0, 1).float(),
        "token": kept.to(torch.int32),
        "document": torch.arange(first, first + n, dtype=torch.int32).repeat_interleave(context - 1),
        "position": torch.arange(1, context, dtype=torch.int16).repeat(n),
        "entity": entity,
    }


def _write_split(build: Build, lm: TransformerBridge, tier: Tier, split: str, progress: bool) -> None:
    """Write a split's shards; shards that an interrupted harvest had finished are kept."""
    from tqdm.auto import tqdm

    tokens = documents(tier, split)
    per_shard = SHARD_ROWS // (tier.context - 1)
    starts = range(0, len(tokens), per_shard)
    for i, start in enumerate(tqdm(starts, desc=f"harvest {split}", unit="shard", disable=not progress)):
        name = f"{split}-{i:05d}.safetensors"
        done = build.checkpoint / name
        if not done.exists():
            chunk = tokens[start : start + per_shard]
            parts = [
                _rows(lm, chunk[j : j + _BATCH_DOCUMENTS], tier.hook, start + j)
                for j in range(0, len(chunk), _BATCH_DOCUMENTS)
            ]
            write_tensors(done, {c: torch.cat([p[c] for p in parts]) for c in COLUMNS})


def harvest(tier: Tier, store: Store, progress: bool = True) -> Activations:
    """The tier's activations, from the store or harvested now.

    Raises ConfigError when the tier's model is not the embedded one (hub tiers are not supported yet) or lacks the
    hook, ModelError when the model's files are missing.
    """
    if tier.model != "embedded":
        raise ConfigError(
            f"tier {tier.name!r}: model {tier.model!r} is fetched from the hub; only 'embedded' works now."
        )

    def build(b: Build) -> None:
        from canonlib.world import model

        lm = model.load()
        for split in SPLITS:
            _write_split(b, lm, tier, split, progress)
        for done in sorted(b.checkpoint.glob("*.safetensors")):
            done.rename(b.folder / done.name)

    return Activations(store.get_or_build("activations", configuration(tier), build, code=list(CODE)))
