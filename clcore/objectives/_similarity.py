"""Similarities that set functions add up: inner products, cosines and a radial kernel.

None is ever negative, for functions that are submodular only then: an inner product is lifted by
the largest squared length where features have signs, and a cosine is (1 + cos) / 2.
"""

from __future__ import annotations

import abc
import math
from typing import Literal, get_args

import torch
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry import as_matrix, normalised
from clcore.geometry.gathering import gathered
from clcore.geometry.kernels import Kernel, KernelName, check_positive, coverage_kernel
from clcore.pool import Pool

SimilarityName = Literal["dot", "cosine", "rbf"]

BLOCK = 2**19
"""Similarities looked at together: about what the second-level cache holds."""


class Similarity(abc.ABC):
    """The similarity of every two rows, which are never all held at once.

    Args:
        vectors: `[n, d]`.

    Attributes:
        vectors: `[n, d]`.
        diagonal: `[n]`: the similarity of each row to itself.
        bandwidth: σ of a kernel, None for inner products.
        evaluations: Similarities computed so far.
    """

    diagonal: Tensor
    bandwidth: float | None = None

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        self.evaluations = 0

    def __len__(self) -> int:
        return len(self.vectors)

    @abc.abstractmethod
    def between(self, rows: Tensor, others: Tensor | None = None) -> Tensor:
        """Compute the similarities of some rows to some others.

        Args:
            rows: int64 `[m]`.
            others: int64 `[p]`; None for all rows.

        Returns:
            `[m, p]`, none negative.
        """

    def sums(self, weights: Tensor | None) -> Tensor:
        """Add up each row's similarities to all rows, block by block.

        Args:
            weights: `[n]`, or None for ones.

        Returns:
            float64 `[n]`.
        """
        every = torch.arange(len(self), device=self.vectors.device)

        def sums(rows: Tensor) -> Tensor:
            block = self.between(rows)
            block = block if weights is None else block * weights.to(block.dtype)
            return block.sum(dim=1, dtype=torch.float64)

        return gathered(self.blocks(every), sums, len(self), device=self.vectors.device)

    def blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Cut rows into blocks whose similarities to all rows are held together."""
        size = max(16, BLOCK // max(1, len(self)))
        return tuple(rows[start : start + size] for start in range(0, len(rows), size))


class InnerProducts(Similarity):
    """scale ⟨x, y⟩ + lift.

    Args:
        vectors: `[n, d]`.
        scale: Positive.
        lift: What is added so that nothing is negative.
    """

    def __init__(self, vectors: Tensor, scale: float, lift: float) -> None:
        super().__init__(vectors)
        self.scale, self.lift = scale, lift
        self.diagonal = scale * vectors.square().sum(dim=1) + lift

    def between(self, rows: Tensor, others: Tensor | None = None) -> Tensor:
        """Compute the similarities of some rows to some others: `[m, p]`."""
        right = self.vectors if others is None else self.vectors[others]
        self.evaluations += len(rows) * len(right)
        products = self.vectors[rows] @ right.t()
        return products.mul_(self.scale).add_(self.lift).clamp_min_(0)

    def sums(self, weights: Tensor | None) -> Tensor:
        """Add up each row's similarities to all rows, by way of the sum of all: `[n]`."""
        total = self.total(weights)
        mass = float(len(self)) if weights is None else float(weights.sum(dtype=torch.float64))
        self.evaluations += len(self)
        return self.scale * self.along(total) + self.lift * mass

    def total(self, weights: Tensor | None) -> Tensor:
        """Return the weighted sum of all rows: float64 `[d]`."""
        if weights is None:
            return self.vectors.sum(dim=0, dtype=torch.float64)
        total = torch.zeros(self.vectors.shape[1], dtype=torch.float64, device=weights.device)
        for rows, own in zip(
            torch.split(self.vectors, 2**16), torch.split(weights, 2**16), strict=True
        ):
            total += own.to(torch.float64) @ rows.to(torch.float64)
        return total

    def along(self, direction: Tensor, rows: Tensor | None = None) -> Tensor:
        """Compute inner products with one vector.

        Args:
            direction: float64 `[d]`.
            rows: int64 `[m]`; None for all.

        Returns:
            float64 `[m]`.
        """
        return products_along(self.vectors, direction, rows)


class Radial(Similarity):
    """A kernel of the Euclidean distance.

    Args:
        vectors: `[n, d]`.
        kernel: κ, a function of the squared distance.
        bandwidth: Its σ.
    """

    def __init__(self, vectors: Tensor, kernel: Kernel, bandwidth: float) -> None:
        # Centred, because the expansion of a distance loses what the lengths have in common.
        super().__init__(_centred(vectors))
        self.kernel, self.bandwidth = kernel, bandwidth
        self.squares = self.vectors.square().sum(dim=1)
        self.diagonal = torch.full_like(self.squares, kernel.top)

    def between(self, rows: Tensor, others: Tensor | None = None) -> Tensor:
        """Compute the similarities of some rows to some others: `[m, p]`."""
        right = self.vectors if others is None else self.vectors[others]
        squares = self.squares if others is None else self.squares[others]
        self.evaluations += len(rows) * len(right)
        squared = torch.addmm(squares, self.vectors[rows], right.t(), alpha=-2.0)
        return self.kernel.of(squared.add_(self.squares[rows].unsqueeze(1)).clamp_min_(0))


def products_along(vectors: Tensor, direction: Tensor, rows: Tensor | None = None) -> Tensor:
    """Compute the inner products of some rows with one vector.

    Args:
        vectors: `[n, d]`.
        direction: `[d]`.
        rows: int64 `[m]`; None for all.

    Returns:
        float64 `[m]`.
    """
    along = direction.to(vectors.dtype)
    if rows is None:
        return (vectors @ along).to(torch.float64)
    if 4 * len(rows) >= len(vectors):  # copying the rows would take longer than the products
        return (vectors @ along)[rows].to(torch.float64)
    return (vectors[rows] @ along).to(torch.float64)


def make_similarity(pool: Pool, similarity: SimilarityName, bandwidth: float | None) -> Similarity:
    """Make a named similarity of a pool's features.

    Args:
        pool: Has the signal `features`.
        similarity: `"dot"`, `"cosine"` or `"rbf"`, exp(−d²/σ²).
        bandwidth: σ; None for the root mean squared distance of two rows. For `"rbf"` alone.

    Returns:
        The similarity.

    Raises:
        ArgumentError: If there is no such similarity, or a bandwidth is not a positive number.
    """
    if similarity not in get_args(SimilarityName):
        allowed = ", ".join(repr(name) for name in get_args(SimilarityName))
        raise ArgumentError(f"similarity must be one of {allowed}, not {similarity!r}")
    matrix = as_matrix(pool.signal("features"))
    if similarity == "rbf":
        return make_radial(matrix, "rbf", bandwidth)
    if bandwidth is not None:
        raise ArgumentError(f"bandwidth is for the similarity 'rbf', not {similarity!r}")
    if similarity == "cosine":
        return InnerProducts(normalised(matrix), 0.5, 0.5)
    signed = len(matrix) > 0 and bool((matrix < 0).any())
    return InnerProducts(matrix, 1.0, float(matrix.square().sum(dim=1).max()) if signed else 0.0)


def make_radial(matrix: Tensor, kernel: KernelName, bandwidth: float | None) -> Radial:
    """Make a kernel over the rows of a matrix.

    Args:
        matrix: `[n, d]`.
        kernel: A name of `clcore.geometry.kernels`.
        bandwidth: σ; None for the root mean squared distance of two rows.

    Returns:
        The similarity.

    Raises:
        ArgumentError: If there is no such kernel, or the bandwidth is not a positive number.
    """
    if bandwidth is None:
        bandwidth = typical_distance(matrix)
    check_positive("bandwidth", bandwidth)
    return Radial(matrix, coverage_kernel(kernel, bandwidth), bandwidth)


def typical_distance(matrix: Tensor) -> float:
    """Return the root mean squared distance of two rows; 1 where all rows are equal.

    It is √2 times the root mean squared distance to the mean, so no pair is looked at.
    """
    if len(matrix) == 0:
        return 1.0
    spread = float(_centred(matrix).square().sum(dim=1).mean(dtype=torch.float64))
    return math.sqrt(2 * spread) or 1.0


def _centred(matrix: Tensor) -> Tensor:
    if len(matrix) == 0:
        return matrix
    return matrix - matrix.mean(dim=0, dtype=torch.float64).to(matrix.dtype)
