"""What SGD, SVRG and SAGA share: the epochs, the clock, the weighted rows and the anchor.

Rows are visited in a new random order each epoch, each once, or are drawn with replacement. A
picked row counts with γ_j, scaled to mean 1, in the gradient of its step: the mean step of an epoch
is then the gradient of Σ γ_j f_j / Σ γ_j, and step sizes keep the meaning they have on all data.

With `anchor="subset"` the answer is that of the coreset, whose distance from the optimum on all
data is what the coreset's gradients miss. With `anchor="all"` the steps still visit the coreset
alone, but their mean is corrected to the gradient over all data at the anchor w̃, taken anew every
`refresh` epochs,

    ∇f_S(w) + ∇f(w̃) − ∇f_S(w̃),

which vanishes at w = w̃ only where ∇f does: so what it settles at is the optimum on all data. It
gets there where the curvatures of coreset and data agree well enough (‖I − H_S⁻¹ H‖ < 1; DANE of
Shamir, Srebro & Zhang, ICML 2014, is the same iteration with exact inner solutions). For SVRG that
is the usual step with the inner rows from the coreset; for SGD and SAGA it is a constant that is
added to each step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from clcore import Coreset
from clcore.checks import whole_number
from clcore.clock import working_time
from clcore.errors import ArgumentError, ClcoreError
from strategies.offline.convex._problem import Problem
from strategies.offline.convex._whitening import whitening
from strategies.offline.convex.schedules import Constant, Schedule, check_rate

Anchor = Literal["subset", "all"]
OnEpoch = Callable[[int, Tensor, float], Any]


class DivergedError(ClcoreError, ArithmeticError):
    """The parameters are no longer finite: the step size is too large."""


@dataclass(frozen=True, eq=False)
class Minimisation:
    """What a solver gives back.

    Attributes:
        w: The parameters, float64.
        epochs: Epochs run.
        seconds: Wall-clock seconds of training, callbacks and compiling left out.
        row_gradients: Gradients of single rows that were computed, those of anchors included.
    """

    w: Tensor
    epochs: int
    seconds: float
    row_gradients: int


@dataclass
class State:
    """Where a run stands.

    Attributes:
        inner: The weighted rows that steps visit.
        whole: All data.
        rows: int64 `[k]`: where the inner rows lie in the whole; None where they are the whole.
        weights: γ, float64 `[k]`.
        w: float64 `[outputs, columns]`, changed by the steps.
        base: See `strategies.offline.convex._loops.steps`.
        centre: See there.
        correction: The constant part of `centre` that corrects to all data.
        basis: Of the whitened coordinates V, W = V basisᵀ; None where there are none.
        row_gradients: Computed so far.
    """

    inner: Problem
    whole: Problem
    rows: Tensor | None
    weights: Tensor
    w: Tensor
    base: Tensor
    centre: Tensor
    correction: Tensor
    basis: Tensor | None = None
    row_gradients: int = 0

    def parameters(self) -> Tensor:
        """Return the parameters as the whole problem has them, a copy."""
        w = self.w.clone() if self.basis is None else self.w @ self.basis.T
        return w.reshape(self.whole.shape)

    def inner_pass(self) -> tuple[Tensor, Tensor]:
        """Return residuals and mean gradient of the inner rows, in the coordinates of the steps."""
        self.row_gradients += len(self.inner)
        return self.inner.residuals_and_mean(self.w.reshape(self.inner.shape))

    def whole_pass(self) -> tuple[Tensor, Tensor]:
        """Return the same of all data; the gradient in the coordinates of the steps too.

        The penalty needs no part in it: in both it is the same function.
        """
        self.row_gradients += len(self.whole)
        residuals, mean = self.whole.residuals_and_mean(self.parameters())
        return residuals, mean if self.basis is None else mean @ self.basis


class Solver(ABC):
    """Base class of the solvers.

    Args:
        learning_rate: η of every epoch; or a schedule, which gives η of each. By default a safe
            step for the weighted rows, from the largest smoothness L of a row.
        batch_size: Rows a step; their mean is taken.
        anchor: `"subset"`, or `"all"` to correct the steps to the gradient over all data.
        refresh: Epochs between two anchors.
        replacement: Draw rows with replacement instead of each once an epoch.
        whiten: Take the steps in coordinates in which the curvature of the trained rows is even.
    """

    remembers = False

    def __init__(
        self,
        learning_rate: float | Schedule | None = None,
        *,
        batch_size: int = 1,
        anchor: Anchor = "subset",
        refresh: int = 1,
        replacement: bool = False,
        whiten: bool = False,
    ) -> None:
        if learning_rate is not None and not callable(learning_rate):
            check_rate("learning_rate", learning_rate)
            learning_rate = Constant(float(learning_rate))
        if anchor not in get_args(Anchor):
            raise ArgumentError(f"anchor must be 'subset' or 'all', not {anchor!r}")
        self.schedule: Schedule | None = learning_rate
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.anchor: Anchor = anchor
        self.refresh = whole_number("refresh", refresh, least=1)
        self.replacement, self.whiten = bool(replacement), bool(whiten)

    @abstractmethod
    def default_schedule(self, smoothness: float) -> Schedule:
        """Return the step sizes that are taken where none were given."""

    def prepare(self, state: State) -> None:
        """Set the state up before the first epoch."""
        return

    def begin_epoch(self, state: State, epoch: int) -> None:
        """Bring anchor and centre up to date."""
        if self.anchor == "all" and state.rows is not None and epoch % self.refresh == 0:
            fresh = state.whole_pass()[1] - state.inner_pass()[1]
            state.centre += fresh - state.correction
            state.correction = fresh

    def minimise(
        self,
        problem: Problem,
        *,
        coreset: Coreset | None = None,
        rows: Any = None,
        weights: Any = None,
        epochs: int = 20,
        seed: int = 0,
        start: Tensor | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Minimisation:
        """Minimise the mean loss of all rows, or of a weighted subset.

        Args:
            problem: All data.
            coreset: The picks and their weights. Its rows are copied first; that time counts.
            rows: In its place: integers `[k]`.
            weights: Of the rows, or in place of the coreset's: `[k]`, scaled to mean 1.
            epochs: Passes over what is trained on.
            seed: Of the orders. Same seed, same answer.
            start: Parameters to start from; zeros by default. Not changed.
            on_epoch: Called after each epoch with its number from 1, a copy of the parameters and
                the seconds so far; the clock stands still meanwhile. A true answer ends the run.

        Returns:
            The parameters and what they cost.

        Raises:
            ArgumentError: If an argument is wrong.
            DivergedError: If the parameters are no longer finite.
        """
        epochs, seed = whole_number("epochs", epochs), whole_number("seed", seed)
        picked = _picked(coreset, rows, weights)
        w = (problem.zeros() if start is None else start).clone()
        w = problem.matrix(w).contiguous()
        _load_loops(problem.x.dtype)
        started = working_time()
        state = self._state(problem, picked, weights, w)
        schedule = self.schedule or self.default_schedule(state.inner.largest_smoothness())
        self.prepare(state)
        generator = np.random.default_rng(seed)
        order = np.arange(len(state.inner))
        done = 0
        for epoch in range(epochs):
            self.begin_epoch(state, epoch)
            if self.replacement:
                order = generator.integers(len(state.inner), size=len(state.inner))
            else:
                generator.shuffle(order)
            self._run(state, order, schedule(epoch))
            done = epoch + 1
            if not bool(torch.isfinite(state.w).all()):
                raise DivergedError(
                    f"the parameters are not finite after epoch {done}: the step size "
                    f"{schedule(epoch):g} is too large"
                )
            if on_epoch is not None:
                paused = working_time()
                stop = on_epoch(done, state.parameters(), paused - started)
                started += working_time() - paused
                if stop:
                    break
        seconds = working_time() - started
        return Minimisation(state.parameters(), done, seconds, state.row_gradients)

    def _state(self, problem: Problem, picked: Any, weights: Any, w: Tensor) -> State:
        inner, rows = problem, None
        if picked is not None:
            inner = problem.subset(picked, weights)
            rows = picked.indices if isinstance(picked, Coreset) else torch.as_tensor(picked)
        gamma = inner.weights
        if gamma is None:
            gamma = torch.ones(len(inner), dtype=torch.float64)
        basis = None
        if self.whiten:
            basis, penalties = whitening(inner)
            inner = inner.transformed(basis, penalties)
            w = torch.linalg.solve(basis, w.T).T.contiguous() if bool(w.any()) else w
        nothing = torch.zeros(0, inner.outputs, dtype=torch.float64)
        centre = torch.zeros_like(w)
        return State(inner, problem, rows, gamma, w, nothing, centre, torch.zeros_like(w), basis)

    def _run(self, state: State, order: Any, rate: float) -> None:
        from strategies.offline.convex import _loops

        inner = state.inner
        arguments: tuple[Any, ...] = (
            inner.kind,
            *(part.numpy() for part in (inner.x, inner.target, state.weights)),
            order,
            *(part.numpy() for part in (state.w, state.base, state.centre)),
            self.remembers,
            inner.penalties[: inner.x.shape[1]].numpy(),
            float(rate),
        )
        if self.batch_size == 1:
            _loops.steps(*arguments)
        else:
            batched = (*arguments, self.batch_size)
            _loops.batch_steps(*batched)
        state.row_gradients += len(order)


def _picked(coreset: Coreset | None, rows: Any, weights: Any) -> Any:
    if coreset is not None and rows is not None:
        raise ArgumentError("give coreset or rows, not both")
    if coreset is None and rows is None and weights is not None:
        raise ArgumentError(
            "weights of all rows belong to the problem: LogisticRegression(x, y, weights=...)"
        )
    return rows if coreset is None else coreset


def _load_loops(dtype: torch.dtype) -> None:
    """Have the compiled loops ready before the clock starts: import, and compile or load them."""
    from strategies.offline.convex import _loops

    x = torch.zeros(1, 1, dtype=dtype).numpy()
    column, vector = np.zeros((1, 1)), np.zeros(1)
    order = np.zeros(0, dtype=np.int64)
    arguments: tuple[Any, ...] = (
        x,
        column,
        vector,
        order,
        column.copy(),
        column,
        column.copy(),
        False,
        vector,
        0.0,
    )
    _loops.steps(0, *arguments)
    batched = (0, *arguments, 1)
    _loops.batch_steps(*batched)
