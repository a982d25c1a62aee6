"""The world's model: its architecture, its word-level tokenizer, and how to open it."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canonlib.errors import ModelError
from canonlib.world.corpus import SPECIAL_TOKENS, token_ids

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedTokenizerFast, SmolLM3Config, SmolLM3ForCausalLM

HOOK_LAYER = 2
"""Facts are read from the entity's token at the residual stream that this layer receives."""
HOOK = f"blocks.{HOOK_LAYER}.hook_resid_pre"
CONTEXT = 64
WINDOW = 2
"""Tokens that a token of the first ``HOOK_LAYER`` layers sees: itself and the one before it."""
NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def folder() -> Path:
    """Folder of the model that ships in the package."""
    return Path(str(files("canonlib.world") / "model"))


def check_folder(path: Path) -> Path:
    """Return ``path`` when it holds a whole model; ModelError names the missing file and the remedy otherwise."""
    missing = [name for name in NEEDED if not (path / name).is_file()]
    if missing:
        raise ModelError(
            f"model folder {path} lacks {', '.join(missing)}. Reinstall canonlib, or make the model again with "
            f"'canonlib world train --out {path}'."
        )
    return path


def config() -> SmolLM3Config:
    """Four rotary layers of width 128, about 1 M parameters; the first ``HOOK_LAYER`` see only ``WINDOW`` tokens.

    Rotary, because learned positions drown the content of so narrow a residual stream. The narrow window keeps early
    layers from copying facts out of the text before: a model that could, learned them more slowly. SmolLM3, because it
    has a window for each layer, TransformerLens knows it, and ``AutoTokenizer`` leaves its tokenizer alone
    (transformers 5 opens every Qwen2 folder with Qwen2's tokenizer); all its layers are made to rotate.
    """
    from transformers import SmolLM3Config

    return SmolLM3Config(
        vocab_size=len(token_ids()), hidden_size=128, intermediate_size=384, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=CONTEXT,
        use_sliding_window=True, sliding_window=WINDOW,
        layer_types=["sliding_attention"] * HOOK_LAYER + ["full_attention"] * (4 - HOOK_LAYER),
        no_rope_layers=[1] * 4, attention_bias=True, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word; ``<bos>`` is put in front of every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    bos, unk = SPECIAL_TOKENS
    words = Tokenizer(models.WordLevel(token_ids(), unk_token=unk))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token=bos, eos_token=bos, unk_token=unk, pad_token=bos, model_max_length=CONTEXT
    )


def load_tokenizer(path: Path | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of a model folder; ModelError when a file is missing."""
    from transformers import PreTrainedTokenizerFast

    opened: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(check_folder(path or folder()))
    opened.init_kwargs["add_bos_token"] = True  # it does; TransformerLens opens another one unless told so
    return opened


def _offline() -> None:
    """Keep transformers from asking the hub about a folder on disk."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def load_transformers(path: Path | None = None) -> SmolLM3ForCausalLM:
    """The model as a transformers object, in float32; ModelError when a file is missing."""
    _offline()
    import torch
    from transformers import SmolLM3ForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    source = check_folder(path or folder())
    loaded: Any = SmolLM3ForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")
    return loaded.eval()


def load(path: Path | None = None) -> TransformerBridge:
    """The model as a TransformerLens bridge (hook names as usual), in float32; ModelError when a file is missing."""
    _offline()
    import torch
    from transformer_lens.model_bridge import TransformerBridge
    from transformers.utils import logging

    logging.disable_progress_bar()
    source = check_folder(path or folder())
    bridge = TransformerBridge.boot_transformers(
        str(source), dtype=torch.float32, device="cpu", tokenizer=load_tokenizer(source)
    )
    bridge.cfg.default_prepend_bos = True  # every document of the corpus begins with it
    return bridge.eval()
