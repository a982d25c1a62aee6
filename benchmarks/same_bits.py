"""Do two processors compute the same bits? A few steps of everything that the book computes, each as a hash.

    CANONLIB_REPRODUCIBLE=1 python benchmarks/same_bits.py > here.txt

Run it on another machine, or on this one as another processor, and compare the files (Debian: qemu-user):

    CANONLIB_REPRODUCIBLE=1 PYTHONPATH=.venv/lib/python3.11/site-packages \
        qemu-x86_64 -cpu EPYC-Rome "$(readlink -f .venv/bin/python)" benchmarks/same_bits.py > there.txt

It takes 20 seconds, and a quarter of an hour in emulation. An emulated processor has the instruction sets and the maker's
name of a real one, which is what libraries choose their kernels by; it is no proof for the real one.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from canonlib import machine

machine.settle()

import torch  # noqa: E402  (the settings come first)

from canonlib import activations, tiers  # noqa: E402
from canonlib.meta import MetaConfig, gaussian_directions, train_meta_sae  # noqa: E402
from canonlib.rows import Rows  # noqa: E402
from canonlib.sae import training  # noqa: E402
from canonlib.sae.evaluation import ce_loss, replaced_positions  # noqa: E402
from canonlib.stitch import insertion_effects  # noqa: E402
from canonlib.tiers import Family  # noqa: E402
from canonlib.world import model  # noqa: E402

DOCUMENTS, STEPS = 40, 60
SPARSITY = {"standard": 1.0, "gated": 1.0, "jumprelu": 0.03, "topk": 4, "batchtopk": 4, "matryoshka_batchtopk": 4}


def show(name: str, *tensors: torch.Tensor) -> None:
    """One line: the name, and a hash of each tensor's bytes."""
    hashes = (hashlib.sha256(t.detach().contiguous().numpy().tobytes()).hexdigest()[:12] for t in tensors)
    print(f"{name:24}", *hashes, flush=True)


def trained(architecture: str, rows: Rows) -> Any:
    """An SAE of 64 latents after ``STEPS`` steps."""
    family = Family(architecture, "all", (64,), (SPARSITY[architecture],), steps=STEPS, batch=256, lr=1e-3)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        return training.train(family, 64, rows, seed=0, out=Path(folder))


def main() -> None:
    """All lines; what computed goes to standard error."""
    torch.set_num_threads(1)
    print(machine.in_words(machine.this_machine()), file=sys.stderr)
    lm, tier = model.load(), tiers.get("world")
    documents = activations.documents(tier, "eval")[:DOCUMENTS]
    x = activations.residual_stream(lm, documents, tier.hook)[:, 1:].flatten(0, 1).float()
    show("residual stream", x)
    show("log-probabilities", lm(documents[:4]).log_softmax(-1))
    rows, saes = Rows([x]), {}
    for architecture in SPARSITY:
        saes[architecture] = sae = trained(architecture, rows)
        show(f"SAE {architecture}", sae.W_dec, sae.W_enc)
    directions = saes["batchtopk"].W_dec.detach()
    show("meta-SAE", train_meta_sae(directions, MetaConfig(16, steps=STEPS), progress=False).sae.W_dec)
    show("Gaussian directions", gaussian_directions(directions, seed=0))
    show("insertion effects", insertion_effects(saes["standard"], saes["gated"], x).delta_mse)
    where = replaced_positions(documents[:8], "all")
    show("loss with an SAE", torch.tensor(ce_loss(lm, documents[:8], tier.hook, where, saes["standard"])))


if __name__ == "__main__":
    main()
