"""Gradients of a weight as sums of outer products, one for each token and call; see `factors`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.probe.factors import BLOCK, Factor, row_chunks, same_kind

Rows = slice
Patches = Callable[[Rows], Tensor]


@dataclass(frozen=True)
class Call:
    """One use of a weight: for each sample a sum of outer products.

    Attributes:
        left: Gives `[rows, T, groups, o]` for some rows.
        right: Gives `[rows, T, groups, d]` for some rows.
        tokens: T.
        bytes: What both hold in memory.
    """

    left: Patches
    right: Patches
    tokens: int
    bytes: int


@dataclass(frozen=True)
class Outer:
    """Gradients of a weight `[groups, o, d]`, as sums of outer products over tokens and calls.

    Attributes:
        calls: The uses of the weight.
        rows: n.
        shape: `(groups, o, d)`.
    """

    calls: tuple[Call, ...]
    rows: int
    shape: tuple[int, int, int]

    @property
    def tokens(self) -> int:
        """Outer products a sample."""
        return sum(call.tokens for call in self.calls)

    @property
    def bytes(self) -> int:
        """See `Factor`."""
        return sum(call.bytes for call in self.calls)

    @property
    def single(self) -> bool:
        """Whether each gradient is one outer product."""
        return self.tokens == 1 and self.shape[0] == 1

    def left(self, rows: Rows) -> Tensor:
        """Return `[rows, T, groups, o]`."""
        return _joined([call.left(rows) for call in self.calls])

    def right(self, rows: Rows) -> Tensor:
        """Return `[rows, T, groups, d]`."""
        return _joined([call.right(rows) for call in self.calls])

    def products(self, other: Factor) -> Tensor:
        """See `Factor`."""
        other = same_kind(self, other)
        _, o, d = self.shape
        every = slice(None)
        dtype, device = self._kind()
        if self.single and other.single:
            lefts = self.left(every).flatten(1) @ other.left(every).flatten(1).T
            return lefts.mul_(self.right(every).flatten(1) @ other.right(every).flatten(1).T)
        if self.tokens * other.tokens * (o + d) < o * d:
            return self._token_products(other)
        result = torch.zeros(self.rows, other.rows, dtype=dtype, device=device)
        for span in self._spans(max(self.rows, other.rows)):
            mine = self._block(span)
            result += mine @ (mine if other is self else other._block(span)).T
        return result

    def squares(self) -> Tensor:
        """See `Factor`."""
        groups, o, d = self.shape
        cheap = self.tokens * (o + d) < o * d
        parts = []
        for rows in self._row_chunks(self.tokens * groups * max(self.tokens, o, d)):
            left, right = self.left(rows), self.right(rows)
            if self.single:
                parts.append(left.square().sum((1, 2, 3)) * right.square().sum((1, 2, 3)))
            elif cheap:
                lefts = torch.einsum("ntgo,nsgo->ngts", left, left)
                lefts.mul_(torch.einsum("ntgd,nsgd->ngts", right, right))
                parts.append(lefts.sum((1, 2, 3)))
            else:
                parts.append(_multiplied(left, right).square().sum((1, 2, 3)))
        return torch.cat(parts)

    def along(self, direction: Tensor) -> Tensor:
        """See `Factor`."""
        groups, o, d = self.shape
        weight = direction.reshape(self.shape)
        parts = [
            torch.einsum("ntgd,god->ntgo", self.right(rows), weight).mul_(self.left(rows))
            for rows in self._row_chunks(self.tokens * groups * (o + d))
        ]
        return torch.cat([part.sum((1, 2, 3)) for part in parts])

    def blocks(self) -> Iterator[Tensor]:
        """See `Factor`; the coordinates run over o, then groups, then d."""
        for span in self._spans(self.rows):
            yield self._block(span)

    def joined(self, other: Factor) -> Factor:
        """See `Factor`."""
        if not isinstance(other, Outer):
            # An embedding that shares the weight: it knows how to become outer products.
            return other.joined(self)
        return Outer((*self.calls, *other.calls), self.rows, self.shape)

    def _token_products(self, other: Outer) -> Tensor:
        theirs, right = other.left(slice(None)), other.right(slice(None))
        parts = []
        for rows in self._row_chunks(self.tokens * other.rows * other.tokens):
            mine, inputs = self.left(rows), self.right(rows)
            total = torch.zeros(len(mine), other.rows, dtype=mine.dtype, device=mine.device)
            for group in range(self.shape[0]):
                pairs = _tokens(mine, group) @ _tokens(theirs, group).T
                pairs.mul_(_tokens(inputs, group) @ _tokens(right, group).T)
                shape = (len(mine), self.tokens, other.rows, other.tokens)
                total += pairs.view(shape).sum((1, 3))
            parts.append(total)
        return torch.cat(parts)

    def _spans(self, rows: int) -> Iterator[slice]:
        """Split o so that the gradients of so many rows, multiplied out, stay small."""
        groups, o, d = self.shape
        # The patches are unfolded once a span: a few outputs at least must make up for it.
        step = max(16, BLOCK // max(1, rows * groups * d))
        return (slice(start, min(start + step, o)) for start in range(0, o, step))

    def _block(self, span: slice) -> Tensor:
        groups, _, d = self.shape
        size = self.tokens * groups * d + (span.stop - span.start) * groups * d
        parts = [
            _multiplied(self.left(rows)[..., span], self.right(rows)).flatten(1)
            for rows in self._row_chunks(size)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _kind(self) -> tuple[torch.dtype, torch.device]:
        none = self.left(slice(0, 0))
        return none.dtype, none.device

    def _row_chunks(self, elements: int) -> Iterator[slice]:
        return row_chunks(self.rows, elements)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _multiplied(left: Tensor, right: Tensor) -> Tensor:
    """Sum outer products over tokens: `[n, T, g, o]` and `[n, T, g, d]` to `[n, o, g, d]`."""
    return torch.einsum("ntgo,ntgd->nogd", left, right)


def _tokens(values: Tensor, group: int) -> Tensor:
    return values[:, :, group].flatten(0, 1)
