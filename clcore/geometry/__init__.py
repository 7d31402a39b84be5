"""The hot kernels: blocked distances, nearest neighbours, farthest-first."""

from clcore.geometry.farthest import Traversal, farthest_first
from clcore.geometry.matrix import as_matrix, normalised
from clcore.geometry.points import Points
from clcore.geometry.seeding import Seeding, seed_by_distance
from clcore.geometry.threads import step_loop

__all__ = [
    "Points",
    "Seeding",
    "Traversal",
    "as_matrix",
    "farthest_first",
    "normalised",
    "seed_by_distance",
    "step_loop",
]
