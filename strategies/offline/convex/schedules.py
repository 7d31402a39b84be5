"""Step sizes by epoch: constant, k-inverse, exponential.

Source: the schedules of the CRAIG experiments (Mirzasoleiman, Bilmes & Leskovec, ICML 2020).

Formula: with k = 0, 1, … the number of the epoch, η = α, η = α / (1 + b k) and η = α bᵏ. A whole
epoch has one step size; a coreset's epoch is shorter, so a schedule tuned for all data is not the
right one for a coreset, nor the other way round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from clcore.errors import ArgumentError


class Schedule(Protocol):
    """Anything that gives a step size for an epoch."""

    def __call__(self, epoch: int) -> float:
        """Return η of epoch 0, 1, …."""
        ...


@dataclass(frozen=True)
class Constant:
    """η = α.

    Args:
        alpha: α, above 0.
    """

    alpha: float

    def __post_init__(self) -> None:
        check_rate("alpha", self.alpha)

    def __call__(self, epoch: int) -> float:
        """Return α."""
        return self.alpha


@dataclass(frozen=True)
class KInverse:
    """η = α / (1 + b k).

    Args:
        alpha: α, above 0.
        b: At least 0.
    """

    alpha: float
    b: float

    def __post_init__(self) -> None:
        check_rate("alpha", self.alpha)
        if not (math.isfinite(self.b) and self.b >= 0):
            raise ArgumentError(f"b must be a finite number of at least 0, not {self.b!r}")

    def __call__(self, epoch: int) -> float:
        """Return α / (1 + b · epoch)."""
        return self.alpha / (1 + self.b * epoch)


@dataclass(frozen=True)
class Exponential:
    """η = α bᵏ.

    Args:
        alpha: α, above 0.
        b: Above 0, at most 1.
    """

    alpha: float
    b: float

    def __post_init__(self) -> None:
        check_rate("alpha", self.alpha)
        if not 0 < self.b <= 1:
            raise ArgumentError(f"b must be above 0 and at most 1, not {self.b!r}")

    def __call__(self, epoch: int) -> float:
        """Return α · b ** epoch."""
        return self.alpha * self.b**epoch


def check_rate(name: str, value: float) -> None:
    """Refuse a step size that is not a finite number above 0.

    Raises:
        ArgumentError: If it is not.
    """
    if isinstance(value, bool) or not (math.isfinite(value) and value > 0):
        raise ArgumentError(f"{name} must be a finite number above 0, not {value!r}")
