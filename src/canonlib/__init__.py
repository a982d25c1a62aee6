"""canonlib: are sparse-autoencoder latents canonical units of analysis?

Importing this package is cheap; heavy libraries are imported by the rooms that need them.
"""

__version__ = "0.1.0"
