"""What fails in a cell fails the notebook: magics that are none, shell commands that end badly, missing programs.

IPython prints a message in those cases and goes on, and nbval, which looks for errors, finds none. ``install`` makes
errors of them: in the kernel that runs the chapters, and, by way of ``canonlib.book.testing``, in those of nbval.
"""

from __future__ import annotations

import subprocess
from typing import Any

EXECUTE = "__import__('canonlib.book.strict', fromlist=['install']).install(get_ipython())"
"""Installs it in a kernel, and leaves no name behind."""


def install(shell: Any) -> None:
    """Let unknown magics, failing ``!`` commands and missing programs raise in the IPython shell ``shell``.

    Commands whose output is kept (``x = !command``) raise from IPython 9 on, which has a switch for it.
    """

    def show_usage_error(error: BaseException) -> None:
        shell._showtraceback(type(error), error, [f"UsageError: {error}"])

    shell.show_usage_error = show_usage_error
    if hasattr(shell, "system_raise_on_error"):
        shell.system_raise_on_error = True
        return
    run = shell.system

    def system(command: str) -> None:
        run(shell.var_expand(command, depth=1))
        if code := shell.user_ns.get("_exit_code"):
            raise subprocess.CalledProcessError(code, command)

    shell.system = system
