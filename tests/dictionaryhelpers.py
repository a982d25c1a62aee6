"""Folders of SAEs and meta-SAEs, and everything that can be wrong with one: a table of mutations with what must happen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from saehelpers import random_sae
from safetensors.torch import load_file, save_file

D_IN, N_SMALL, N_LATENTS = 12, 5, 17
CFG, WEIGHTS, META = "cfg.json", "sae_weights.safetensors", "meta.json"
KINDS = {
    "standard": ("W_enc", "W_dec", "b_enc", "b_dec"),
    "jumprelu": ("W_enc", "W_dec", "b_enc", "b_dec", "threshold"),
    "gated": ("W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"),
    "topk": ("W_enc", "W_dec", "b_enc", "b_dec"),
}
REFUSED, SAME, DIRECTIONS, EITHER = "refused", "same", "directions", "either"
"""Refused by every entry; opened as what it is; opened for its directions, and refused where activations are needed;
opened alone, and refused beside an SAE of another model."""


class Mutation(NamedTuple):
    """Something done to a folder, and what must come of it."""

    kind: str
    apply: Callable[[Path], Any]
    outcome: str = REFUSED


def write_sae(folder: Path, architecture: str, n: int = N_LATENTS, dtype: str = "float32") -> Path:
    """A small random SAE as SAELens saves it."""
    metadata = {"model_name": "gpt2", "hook_name": "blocks.8.hook_resid_pre"}
    random_sae(architecture, n, D_IN, seed=n, dtype=dtype, metadata=metadata).save_model(folder)
    return folder


def write_meta(folder: Path, sae: Any) -> Path:
    """A meta-SAE on the decoder of ``sae``."""
    from canonlib.meta import MetaConfig, train_meta_sae

    config = MetaConfig(n_latents=6, k=2.0, steps=30, batch_size=16)
    return train_meta_sae(sae.W_dec.detach(), config, progress=False).save(folder)


def copy_of(folder: Path, to: Path) -> Path:
    """A fresh copy, to be spoilt."""
    if to.exists():
        shutil.rmtree(to)
    return Path(shutil.copytree(folder, to))


def mutations(architecture: str) -> Iterator[Mutation]:
    """Everything for an SAE of that architecture."""
    yield from _of_tensors(architecture)
    yield from _of_files(WEIGHTS)
    yield from _of_files(CFG)
    yield from _of_configuration(architecture)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        yield Mutation(f"weights in {dtype}", _tensors(lambda t, d=dtype: {k: v.to(d) for k, v in t.items()}), SAME)
        named = str(dtype).removeprefix("torch.")
        yield Mutation(f"all in {dtype}", _both(_tensors(lambda t, d=dtype: {k: v.to(d) for k, v in t.items()}),
                                                _config(dtype=named)), SAME)  # fmt: skip


def of_meta_json() -> Iterator[Mutation]:
    """Everything that can be wrong with ``meta.json``."""
    yield from _of_files(META)
    odd: dict[str, Any] = {"null": None, "a text": "x", "true": True, "negative": -3.5, "huge": 10**400, "NaN": float("nan"),
                           "infinite": float("inf"), "a list": [1], "an object": {}}  # fmt: skip
    config = ("n_latents", "k", "lr", "decay", "beta2", "steps", "batch_size", "sampling", "seed", "centred", "init",
              "encoder_bias", "dead_after", "aux_coefficient")  # fmt: skip
    report = ("variance_explained", "l0", "dead_fraction", "threshold", "trained_threshold", "trained_l0",
              "n_directions", "loss")  # fmt: skip
    for part, names in (("config", config), ("report", report)):
        yield Mutation(f"{part} lacking", _meta(lambda m, p=part: m.pop(p)))
        for told, value in odd.items():
            yield Mutation(f"{part} is {told}", _meta(lambda m, p=part, v=value: m.update({p: v})))
        yield Mutation(f"{part} with a field more", _meta(lambda m, p=part: m[p].update(colour="blue")))
        for name in names:
            yield Mutation(f"{part}.{name} lacking", _meta(lambda m, p=part, n=name: m[p].pop(n)))
            for told, value in odd.items():
                if (name in ("centred", "encoder_bias") and value is True) or (
                    name == "variance_explained" and value == -3.5
                ):
                    continue  # these are what they may be
                yield Mutation(
                    f"{part}.{name} is {told}", _meta(lambda m, p=part, n=name, v=value: m[p].update({n: v}))
                )
    for name, value in (("n_latents", 7), ("k", 3.0), ("steps", 15)):
        yield Mutation(f"config.{name} of another", _meta(lambda m, n=name, v=value: m["config"].update({n: v})))
    for name, value in (("threshold", 0.9), ("l0", 0.123456), ("l0", 6.5), ("dead_fraction", 0.3), ("n_directions", 3),
                        ("trained_l0", 2.0), ("variance_explained", 1.2), ("loss", [0.1]), ("loss", [None] * 20)):  # fmt: skip
        yield Mutation(f"report.{name} of another", _meta(lambda m, n=name, v=value: m["report"].update({n: v})))


def _of_tensors(architecture: str) -> Iterator[Mutation]:
    never = {"threshold": float("inf"), "b_enc": float("-inf"), "b_gate": float("-inf"), "b_mag": float("-inf")}
    for name in KINDS[architecture]:
        for value in (float("nan"), float("inf"), float("-inf")):
            outcome = SAME if never.get(name) == value and architecture != "topk" else REFUSED
            if architecture == "topk" and name == "b_enc" and value == float("-inf"):
                outcome = SAME
            yield Mutation(f"{name} with {value}", _tensors(lambda t, n=name, v=value: _put(t, n, v)), outcome)
        yield Mutation(f"{name} missing", _tensors(lambda t, n=name: _without(t, n)))
        yield Mutation(f"{name} one longer", _tensors(lambda t, n=name: t | {n: torch.cat([t[n], t[n][:1]])}))
        yield Mutation(f"{name} one shorter", _tensors(lambda t, n=name: t | {n: t[n][1:].clone()}))
        yield Mutation(f"{name} of no rows", _tensors(lambda t, n=name: t | {n: t[n][:0].clone()}))
        yield Mutation(f"{name} a number", _tensors(lambda t, n=name: t | {n: torch.tensor(1.0)}))
        for dtype in (torch.int64, torch.bool, torch.float8_e4m3fn):
            yield Mutation(f"{name} in {dtype}", _tensors(lambda t, n=name, d=dtype: t | {n: t[n].to(d)}))
    yield Mutation("W_enc transposed", _tensors(lambda t: t | {"W_enc": t["W_enc"].T.contiguous()}))
    yield Mutation("W_dec transposed", _tensors(lambda t: t | {"W_dec": t["W_dec"].T.contiguous()}))
    yield Mutation("a tensor more", _tensors(lambda t: t | {"W_skip": torch.zeros(D_IN, D_IN)}))
    yield Mutation("a scaling factor", _tensors(lambda t: t | {"scaling_factor": torch.full((N_LATENTS,), 2.0)}))
    yield Mutation("no tensors", _tensors(lambda t: {}))


def _of_files(name: str) -> Iterator[Mutation]:
    yield Mutation(f"{name} missing", lambda f: (f / name).unlink())
    yield Mutation(f"{name} empty", lambda f: (f / name).write_bytes(b""))
    yield Mutation(f"{name} cut", lambda f: (f / name).write_bytes((f / name).read_bytes()[:-9]))
    yield Mutation(f"{name} garbled", lambda f: (f / name).write_bytes(b"\xff\xfe\x00 no such thing"))
    yield Mutation(f"{name} a header too long", lambda f: (f / name).write_bytes(b"\xff" * 7 + b"\x7f" + b"{}"))
    yield Mutation(f"{name} a folder", lambda f: ((f / name).unlink(), (f / name).mkdir()))
    yield Mutation(f"{name} a pipe", lambda f: ((f / name).unlink(), os.mkfifo(f / name)))
    yield Mutation(f"{name} a device", lambda f: ((f / name).unlink(), (f / name).symlink_to("/dev/zero")))
    yield Mutation(f"{name} a loop of links", lambda f: ((f / name).unlink(), (f / name).symlink_to(f / name)))
    yield Mutation(f"{name} a link to nothing", lambda f: ((f / name).unlink(), (f / name).symlink_to(f / "gone")))
    if name.endswith(".json"):
        for told, text in (("null", "null"), ("a list", "[]"), ("a number", "7"), ("a text", '"x"'), ("half", '{"a": '),
                           ("deep", "[" * 200_000), ("deep and closed", '{"a":' * 5_000 + "1" + "}" * 5_000),
                           ("long", '{"a": "' + "x" * (2**24 + 1) + '"}'), ("empty", "{}")):  # fmt: skip
            yield Mutation(f"{name} {told}", lambda f, t=text: (f / name).write_text(t))


def _of_configuration(architecture: str) -> Iterator[Mutation]:
    for name in ("d_in", "d_sae"):
        for value in (0, -1, 1, 13, 10**9, 2**40, 10**400, 12.0, "12", None, True, [12], {"a": 1}, float("nan")):
            yield Mutation(f"{name} = {value!r:.12}", _config(**{name: value}))
        yield Mutation(f"{name} lacking", _config_without(name))
    yield Mutation("both sizes absurd", _config(d_in=10**9, d_sae=10**9))
    for value in ("vanilla", "", None, 3, ["standard"], "transcoder", "skip_transcoder", "jumprelu_transcoder",
                  "jumprelu_skip_transcoder", "temporal", "batchtopk", "matryoshka_batchtopk", "x" * 300, "\ud800"):  # fmt: skip
        yield Mutation(f"architecture = {value!r:.24}", _config(architecture=value))
    for value in ("float128", "", None, 32, ["float32"]):
        yield Mutation(f"dtype = {value!r}", _config(dtype=value))
    for value in ("yes", None, 1, True, ["none"]):
        yield Mutation(f"normalize_activations = {value!r}", _config(normalize_activations=value))
        yield Mutation(f"reshape_activations = {value!r}", _config(reshape_activations=value))
        if value is not True:
            yield Mutation(f"apply_b_dec_to_input = {value!r}", _config(apply_b_dec_to_input=value))
        yield Mutation(f"metadata = {value!r}", _config(metadata=value))
    for scaling in ("expected_average_only_in", "covariance_whitening", "layer_norm", "constant_norm_rescale"):
        yield Mutation(f"scaled by {scaling}", _config(normalize_activations=scaling), DIRECTIONS)
    for field in (
        "model_name",
        "hook_name",
        "hook_head_index",
        "prepend_bos",
        "context_size",
        "model_from_pretrained_kwargs",
    ):
        for odd in ([1], 1.5):
            yield Mutation(f"metadata.{field} = {odd!r}", _metadata(**{field: odd}))
    yield Mutation("no metadata", _config(metadata={}), SAME)
    yield Mutation("a name of 300 characters", _metadata(model_name="m" * 300), EITHER)
    yield Mutation("half of a pair in a name", _metadata(model_name="\ud83d"), EITHER)
    yield Mutation("a version that is none", _metadata(sae_lens_version="newest"))
    if architecture == "topk":
        for k in (0, -1, N_LATENTS + 1, 10**9, 1.5, "3", None, True, [3], float("nan")):
            yield Mutation(f"k = {k!r}", _config(k=k))


def _put(tensors: dict[str, torch.Tensor], name: str, value: float) -> dict[str, torch.Tensor]:
    tensors[name].view(-1)[-1] = value
    return tensors


def _without(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in tensors.items() if k != name}


def _tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], Any]:
    def apply(folder: Path) -> None:
        changed = change(load_file(folder / WEIGHTS))
        save_file({name: tensor.contiguous() for name, tensor in changed.items()}, folder / WEIGHTS)

    return apply


def _json(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def _config(**fields: Any) -> Callable[[Path], Any]:
    return lambda folder: _json(folder, CFG, lambda c: c.update(fields))


def _config_without(name: str) -> Callable[[Path], Any]:
    return lambda folder: _json(folder, CFG, lambda c: c.pop(name))


def _metadata(**fields: Any) -> Callable[[Path], Any]:
    return lambda folder: _json(folder, CFG, lambda c: c["metadata"].update(fields))


def _meta(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    return lambda folder: _json(folder, META, change)


def _both(*changes: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda folder: [change(folder) for change in changes]
