"""Losses of linear models: the mean over weighted rows, and the parts that solvers need of it.

Formula: with a linear score z_i = W [x_i, 1] a row,

    F(W) = Σ_i γ_i ℓ(z_i, y_i) / Σ_i γ_i + λ/2 ‖W‖²,   ∇ℓ_i = r_i ⊗ [x_i, 1],   r_i = ∂ℓ/∂z.

The penalty leaves out the biases. A row's gradient is the outer product of its residual r_i and
its features, so nothing of size n × parameters is ever stored.

Losses and their sums are in double precision. Scores, residuals and gradients are computed in the
precision of x, and the sums over blocks of rows in double; the parameters are always double.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor

from clcore import Coreset, Pool
from clcore.checks import as_tensor, require_finite, weight_column
from clcore.errors import ArgumentError
from clcore.pool import row_indices

LOGISTIC, SOFTMAX, SQUARES = 0, 1, 2
"""The losses, as the compiled loops know them."""

_BLOCK_BYTES = 2**21
"""Of rows that are read twice in a row, for scores and for gradients (the quickest, measured)."""


class Problem(ABC):
    """Base class of the problems; not made by itself.

    Attributes:
        x: Float `[n, d]`, on the CPU: one row an example.
        l2: λ, the strength of the penalty.
        bias: Whether the scores have a constant.
        weights: Float64 `[n]` of mean 1, γ; None stands for ones.
        outputs: Scores a row.
        kind: The number of ℓ in the compiled loops.
        curvature: The largest second derivative of ℓ in z.
        penalties: λ of each column of W, float64 `[d + bias]`; 0 for the bias.
        shape: Of the parameters: `(d + bias,)` for one output, else `(outputs, d + bias)`; the
            bias is the last column.
    """

    def __init__(
        self,
        x: Any,
        target: Tensor,
        outputs: int,
        *,
        kind: int,
        curvature: float,
        l2: float,
        bias: bool,
        weights: Any,
    ) -> None:
        if not math.isfinite(l2) or l2 < 0:
            raise ArgumentError(f"l2 must be a finite number of at least 0, not {l2!r}")
        self.x = check_rows("x", x)
        if len(target) != len(self.x):
            raise ArgumentError(f"y has {len(target)} rows where x has {len(self.x)}")
        if not len(self.x):
            raise ArgumentError("x has no rows")
        self.l2, self.bias, self.outputs = float(l2), bool(bias), outputs
        self.kind, self.curvature = kind, curvature
        self.penalties = torch.full((self.columns,), self.l2, dtype=torch.float64)
        if self.bias:
            self.penalties[-1] = 0
        self._target = target
        self.weights = None if weights is None else mean_one(weights, len(self.x))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def columns(self) -> int:
        """Parameters an output."""
        return self.x.shape[1] + self.bias

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameters."""
        return (self.columns,) if self._is_flat else (self.outputs, self.columns)

    @property
    @abstractmethod
    def _is_flat(self) -> bool: ...

    @abstractmethod
    def losses_of(self, scores: Tensor, target: Tensor) -> Tensor:
        """ℓ of each row, `[b]`."""

    @abstractmethod
    def residuals_of(self, scores: Tensor, target: Tensor) -> Tensor:
        """∂ℓ/∂z of each row, `[b, outputs]`; may reuse the memory of the scores."""

    @abstractmethod
    def _error(self, scores: Tensor, y: Any) -> float: ...

    @abstractmethod
    def predict(self, w: Tensor, x: Any = None) -> Tensor:
        """Predict.

        Args:
            w: Parameters.
            x: Rows `[m, d]`; by default the problem's own.

        Returns:
            Labels, or values, `[m]` (`[m, outputs]` for regression with several targets).
        """

    def zeros(self) -> Tensor:
        """Return parameters of zero, where solvers start: float64 of `shape`."""
        return torch.zeros(self.shape, dtype=torch.float64)

    def scores(self, w: Tensor, x: Any = None) -> Tensor:
        """Return z of each row in double precision, `[m, outputs]`."""
        rows = self.x if x is None else check_rows("x", x, self.x.shape[1])
        matrix = self.matrix(w)
        parts = [self._score(part.double(), matrix) for part in _blocks(rows)]
        return torch.cat(parts) if parts else torch.zeros(0, self.outputs, dtype=torch.float64)

    def losses(self, w: Tensor) -> Tensor:
        """Return ℓ of each row, without weight and penalty: float64 `[n]`."""
        return self.losses_of(self.scores(w), self._target)

    def loss(self, w: Tensor) -> float:
        """Return F: the weighted mean of the losses, and the penalty."""
        losses = self.losses(w)
        mean = losses.mean() if self.weights is None else (losses * self.weights).mean()
        return float(mean) + self.penalty(w)

    def penalty(self, w: Tensor) -> float:
        """Return λ/2 ‖W‖², the biases left out."""
        return float((self.matrix(w).square() * self.penalties).sum()) / 2

    def factors(self, w: Tensor) -> Tensor:
        """Return r of each row, the factor of its gradient, in the precision of x.

        Returns:
            `[n, outputs]`. For a selection by the gradients, see `pool`.
        """
        return self.residuals_and_mean(w)[0]

    def gradient(self, w: Tensor) -> Tensor:
        """Return ∇F: float64 of `shape`."""
        mean = self.residuals_and_mean(w)[1]
        return (mean + self.penalties * self.matrix(w)).reshape(self.shape)

    def residuals_and_mean(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the residuals and the mean gradient without the penalty, in one pass.

        Args:
            w: Parameters.

        Returns:
            r, `[n, outputs]` in the precision of x; and Σ γ_i r_i ⊗ [x_i, 1] / n,
            float64 `[outputs, columns]`.
        """
        matrix = self.matrix(w).to(self.x.dtype)
        total = torch.zeros(self.outputs, self.columns, dtype=torch.float64)
        residuals = torch.empty(len(self), self.outputs, dtype=self.x.dtype)
        axes, start = self.x.shape[1], 0
        for rows in _blocks(self.x):
            part = slice(start, start + len(rows))
            start = part.stop
            here = self.residuals_of(self._score(rows, matrix), self._target[part])
            residuals[part] = here
            if self.weights is not None:
                here = here * self.weights[part, None].to(here)
            total[:, :axes] += here.T @ rows
            if self.bias:
                total[:, axes] += here.sum(0)
        return residuals, total / len(self)

    def error(self, w: Tensor, x: Any, y: Any) -> float:
        """Return the error on other rows: share of wrong labels, or mean squared error.

        Args:
            w: Parameters.
            x: `[m, d]`.
            y: `[m]`, as the problem was given.
        """
        return self._error(self.scores(w, x), y)

    def subset(self, coreset: Coreset | Any, weights: Any = None) -> Self:
        """Make the problem of some weighted rows, copied.

        Args:
            coreset: A coreset, or rows as integers `[k]`.
            weights: `[k]`, none negative; by default the coreset's, or ones. Scaled to mean 1, so
                that F keeps its meaning.

        Returns:
            A problem with the same penalty, labels and shape.

        Raises:
            ArgumentError: If there are no rows, a row is out of range, or the weights do not fit.
        """
        rows = coreset
        if isinstance(coreset, Coreset):
            rows = coreset.indices
            weights = coreset.weights if weights is None else weights
        indices = row_indices("coreset", rows, len(self), torch.device("cpu"))
        if not len(indices):
            raise ArgumentError("coreset holds no rows")
        part = copy.copy(self)
        part.x, part._target = self.x[indices], self._target[indices]
        if weights is None and self.weights is not None:
            weights = self.weights[indices]
        part.weights = None if weights is None else mean_one(weights, len(indices))
        return part

    def pool(self, w: Tensor | None = None) -> Pool:
        """Make the pool to select from.

        Args:
            w: Parameters. With them the pool also has the `logit_gradients` r, so that
                `Craig(gradients="last_layer")` or GradMatch choose by the gradients at `w`.

        Returns:
            A pool with `features` x, and labels where the problem has classes.
        """
        signals = {} if w is None else {"logit_gradients": self.factors(w)}
        return Pool(features=self.x, labels=self._labels(), weights=self.weights, **signals)

    def largest_smoothness(self) -> float:
        """Return the largest Lipschitz constant of a row's weighted gradient, penalty included."""
        lengths = torch.cat([part.double().square().sum(1) for part in _blocks(self.x)])
        lengths = lengths + self.bias
        if self.weights is not None:
            lengths = lengths * self.weights
        return self.curvature * float(lengths.max()) + float(self.penalties.max())

    def transformed(self, basis: Tensor, penalties: Tensor) -> Self:
        """Make the same problem in other coordinates: W = V basisᵀ.

        Args:
            basis: Float64 `[columns, columns]`, in which the penalty is diagonal.
            penalties: Its diagonal, float64 `[columns]`.

        Returns:
            A problem without a bias of its own, whose rows are basisᵀ [x, 1].
        """
        other, axes, narrow = copy.copy(self), self.x.shape[1], basis.to(self.x.dtype)
        other.x = torch.addmm(narrow[axes], self.x, narrow[:axes]) if self.bias else self.x @ narrow
        other.bias, other.penalties = False, penalties
        return other

    def matrix(self, w: Tensor) -> Tensor:
        """Check parameters and return them as float64 `[outputs, columns]`.

        Raises:
            ArgumentError: If they are not a tensor of `shape`.
        """
        if not isinstance(w, Tensor) or w.shape != self.shape:
            given = tuple(w.shape) if isinstance(w, Tensor) else type(w).__name__
            raise ArgumentError(f"w must be a tensor of shape {self.shape}, not {given}")
        return w.detach().double().reshape(self.outputs, self.columns)

    @property
    def target(self) -> Tensor:
        """What the compiled loops read: float64 `[n, 1]` or `[n, outputs]`."""
        return self._target

    def _labels(self) -> Tensor | None:
        return None

    def _score(self, rows: Tensor, matrix: Tensor) -> Tensor:
        axes = rows.shape[1]
        if self.bias:
            return torch.addmm(matrix[:, axes], rows, matrix[:, :axes].T)
        return rows @ matrix.T


def check_rows(name: str, values: Any, columns: int | None = None) -> Tensor:
    """Check a matrix of rows: float32 or float64, finite, on the CPU, contiguous.

    Args:
        name: The argument's name, for the message.
        values: A tensor or array `[n, d]`; whole numbers become float32.
        columns: How many there must be.

    Raises:
        ArgumentError: If it is no such matrix.
        SignalError: If it holds NaN or infinity.
    """
    rows = as_tensor(name, values).detach()
    if rows.ndim != 2 or (columns is not None and rows.shape[1] != columns):
        wanted = "[n, d]" if columns is None else f"[n, {columns}]"
        raise ArgumentError(f"{name} must have shape {wanted}, not {tuple(rows.shape)}")
    if rows.device.type != "cpu":
        raise ArgumentError(f"{name} must lie on the CPU, where the solvers run: {rows.device}")
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.float()
    require_finite(name, rows)
    return rows.contiguous()


def mean_one(weights: Any, rows: int) -> Tensor:
    """Check weights and scale them to mean 1: float64 `[n]`."""
    column = weight_column("weights", weights, None).detach().double().cpu()
    if len(column) != rows:
        raise ArgumentError(f"weights has {len(column)} numbers for {rows} rows")
    return column / column.mean()


def _blocks(rows: Tensor) -> Iterator[Tensor]:
    """Cut rows into blocks that stay in the cache."""
    size = max(1, _BLOCK_BYTES // max(1, rows.shape[1] * rows.element_size()))
    return iter(torch.split(rows, size) if len(rows) else ())
