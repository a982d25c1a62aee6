"""Rows in shards and shuffled streams of them, against plain indexing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from canonlib.errors import ConfigError
from canonlib.rows import Rows, as_rows
from canonlib.sae.batches import Batches

WHOLE = torch.arange(200.0).reshape(100, 2)
SHARDS = [WHOLE[:30], WHOLE[30:31], WHOLE[31:]]


def test_shards_read_as_one() -> None:
    rows = Rows(SHARDS)
    assert (len(rows), rows.d_model) == (100, 2)
    wanted = torch.tensor([99, 0, 30, 29, 31, 30])
    assert torch.equal(rows.read(wanted), WHOLE[wanted])
    chosen = torch.tensor([5, 30, 31, 77])
    assert torch.equal(Rows(SHARDS, chosen=chosen).read(torch.tensor([3, 1])), WHOLE[[77, 30]])
    assert torch.equal(Rows(SHARDS, chosen=chosen).sample(10), WHOLE[chosen])
    assert torch.equal(rows.sample(10), WHOLE[::10])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_named_with_shard_and_row(bad: float) -> None:
    shards = [s.clone() for s in SHARDS]
    shards[2][4, 1] = bad
    rows = Rows(shards, ["a", "b", "train-00002"])
    assert torch.equal(rows.read(torch.arange(35)), WHOLE[:35])
    with pytest.raises(ConfigError, match=rf"train-00002, row 4, coordinate 1 is {bad}"):
        rows.read(torch.arange(100))
    with pytest.raises(ConfigError, match="train-00002, row 4"):
        Batches(rows, 100, seed=0).batch(0)


def test_bad_shapes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"different d_model \(2, 3\)"):
        Rows([WHOLE, torch.zeros(4, 3)])
    with pytest.raises(ConfigError, match="at least one row"):
        Rows([WHOLE[:0]])
    with pytest.raises(ConfigError, match=r"got shape \[2, 5, 2\]"):
        as_rows(torch.zeros(2, 5, 2))


@pytest.mark.parametrize("n", [1, 7, 16, 23, 64, 100])
@pytest.mark.parametrize("held", [4, 12, 40])
def test_a_stream_covers_every_epoch_once_and_depends_on_the_step_alone(n: int, held: int) -> None:
    """``held`` rows of 8 bytes fit the buffer, in blocks of 4."""
    rows = Rows([WHOLE[:n]])
    stream = Batches(rows, 5, seed=3, buffer_bytes=held * 8, block=4)
    taken = torch.cat([stream.batch(step) for step in range(2 * n)])[:, 0]
    for epoch in range(10):
        assert sorted(taken[epoch * n : (epoch + 1) * n].tolist()) == WHOLE[:n, 0].tolist()
    for step in (2 * n - 1, 0, n):
        again = Batches(rows, 5, seed=3, buffer_bytes=held * 8, block=4).batch(step)
        assert torch.equal(again[:, 0], taken[5 * step : 5 * step + 5])


def test_a_stream_shuffles_across_the_file_and_between_epochs_and_seeds() -> None:
    big = torch.arange(4_000.0)[:, None]
    stream = Batches(big, 400, seed=0, buffer_bytes=400 * 4, block=8)
    first = stream.batch(0)[:, 0]
    assert first.max() - first.min() > 3_000, "one buffer should reach over the whole file"
    assert (first.diff() < 0).float().mean() > 0.4, "rows of a buffer should be mixed"
    assert not torch.equal(first, stream.batch(10)[:, 0])
    assert not torch.equal(first, Batches(big, 400, seed=1, buffer_bytes=1_600, block=8).batch(0)[:, 0])


def test_no_more_than_the_buffer_is_read_at_a_time(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", WHOLE.numpy())
    mapped = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="r+"))
    reads: list[int] = []

    class Counted(Rows):
        def read(self, rows: torch.Tensor) -> torch.Tensor:
            reads.append(len(rows))
            return super().read(rows)

    stream = Batches(Counted([mapped]), 10, seed=0, buffer_bytes=20 * 8, block=4)
    for step in range(10):
        stream.batch(step)
    assert max(reads) <= 20
    assert sum(reads) == 100, "each row is read once in an epoch"
