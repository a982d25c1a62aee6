"""What a reader waits for who opens one chapter and has nothing yet: seconds of each chapter from an empty store.

    python benchmarks/cold_chapters.py            # all chapters, some half an hour on two cores
    python benchmarks/cold_chapters.py 3 intro    # some of them

That is how a chapter runs in Colab or on Binder. Each runs alone, in a folder and a store of its own, in a kernel with
this environment; the same chapter is then run again with the store that it has filled. Memory is the most that the
kernel has held, without the processes that train SAEs beside it. One JSON file goes to src/canonlib/book/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import torch
from nbclient import NotebookClient
from train_report import RESULTS, write_result

from canonlib.book.kernel import own_kernel, peak_memory
from canonlib.book.runner import find_chapters, repository_root

CHAPTERS = ("1", "2", "3", "4", "5", "6", "7", "intro")


def run(source: Path, store: Path) -> dict[str, Any]:
    """Seconds and memory of one chapter."""
    notebook = jupytext.read(source)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CANONLIB_STORE"] = str(store)
        began = time.perf_counter()
        with own_kernel(Path(scratch), threads=None) as kernel:
            NotebookClient(
                notebook, timeout=3600, kernel_name=kernel, resources={"metadata": {"path": scratch}}
            ).execute()
        return {"seconds": round(time.perf_counter() - began, 1), "memory_mib": peak_memory(Path(scratch))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", default=CHAPTERS, help="number or name (default: all)")
    args = parser.parse_args()
    results = RESULTS / "cold-chapters.json"
    # Chapters that are not asked for keep what was measured of them.
    found = json.loads(results.read_text())["chapters"] if results.is_file() else {}
    for source in find_chapters(repository_root(), args.chapters):
        with tempfile.TemporaryDirectory() as folder:
            found[source.stem] = {name: run(source, Path(folder)) for name in ("empty", "filled")}
        print(source.stem, found[source.stem], file=sys.stderr, flush=True)
    write_result("cold-chapters", "cold-chapters", torch.get_num_threads(), {"chapters": dict(sorted(found.items()))})


if __name__ == "__main__":
    main()
