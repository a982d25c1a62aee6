"""Nothing that is no number is stored: NaN in a tensor means that what made it went wrong."""

from __future__ import annotations

from pathlib import Path

from canonlib.errors import StoreError

MAY_BE_INFINITE = ("threshold", "log_threshold", "b_enc", "b_gate", "b_mag")
"""Tensors of an SAE in which an infinity says that a latent never fires, or always does."""
_ROWS = 1 << 22
"""Numbers that are looked at at a time."""


def require_numbers(path: Path, what: str) -> None:
    """Raise ``StoreError`` when a safetensors file holds a NaN, or an infinity outside of ``MAY_BE_INFINITE``.

    ``what`` begins the message, which names the tensor, how many there are, and the first one's place. A file that is no
    safetensors raises it too.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (the file is no mapping)
                tensor = file.get_tensor(name)
                if not tensor.dtype.is_floating_point:
                    continue
                legal = name.rpartition(".")[2] in MAY_BE_INFINITE
                flat, count, first = tensor.reshape(-1), 0, -1
                for start in range(0, len(flat), _ROWS):
                    block = flat[start : start + _ROWS]
                    bad = torch.isnan(block) if legal else ~torch.isfinite(block)
                    if bad.any():
                        first = start + int(bad.nonzero()[0, 0]) if first < 0 else first
                        count += int(bad.sum())
                if count:
                    place = [int(i) for i in torch.unravel_index(torch.tensor(first), tensor.shape)]
                    raise StoreError(
                        f"{what}, in which {name!r} holds {count:,} values that are no number, the first at {place}: "
                        "nothing is stored. A training that diverges wants a lower learning rate."
                    )
    except SafetensorError as exc:
        raise StoreError(f"{what}, which is no safetensors file ({exc}): nothing is stored.") from exc
