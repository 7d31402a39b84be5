"""Per-sample gradients of one parameter, kept as factors and never multiplied out needlessly.

A linear layer called on T tokens a sample has the gradient G_i = Σ_t δ_it a_itᵀ, with a the input
and δ the gradient of the sample's loss for the output. So

    ⟨G_i, G_j⟩ = Σ_t Σ_s (δ_it · δ_js)(a_it · a_js),

which for T = 1 is a product of two small Gram matrices. A convolution is the same with its input
unfolded into patches. Where T is large, multiplying the gradient out costs less; the cheaper of the
two is taken. Small parameters (biases, the scales of normalisation) are simply rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

BLOCK = 2**24
"""Elements of a temporary that is worked on at a time."""


class Factor(Protocol):
    """The gradients of n samples for one parameter."""

    def products(self, other: Factor) -> Tensor:
        """Inner products `[n, m]` with the gradients of m samples for the same parameter."""

    def squares(self) -> Tensor:
        """Squared lengths `[n]`."""

    def along(self, direction: Tensor) -> Tensor:
        """Inner products `[n]` with one gradient, of the parameter's shape."""

    def blocks(self) -> Iterator[Tensor]:
        """The gradients multiplied out `[n, ...]`, some coordinates at a time, in order."""

    def joined(self, other: Factor) -> Factor:
        """The sum of both gradients: the parameter was used twice."""

    @property
    def bytes(self) -> int:
        """What is held in memory."""


Kind = TypeVar("Kind", bound=Factor)


@dataclass(frozen=True)
class Explicit:
    """Gradients multiplied out.

    Attributes:
        values: `[n, p]`.
    """

    values: Tensor

    def products(self, other: Factor) -> Tensor:
        """See `Factor`."""
        return self.values @ same_kind(self, other).values.T

    def squares(self) -> Tensor:
        """See `Factor`."""
        return self.values.square().sum(dim=1)

    def along(self, direction: Tensor) -> Tensor:
        """See `Factor`."""
        return self.values @ direction.reshape(-1)

    def blocks(self) -> Iterator[Tensor]:
        """See `Factor`."""
        yield self.values

    def joined(self, other: Factor) -> Factor:
        """See `Factor`."""
        return Explicit(self.values + same_kind(self, other).values)

    @property
    def bytes(self) -> int:
        """See `Factor`."""
        return self.values.nbytes


def row_chunks(rows: int, elements: int) -> Iterator[slice]:
    """Split rows so that a temporary of so many elements a row stays small.

    Args:
        rows: How many there are.
        elements: Elements of the temporary a row.

    Yields:
        Slices; at least one, also of no rows.
    """
    step = max(1, BLOCK // max(1, elements))
    for start in range(0, max(rows, 1), step):
        yield slice(start, min(start + step, rows))


def same_kind(mine: Kind, other: Factor) -> Kind:
    """Refuse factors of different kinds, which are of different parameters."""
    if not isinstance(other, type(mine)):
        raise TypeError(f"a {type(mine).__name__} meets a {type(other).__name__}")
    return other
