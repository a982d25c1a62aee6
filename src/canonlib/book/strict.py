"""What fails in a cell fails the notebook: magics that are none, shell commands that end badly, programs that are not there.

IPython prints a message in those cases and goes on, and nbval, which looks for errors, finds none. ``install`` makes
errors of them: in the kernel that runs the chapters, and, by way of ``canonlib.book.testing``, in those of nbval.
"""

from __future__ import annotations

import subprocess
from typing import Any

EXECUTE = "__import__('canonlib.book.strict', fromlist=['install']).install(get_ipython())"
"""Installs it in a kernel, and leaves no name behind."""


def install(shell: Any) -> None:
    """Let unknown magics, failing ``!`` commands and missing programs raise in the IPython shell ``shell``."""
    from IPython.utils.text import SList

    run = shell.system

    def system(command: str) -> None:
        run(command)
        code = shell.user_ns.get("_exit_code")
        if code:
            raise subprocess.CalledProcessError(code, command)

    def getoutput(command: str, split: bool = True, depth: int = 0) -> Any:
        done = subprocess.run(shell.var_expand(command, depth=depth + 1), shell=True, text=True, capture_output=True)
        shell.user_ns["_exit_code"] = done.returncode
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return SList(done.stdout.splitlines()) if split else done.stdout

    def show_usage_error(error: BaseException) -> None:
        shell._showtraceback(type(error), error, [f"UsageError: {error}"])

    shell.system, shell.getoutput, shell.show_usage_error = system, getoutput, show_usage_error
