"""The gradients of some of a batch's samples, or of groups of them, out of the batch's factors.

The gradient of a sum of samples' losses is again a sum of outer products, over the tokens of all of
them; so a group is a factor with more tokens, and every product with it stays one with factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from clcore.probe.factors import Explicit, Factor
from clcore.probe.indexed import Indexed
from clcore.probe.outer import Call, Outer, Patches, Rows

_Run = tuple[int, int, int]
"""First sample, number of groups, samples a group."""
_Plain = tuple[Tensor, Tensor, int]
"""Output gradients `[n, o]`, inputs `[n, d]`, 1 if there is a bias."""


class GroupProducts(NamedTuple):
    """Inner products of single gradients with the mean gradients of groups.

    Attributes:
        products: `[m, r]`: of each of m samples with the mean of each of r groups.
        squares: `[m]`: squared lengths of the samples' gradients.
        group_squares: `[r]`: squared lengths of the groups' mean gradients.
        mean_square: `[]`: squared length of the mean gradient of the m samples.
    """

    products: Tensor
    squares: Tensor
    group_squares: Tensor
    mean_square: Tensor

    def cosines(self) -> tuple[Tensor, Tensor]:
        """Return the cosines `[m, r]` of the samples, and `[r]` of their mean, with the groups.

        A cosine with an all-zero gradient is 0.
        """
        parts = (self.squares, self.group_squares, self.mean_square.view(1))
        lengths = reciprocal_lengths(torch.cat(parts))
        singles, groups, mean = torch.split(lengths, [len(part) for part in parts])
        scaled = self.products * groups
        of_mean = scaled.mean(0).mul_(mean)
        return scaled.mul_(singles.unsqueeze(1)).clamp_(-1, 1), of_mean.clamp_(-1, 1)


def reciprocal_lengths(squares: Tensor) -> Tensor:
    """Return 1/√s, and 0 where s is 0 (or, by rounding, below)."""
    return torch.where(squares > 0, squares.rsqrt(), 0.0)


def grouped(factor: Factor, first: int, groups: int, size: int) -> Factor:
    """Sum gradients over consecutive samples.

    Args:
        factor: Gradients of a batch.
        first: The first sample that counts.
        groups: r.
        size: Samples a group.

    Returns:
        The gradients of r groups.
    """
    rows = slice(first, first + groups * size)
    if isinstance(factor, Outer):
        calls = tuple(_call(call, first, groups, size) for call in factor.calls)
        return Outer(calls, groups, factor.shape)
    if isinstance(factor, Indexed):
        indices = factor.indices[rows].reshape(groups, -1)
        deltas = factor.deltas[rows].reshape(*indices.shape, -1)
        return Indexed(indices, deltas, factor.vocabulary)
    if not isinstance(factor, Explicit):
        raise TypeError(f"a {type(factor).__name__} can't be grouped")
    values = factor.values[rows]
    return Explicit(values if size == 1 else values.view(groups, size, -1).sum(1))


def _call(call: Call, first: int, groups: int, size: int) -> Call:
    def side(patches: Patches) -> Patches:
        def read(wanted: Rows) -> Tensor:
            start, stop, _ = wanted.indices(groups)
            values = patches(slice(first + start * size, first + max(start, stop) * size))
            return values.reshape(max(start, stop) - start, size * call.tokens, *values.shape[2:])

        return read

    share = call.bytes // max(1, groups * size)
    return Call(side(call.left), side(call.right), size * call.tokens, share * groups * size)


def with_groups(factors: list[Factor], singles: int, sizes: list[int]) -> GroupProducts:
    """Multiply the gradients of single samples with those of groups.

    Args:
        factors: Of a batch: the single samples first, then the groups one after the other.
        singles: m.
        sizes: Samples of each group; equal ones that follow each other are worked on together.

    Returns:
        Products of the samples' gradients with the groups' means, and the lengths.
    """
    runs = _runs(sizes, singles)
    plain, others = _plain_layers(factors)
    parts = [_plain_products(plain, singles, runs)] if plain else []
    parts += [_products(factor, singles, runs) for factor in others]
    products, squares, group_squares, mean_square = map(_total, zip(*parts, strict=True))
    counts: Tensor | int = runs[0][2]
    if len(runs) > 1:
        counts = torch.tensor(sizes, dtype=products.dtype, device=products.device)
    return GroupProducts(
        products / counts, squares, group_squares / counts**2, mean_square / singles**2
    )


def _products(factor: Factor, singles: int, runs: list[_Run]) -> GroupProducts:
    """Products with the sums over groups, for any layer."""
    mine = grouped(factor, 0, singles, 1)
    groups = [grouped(factor, *run) for run in runs]
    return GroupProducts(
        torch.cat([mine.products(group) for group in groups], 1),
        mine.squares(),
        torch.cat([group.squares() for group in groups]),
        grouped(factor, 0, 1, singles).squares().squeeze(0),
    )


def _plain_products(layers: list[_Plain], singles: int, runs: list[_Run]) -> GroupProducts:
    """The same for layers of which each gradient is one outer product, in fewer operations."""
    # One product of two matrices serves the samples among themselves and with all groups.
    mine = [(left[:singles], right[:singles], bias) for left, right, bias in layers]
    every = _summed(mine, layers)
    products, group_squares = [], []
    for first, count, size in runs:
        rows = slice(first, first + count * size)
        products.append(every[:, rows].view(singles, count, size).sum(2))
        shape = (count, size, -1)
        held = [
            (left[rows].view(shape), right[rows].view(shape), bias) for left, right, bias in layers
        ]
        group_squares.append(_summed(held, held).view(count, -1).sum(1))
    own = every[:, :singles]
    return GroupProducts(_joined(products), own.diagonal(), _joined(group_squares), own.sum())


def _summed(mine: list[_Plain], other: list[_Plain]) -> Tensor:
    """Sum the inner products (left · left') (right · right' + bias) over layers."""
    total: Tensor | None = None
    for (left, right, bias), (left_there, right_there, _) in zip(mine, other, strict=True):
        lefts, rights = left @ left_there.mT, right @ right_there.mT
        if total is None:
            total = torch.addcmul(lefts, lefts, rights) if bias else lefts.mul_(rights)
            continue
        total.addcmul_(lefts, rights)
        if bias:
            total.add_(lefts)
    assert total is not None
    return total


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def _plain_layers(
    factors: list[Factor],
) -> tuple[list[_Plain], list[Factor]]:
    """Find the weights whose gradients are one outer product, each with its bias.

    Returns:
        `(left [n, o], right [n, d], 1 if there is a bias)` of each, and all other factors.
    """
    plain: list[_Plain] = []
    others: list[Factor] = []
    for factor in factors:
        if isinstance(factor, Outer) and factor.single:
            every = slice(None)
            plain.append((factor.left(every).flatten(1), factor.right(every).flatten(1), 0))
        elif plain and isinstance(factor, Explicit) and _same(factor.values, plain[-1][0]):
            plain[-1] = (*plain[-1][:2], 1)
        else:
            others.append(factor)
    return plain, others


def _same(one: Tensor, other: Tensor) -> bool:
    """Say whether two tensors are the same memory: a bias' gradients are the output's."""
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


def _total(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _runs(sizes: list[int], start: int) -> list[_Run]:
    """Find the runs of groups of equal size."""
    runs: list[_Run] = []
    for size in sizes:
        if runs and runs[-1][2] == size:
            first, count, _ = runs[-1]
            runs[-1] = (first, count + 1, size)
        else:
            runs.append((start, 1, size))
        start += size
    return runs


def reduced(gram: Tensor, singles: int, sizes: list[int]) -> GroupProducts:
    """Make the same of all inner products, where those are at hand.

    Args:
        gram: `[m + s, m + s]`: the single samples first, then the groups one after the other.
        singles: m.
        sizes: Samples of each group.

    Returns:
        Products of the samples' gradients with the groups' means, and the lengths.
    """
    counts = torch.tensor(sizes, device=gram.device)
    group = torch.arange(len(sizes), device=gram.device).repeat_interleave(counts)
    share = torch.zeros(len(group), len(sizes), dtype=gram.dtype, device=gram.device)
    share.scatter_(1, group.unsqueeze(1), (1 / counts.to(gram.dtype))[group].unsqueeze(1))
    held = gram[singles:, singles:]
    return GroupProducts(
        gram[:singles, singles:] @ share,
        gram.diagonal()[:singles],
        ((held @ share) * share).sum(0),
        gram[:singles, :singles].mean(),
    )
