"""A tier's whole line: from the world's model to the claims."""

from canonlib.pipeline.run import Run, Stage

__all__ = ["Run", "Stage"]
