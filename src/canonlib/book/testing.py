"""A plugin of pytest (``-p canonlib.book.testing``, in ``pyproject.toml``): notebooks that nbval runs are strict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from canonlib.book.strict import EXECUTE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Iterator[None]:
    """Install it in the kernel of a notebook before its first cell is tested."""
    notebook = item.parent
    if type(item).__name__ == "IPyNbCell" and not getattr(notebook, "canonlib_strict", False):
        notebook.canonlib_strict = True
        kernel = notebook.kernel
        kernel.await_reply(kernel.execute_cell_input(EXECUTE, allow_stdin=False), timeout=60)
    return (yield)
