"""Seeds of unrelated streams, made of one seed and a number."""

from __future__ import annotations

_GOLDEN = 0x9E3779B97F4A7C15


def mixed_seed(seed: int, number: int) -> int:
    """Make one seed of two numbers, so that near ones give unrelated streams (splitmix64).

    Args:
        seed: Of a run.
        number: Of the stream in it.

    Returns:
        A number from 0 to below 2⁶³.
    """
    mixed = (seed * _GOLDEN + (number + 1) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (mixed ^ (mixed >> 31)) >> 1
