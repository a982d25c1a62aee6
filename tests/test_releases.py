"""Releases come through the same door as folders: SAELens's own loading code, against a hub on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from hubserver import hub
from sae_lens.saes.transcoder import Transcoder, TranscoderConfig
from saehelpers import random_sae

# In a process of its own: huggingface_hub reads the hub's address when it is imported.
ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
from canonlib.errors import CanonlibError
from canonlib.sae import open_sae
told = {}
for name in sys.argv[1:]:
    try:
        sae = open_sae("owner/saes", name)
        told[name] = [sae.cfg.architecture(), str(sae.W_dec.dtype), float(sae.W_dec.double().sum()), sae.training]
    except CanonlibError as error:
        told[name] = [type(error).__name__, str(error)]
try:
    told["unknown release"] = open_sae("gpt2-small-res-jb-feature-splitting", "no-such-size")
except CanonlibError as error:
    told["unknown release"] = [type(error).__name__, str(error)]
print(json.dumps(told))
"""


def ask(address: str, home: Path, *names: str) -> dict[str, list]:
    """What ``open_sae`` says of SAEs of the release ``owner/saes``."""
    import os

    environment = os.environ | {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_release_is_opened_and_checked_as_a_folder_is(tmp_path: Path) -> None:
    place = tmp_path / "repos/owner/saes"
    fine, half = random_sae("jumprelu", 9, 12, dtype="float32"), random_sae("standard", 9, 12, dtype="bfloat16")
    spoilt = random_sae("standard", 9, 12, dtype="float32")
    spoilt.W_enc.data[3, 5] = torch.nan
    kinds = {"fine": fine, "half": half, "spoilt": spoilt,
             "transcoder": Transcoder(TranscoderConfig(d_in=12, d_sae=9, d_out=12, apply_b_dec_to_input=False))}  # fmt: skip
    for name, sae in kinds.items():
        sae.save_model(place / name)
    with hub(tmp_path / "repos") as address:
        told = ask(address, tmp_path / "home", *kinds, "gone")
    assert told["fine"] == ["jumprelu", "torch.float32", float(fine.W_dec.detach().double().sum()), False]
    assert told["half"] == ["standard", "torch.float32", float(half.W_dec.detach().double().sum()), False]
    assert told["spoilt"][0] == "ConfigError" and "W_enc, the first at [3, 5] (nan)" in told["spoilt"][1]
    assert "'spoilt' of owner/saes" in told["spoilt"][1]
    assert told["transcoder"][0] == "ConfigError" and "is a transcoder" in told["transcoder"][1]
    assert told["gone"][0] == "HubError" and "'gone' cannot be fetched" in told["gone"][1]
    assert told["unknown release"][0] == "ConfigError" and "no-such-size" in told["unknown release"][1]
    assert all(len(line[1].splitlines()) == 1 for line in told.values() if line[0].endswith("Error"))


def test_no_hub_is_one_line(tmp_path: Path) -> None:
    told = ask("http://127.0.0.1:9", tmp_path / "home", "fine")
    assert told["fine"][0] == "HubError" and "it takes a network, or a copy in a folder" in told["fine"][1]
