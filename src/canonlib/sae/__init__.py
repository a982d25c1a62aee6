"""Sparse autoencoders: training families of them, loading them, and the one definition of each metric."""
