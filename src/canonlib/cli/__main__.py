"""``python -m canonlib.cli`` is the ``canonlib`` command."""

from canonlib.cli import main

main()
