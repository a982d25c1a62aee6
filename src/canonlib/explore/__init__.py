"""What is in there? An explorer of latents and meta-latents: one static page that needs neither server nor network.

>>> from canonlib.explore import Subject, write_explorer
"""

from __future__ import annotations

from canonlib.explore.site import Site, write_explorer
from canonlib.explore.subject import Fit, Smaller, Subject, Texts, Truth

__all__ = ["Fit", "Site", "Smaller", "Subject", "Texts", "Truth", "write_explorer"]
