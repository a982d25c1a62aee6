"""One door for dictionaries: hundreds of spoilt folders against every entry, and every kind of SAE against every function."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from dictionaryhelpers import (
    D_IN,
    DIRECTIONS,
    EITHER,
    KINDS,
    N_LATENTS,
    N_SMALL,
    SAME,
    WEIGHTS,
    Mutation,
    copy_of,
    mutations,
    of_meta_json,
    write_meta,
    write_sae,
)
from saehelpers import random_activations
from safetensors.torch import load_file

from canonlib.cli.interpret import _from_folders
from canonlib.errors import CanonlibError, ConfigError
from canonlib.explore.own import own_subject
from canonlib.meta import MetaSAE
from canonlib.sae import Need, open_sae
from canonlib.sae.metrics import reconstruction
from canonlib.sae.training import load

pytestmark = pytest.mark.filterwarnings("ignore")
LONGEST = 20
"""Seconds for one folder, which takes hundredths of one: whatever takes longer waits for something."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good folder of each architecture, a smaller SAE, a meta-SAE of each, and texts for ``interpret``."""
    place = tmp_path_factory.mktemp("whole")
    made = {kind: write_sae(place / kind, kind) for kind in KINDS}
    made["small"] = write_sae(place / "small", "standard", N_SMALL)
    made["meta"] = write_meta(place / "meta", open_sae(made["standard"]))
    made["texts"] = place / "texts.json"
    made["texts"].write_text(str([["a"]] * N_LATENTS).replace("'", '"'))
    return made


@contextmanager
def in_time() -> Iterator[None]:
    """Raise ``TimeoutError`` when the block waits for something."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"more than {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def entries(whole: dict[str, Path], role: str, folder: Path) -> dict[str, Callable[[], Any]]:
    """Everything that opens a folder, with ``folder`` as the SAE, as the smaller one or as the meta-SAE."""
    paths = {"sae": whole["standard"], "small": whole["small"], "meta": whole["meta"], role: folder}
    found: dict[str, Callable[[], Any]] = {
        "explore": lambda: own_subject(paths["sae"], paths["meta"], [paths["small"]], progress=False),
        "interpret": lambda: _from_folders(paths["meta"], paths["sae"], whole["texts"]),
    }
    if role == "meta":
        return found | {"MetaSAE.load": lambda: MetaSAE.load(folder)}
    if role == "small":
        del found["interpret"]
    return found | {"open_sae": lambda: open_sae(folder), "load": lambda: load(folder)}


def check(mutation: Mutation, entry: str, call: Callable[[], Any]) -> str | None:
    """What is wrong with how an entry took a spoilt folder; None when nothing is."""
    try:
        with in_time():
            call()
    except CanonlibError as error:
        told = str(error)
        if mutation.outcome == SAME:
            return f"{entry} refuses {mutation.kind}: {told}"
        if not isinstance(error, ConfigError) or len(told.splitlines()) != 1 or len(told) > 1200:
            return f"{entry}, {mutation.kind}: no single line of a ConfigError: {type(error).__name__} {told[:300]}"
        return None
    except Exception as error:  # noqa: BLE001 (whatever else is raised is what this test looks for)
        return f"{entry}, {mutation.kind}: {type(error).__name__}: {error}"
    return None if mutation.outcome in (SAME, DIRECTIONS, EITHER) else f"{entry} takes {mutation.kind}"


def spoilt(whole: dict[str, Path], tmp_path: Path) -> Iterator[tuple[Mutation, str, Path]]:
    """Each mutation of each architecture as the SAE; those of one also as the smaller SAE and as the meta-SAE."""
    roles = [("sae", kind, mutations(kind)) for kind in KINDS]
    roles += [
        ("small", "small", mutations("standard")),
        ("meta", "meta", mutations("jumprelu")),
        ("meta", "meta", of_meta_json()),
    ]
    for role, base, changes in roles:
        for mutation in changes:
            folder = copy_of(whole[base], tmp_path / "spoilt")
            mutation.apply(folder)
            yield mutation, role, folder


def test_no_spoilt_folder_is_taken_and_none_ends_in_a_traceback(whole: dict[str, Path], tmp_path: Path) -> None:
    faults, kinds, n = [], set(), 0
    for mutation, role, folder in spoilt(whole, tmp_path):
        n, kinds = n + 1, kinds | {mutation.kind}
        if role == "meta" and mutation.outcome != "refused":
            continue  # another dtype, or a latent that never fires, is no longer what meta.json tells of
        faults += [f for entry, call in entries(whole, role, folder).items() if (f := check(mutation, entry, call))]
    assert not faults, f"{len(faults)} of {n}:\n" + "\n".join(faults[:40])
    assert n >= 500 and len(kinds) >= 60, (n, len(kinds))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 2**20, "more than 2 GiB"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_opened_computes_what_the_file_says(kind: str, whole: dict[str, Path], tmp_path: Path) -> None:
    """Against float64 arithmetic on the file's own numbers, token by token; half precisions lose nothing on the way."""
    x = random_activations(30, D_IN, dtype=torch.float32)
    for mutation in mutations(kind):
        if mutation.outcome != SAME:
            continue
        folder = copy_of(whole[kind], tmp_path / "spoilt")
        mutation.apply(folder)
        sae, wanted = open_sae(folder), _by_hand(kind, load_file(folder / WEIGHTS), x)
        assert sae.W_dec.dtype in (torch.float32, torch.float64)
        assert torch.allclose(sae(x).double(), wanted, rtol=1e-4, atol=1e-4), mutation.kind
        assert reconstruction(sae, x).mse == pytest.approx(float((x.double() - wanted).square().mean()), rel=1e-4)


def _by_hand(kind: str, weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    w = {name: tensor.double() for name, tensor in weights.items()}
    centred = x.double() - w["b_dec"]
    if kind == "gated":
        gate = centred @ w["W_enc"] + w["b_gate"]
        f = (centred @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]).relu() * (gate > 0)
    else:
        f = centred @ w["W_enc"] + w["b_enc"]
        if kind == "jumprelu":
            f = f * (f > w["threshold"])
        if kind == "topk":
            kept = f.topk(3, dim=1)
            f = torch.zeros_like(f).scatter(1, kept.indices, kept.values)
        f = f.nan_to_num(neginf=0.0).relu()
    return f @ w["W_dec"] + w["b_dec"]


@pytest.mark.parametrize("scaling", ["expected_average_only_in", "covariance_whitening"])
def test_scaling_that_saelens_does_not_apply_is_refused_for_activations(
    scaling: Any, whole: dict[str, Path], tmp_path: Path
) -> None:
    folder = copy_of(whole["standard"], tmp_path / "spoilt")
    for mutation in mutations("standard"):
        if mutation.kind == f"scaled by {scaling}":
            mutation.apply(folder)
    with pytest.raises(ConfigError, match=f"{folder}.*{scaling}.*fold"):
        open_sae(folder, need=Need.ACTIVATIONS)
    with pytest.raises(ConfigError, match="fold"):
        reconstruction(open_sae(folder), random_activations(5, D_IN))
