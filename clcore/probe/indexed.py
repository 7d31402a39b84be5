"""Gradients of an embedding: few of its rows a sample, never all of them; see `factors`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from clcore.probe.factors import Factor, row_chunks, same_kind
from clcore.probe.outer import Call, Outer, Rows


@dataclass(frozen=True)
class Indexed:
    """Gradients of an embedding: each token adds its output's gradient to one row.

    Attributes:
        indices: int64 `[n, T]`.
        deltas: `[n, T, d]`, zero for tokens that train nothing.
        vocabulary: Rows of the embedding.
    """

    indices: Tensor
    deltas: Tensor
    vocabulary: int

    @property
    def bytes(self) -> int:
        """See `Factor`."""
        return self.indices.nbytes + self.deltas.nbytes

    def products(self, other: Factor) -> Tensor:
        """See `Factor`."""
        other = same_kind(self, other)
        n, tokens = self.indices.shape
        both = torch.cat([self.indices.flatten(), other.indices.flatten()])
        used, places = torch.unique(both, return_inverse=True)
        if len(used) <= tokens * other.indices.shape[1]:
            mine = _summed(places[: n * tokens].view(n, -1), self.deltas, len(used))
            if other is self:
                return mine @ mine.T
            their_places = places[n * tokens :].view(other.indices.shape)
            return mine @ _summed(their_places, other.deltas, len(used)).T
        parts = []
        deltas, indices = other.deltas.flatten(0, 1), other.indices.reshape(1, -1)
        for rows in row_chunks(n, tokens * len(deltas)):
            pairs = self.deltas[rows].flatten(0, 1) @ deltas.T
            pairs.mul_(self.indices[rows].reshape(-1, 1) == indices)
            parts.append(pairs.view(-1, tokens, *other.indices.shape).sum((1, 3)))
        return torch.cat(parts)

    def squares(self) -> Tensor:
        """See `Factor`."""
        n, tokens = self.indices.shape
        parts = []
        for rows in row_chunks(n, tokens * tokens):
            pairs = self.deltas[rows] @ self.deltas[rows].mT
            same = self.indices[rows].unsqueeze(1) == self.indices[rows].unsqueeze(2)
            parts.append(pairs.mul_(same).sum((1, 2)))
        return torch.cat(parts)

    def along(self, direction: Tensor) -> Tensor:
        """See `Factor`."""
        return (functional.embedding(self.indices, direction) * self.deltas).sum((1, 2))

    def blocks(self) -> Iterator[Tensor]:
        """See `Factor`."""
        return self.outer().blocks()

    def joined(self, other: Factor) -> Factor:
        """See `Factor`."""
        if isinstance(other, Outer):
            return self.outer().joined(other)
        other = same_kind(self, other)
        return Indexed(
            torch.cat([self.indices, other.indices], 1),
            torch.cat([self.deltas, other.deltas], 1),
            self.vocabulary,
        )

    def outer(self) -> Outer:
        """The same gradients with the rows as one-hot columns."""
        n, tokens, width = self.deltas.shape

        def left(rows: Rows) -> Tensor:
            hot = functional.one_hot(self.indices[rows], self.vocabulary)
            return hot.to(self.deltas.dtype).unsqueeze(2)

        call = Call(left, lambda rows: self.deltas[rows].unsqueeze(2), tokens, self.bytes)
        return Outer((call,), n, (1, self.vocabulary, width))


def _summed(places: Tensor, deltas: Tensor, size: int) -> Tensor:
    """Add up deltas by place: `[n, T]` and `[n, T, d]` to `[n, size · d]`."""
    n, _, width = deltas.shape
    total = torch.zeros(n, size, width, dtype=deltas.dtype, device=deltas.device)
    return total.scatter_add_(1, places.unsqueeze(2).expand_as(deltas), deltas).flatten(1)
