"""The hot kernels: blocked distances, nearest neighbours, farthest-first."""

from clcore.geometry.matrix import as_matrix, normalised

__all__ = ["as_matrix", "normalised"]
