"""Compiled steps of SGD, SVRG and SAGA on linear models.

All three take, for a row j of weight γ and residual r,

    W ← W − η (γ (r − b_j) ⊗ [x_j, 1] + c + W diag(λ)),

where the residuals b_j and the centre c are zero or a constant for SGD, those of the anchor for
SVRG, and for SAGA those of the last visit, kept up to date.

Rows come in random order, so a step waits for memory more than for arithmetic: the rows that are
due later are asked for early. The loops over the columns stand where they run: as functions of
their own numba does not inline them, and a step takes three times as long (500,000 × 54 in float32:
50 ns a step, 190 with functions).

This module imports numba: import it inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from clcore.geometry.compiled import Array, compiled
from strategies.offline.convex._problem import LOGISTIC, SOFTMAX

AHEAD = 6
"""Steps that a row is asked for before its turn."""

LINE = 64
"""Bytes that come from memory at once."""


@intrinsic  # type: ignore[untyped-decorator]
def ask_for(
    typing_context: Any, matrix: Any, row: Any, byte: Any
) -> tuple[Any, Callable[..., Any]]:
    """Ask memory for the line that holds a byte of a row; nothing waits for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = builder.extract_value(array.strides, 0)
        offset = builder.add(builder.mul(arguments[1], stride), arguments[2])
        start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        address = builder.gep(start, [offset])
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # For reading, to be kept in all caches, data.
        builder.call(function, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(matrix, types.intp, types.intp), generate


@compiled
def residual(kind: int, scores: Array, target: Array, row: int) -> None:
    """Turn the scores of a row into ∂ℓ/∂z, in place."""
    if kind == LOGISTIC:
        sign = target[row, 0]
        scores[0] = -sign / (1.0 + math.exp(sign * scores[0]))
    elif kind == SOFTMAX:
        most = scores[0]
        for c in range(1, scores.size):
            most = max(most, scores[c])
        total = 0.0
        for c in range(scores.size):
            scores[c] = math.exp(scores[c] - most)
            total += scores[c]
        for c in range(scores.size):
            scores[c] /= total
        scores[int(target[row, 0])] -= 1.0
    else:
        for c in range(scores.size):
            scores[c] -= target[row, c]


@compiled
def steps(  # noqa: C901  # see above
    kind: int, x: Array, target: Array, weights: Array, order: Array, w: Array, base: Array,
    centre: Array, remember: bool, penalties: Array, rate: float,
) -> None:  # fmt: skip
    """Take one step a row.

    Args:
        kind: Which loss.
        x: `[n, d]`, float32 or float64.
        target: float64 `[n, 1]` or `[n, outputs]`.
        weights: γ, float64 `[n]`.
        order: The rows to visit.
        w: float64 `[outputs, d or d + 1]`; changed in place.
        base: b, float64 `[n, outputs]`, or no rows where it is zero.
        centre: c, float64 like w.
        remember: SAGA: write residuals into `base`, and bring `centre` up to date.
        penalties: λ of each column of x, float64 `[d]`; the bias has none.
        rate: η.
    """
    axes, outputs, has_bias = x.shape[1], w.shape[0], w.shape[1] > x.shape[1]
    scores, has_base, shrink = np.empty(outputs), base.shape[0] > 0, 1.0 - rate * penalties
    for step in range(order.size):
        if step + AHEAD < order.size:
            later = order[step + AHEAD]
            for byte in range(0, axes * x.itemsize + LINE - 1, LINE):
                ask_for(x, later, byte)
            ask_for(target, later, 0)
            ask_for(weights, later, 0)
            if has_base:
                ask_for(base, later, 0)
        row = order[step]
        for c in range(outputs):
            total = 0.0
            for axis in range(axes):
                total += x[row, axis] * w[c, axis]
            if has_bias:
                total += w[c, axes]
            scores[c] = total
        residual(kind, scores, target, row)
        for c in range(outputs):
            change = scores[c]
            if has_base:
                change -= base[row, c]
            change *= weights[row]
            pull = rate * change
            for axis in range(axes):
                moved = shrink[axis] * w[c, axis] - rate * centre[c, axis]
                w[c, axis] = moved - pull * x[row, axis]
            if has_bias:
                w[c, axes] -= rate * centre[c, axes] + pull
            if remember:
                base[row, c] = scores[c]
                share = change / x.shape[0]
                for axis in range(axes):
                    centre[c, axis] += share * x[row, axis]
                if has_bias:
                    centre[c, axes] += share


@compiled
def remember_batch(
    x: Array, weights: Array, rows: Array, found: Array, base: Array, centre: Array
) -> None:
    """Write residuals into the table, and bring its mean gradient up to date.

    One row after the other, so that a row drawn twice counts once.
    """
    axes, has_bias = x.shape[1], centre.shape[1] > x.shape[1]
    for place in range(rows.size):
        row = rows[place]
        for c in range(base.shape[1]):
            share = (found[place, c] - base[row, c]) * weights[row] / x.shape[0]
            base[row, c] = found[place, c]
            for axis in range(axes):
                centre[c, axis] += share * x[row, axis]
            if has_bias:
                centre[c, axes] += share


@compiled
def batch_steps(  # noqa: C901  # see above
    kind: int, x: Array, target: Array, weights: Array, order: Array, w: Array, base: Array,
    centre: Array, remember: bool, penalties: Array, rate: float, batch_size: int,
) -> None:  # fmt: skip
    """Take one step for each `batch_size` rows, with the mean of their changes.

    The last step may have fewer rows. For the other arguments see `steps`.
    """
    axes, outputs, has_bias = x.shape[1], w.shape[0], w.shape[1] > x.shape[1]
    found, moves = np.empty((batch_size, outputs)), np.empty_like(w)
    scores, has_base, shrink = np.empty(outputs), base.shape[0] > 0, 1.0 - rate * penalties
    for first in range(0, order.size, batch_size):
        count = min(batch_size, order.size - first)
        moves[:] = 0.0
        for place in range(count):
            if first + place + AHEAD < order.size:
                later = order[first + place + AHEAD]
                for byte in range(0, axes * x.itemsize + LINE - 1, LINE):
                    ask_for(x, later, byte)
            row = order[first + place]
            for c in range(outputs):
                total = 0.0
                for axis in range(axes):
                    total += x[row, axis] * w[c, axis]
                if has_bias:
                    total += w[c, axes]
                scores[c] = total
            residual(kind, scores, target, row)
            for c in range(outputs):
                found[place, c] = scores[c]
                change = scores[c] - base[row, c] if has_base else scores[c]
                share = change * weights[row] / count
                for axis in range(axes):
                    moves[c, axis] += share * x[row, axis]
                if has_bias:
                    moves[c, axes] += share
        for c in range(outputs):
            for axis in range(axes):
                moved = shrink[axis] * w[c, axis]
                w[c, axis] = moved - rate * (moves[c, axis] + centre[c, axis])
            if has_bias:
                w[c, axes] -= rate * (moves[c, axes] + centre[c, axes])
        if remember:
            remember_batch(x, weights, order[first : first + count], found, base, centre)
