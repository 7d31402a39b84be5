"""Seeds made of a seed and a place, within what every generator reads."""

from __future__ import annotations


def mixed_seed(seed: int, place: int) -> int:
    """Mix a seed and a place into a seed that every generator takes.

    Args:
        seed: At least 0.
        place: At least 0: of a batch, a draw or a block.

    Returns:
        An integer of 32 bits; a CPU generator of torch reads no more.
    """
    return (seed * 1_000_003 + place) % 2**32
