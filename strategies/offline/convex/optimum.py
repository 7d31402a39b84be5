"""The optimum that loss residuals f(w) − f* are taken against.

Formula: up to 1,024 parameters Newton's method with the whole Hessian, halving the step until the
loss falls enough (Armijo); above, SciPy's L-BFGS-B. All in double precision, whatever x is.

Expected numbers: the loss of scikit-learn's solvers to 1e-9 (tests/strategies/offline/convex/
test_optimum.py); Covertype's 500,000 × 54 takes 8 Newton steps.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clcore.checks import whole_number
from strategies.offline.convex._problem import LOGISTIC, SOFTMAX, Problem

NEWTON_PARAMETERS = 1024
_BLOCK_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the loss is least.

    Attributes:
        w: The parameters, float64.
        loss: f*.
        gradient_norm: ‖∇f‖ there.
        iterations: Newton or L-BFGS iterations.
    """

    w: Tensor
    loss: float
    gradient_norm: float
    iterations: int


def optimum(problem: Problem, *, tolerance: float = 1e-10, iterations: int = 200) -> Optimum:
    """Minimise a problem to (nearly) machine precision.

    Args:
        problem: Of which the weights count.
        tolerance: Of ‖∇f‖, relative to 1 + ‖∇f(0)‖; a run that ends above it warns.
        iterations: At most.

    Returns:
        The optimum.

    Example:
        >>> from strategies.offline.convex import RidgeRegression
        >>> found = optimum(RidgeRegression(torch.tensor([[0.0], [2.0]]), [1.0, 3.0], l2=0.0))
        >>> found.w.round(decimals=6).tolist()
        [1.0, 1.0]
    """
    whole_number("iterations", iterations, least=1)
    level = tolerance * (1 + float(_value_and_gradient(problem, problem.zeros())[1].norm()))
    if problem.zeros().numel() <= NEWTON_PARAMETERS:
        w, steps = _newton(problem, level, iterations)
    else:
        w, steps = _quasi_newton(problem, level, iterations)
    loss, gradient = _value_and_gradient(problem, w)
    norm = float(gradient.norm())
    if not norm <= level:
        warnings.warn(
            f"the optimum was left after {steps} iterations at a gradient of norm {norm:.2g}, "
            f"above {level:.2g}; with l2=0 there may be none",
            RuntimeWarning,
            stacklevel=2,
        )
    return Optimum(w, loss, norm, steps)


def _newton(problem: Problem, level: float, iterations: int) -> tuple[Tensor, int]:
    w = problem.zeros()
    loss, gradient = _value_and_gradient(problem, w)
    for step in range(iterations):
        if float(gradient.norm()) <= level:
            return w, step
        move = -_solved(_hessian(problem, w), gradient.flatten()).reshape(w.shape)
        slope = float((move * gradient).sum())
        length = 1.0
        while True:
            loss_there, gradient_there = _value_and_gradient(problem, w + length * move)
            # Near the optimum the loss no longer tells: then the gradient has to fall.
            fell = loss_there <= loss + 1e-4 * length * slope
            flat = abs(slope) <= 1e-13 * (1 + abs(loss))
            if fell or (flat and float(gradient_there.norm()) < float(gradient.norm())):
                break
            length /= 2
            if length < 1e-10:
                return w, step
        w, loss, gradient = w + length * move, loss_there, gradient_there
    return w, iterations


def _solved(hessian: Tensor, gradient: Tensor) -> Tensor:
    """Solve for the Newton direction.

    Softmax has directions without curvature, all biases together, where the gradient is 0 too: a
    ridge far below what the other directions have keeps them out.
    """
    ridge = 1e-12 * float(hessian.diagonal().max())
    factor, failed = torch.linalg.cholesky_ex(hessian + ridge * torch.eye(len(hessian)))
    if not int(failed):
        return torch.cholesky_solve(gradient[:, None], factor).squeeze(1)
    values, vectors = torch.linalg.eigh(hessian)
    curved = values > values[-1] * 1e-14
    along = vectors[:, curved]
    solved: Tensor = along @ ((along.T @ gradient) / values[curved])
    return solved


def _quasi_newton(problem: Problem, level: float, iterations: int) -> tuple[Tensor, int]:
    from scipy.optimize import minimize

    def both(flat: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, object]:
        w = torch.from_numpy(flat.copy()).reshape(problem.shape)
        loss, gradient = _value_and_gradient(problem, w)
        return loss, gradient.flatten().numpy()

    found = minimize(
        both,
        problem.zeros().flatten().numpy(),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": 50 * iterations,
            "maxfun": 100 * iterations,
            "maxcor": 30,
            "ftol": 0.0,
            "gtol": level / problem.zeros().numel() ** 0.5,
        },
    )
    return torch.from_numpy(found.x.copy()).reshape(problem.shape), int(found.nit)


def _blocks(problem: Problem) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield [x, 1], target and weight / n of some rows at a time, in double precision."""
    for start in range(0, len(problem), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        rows = problem.x[part].double()
        if problem.bias:
            rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
        weights = problem.weights
        share = rows.new_ones(len(rows)) if weights is None else weights[part]
        yield rows, problem.target[part], share / len(problem)


def _value_and_gradient(problem: Problem, w: Tensor) -> tuple[float, Tensor]:
    matrix = problem.matrix(w)
    loss, gradient = 0.0, torch.zeros_like(matrix)
    for rows, target, share in _blocks(problem):
        scores = rows @ matrix.T
        loss += float(share @ problem.losses_of(scores, target))
        gradient += (problem.residuals_of(scores, target) * share[:, None]).T @ rows
    gradient += problem.penalties * matrix
    return loss + problem.penalty(w), gradient.reshape(problem.shape)


def _hessian(problem: Problem, w: Tensor) -> Tensor:
    """Return the Hessian, float64 `[outputs · columns, outputs · columns]`."""
    matrix = problem.matrix(w)
    outputs, columns = matrix.shape
    total = torch.zeros(outputs, outputs, columns, columns, dtype=torch.float64)
    for rows, _, share in _blocks(problem):
        curvature = _curvature(problem, rows @ matrix.T) * share[:, None, None]
        for a in range(outputs):
            for b in range(a, outputs):
                total[a, b] += (rows * curvature[:, a, b, None]).T @ rows
    for a in range(outputs):
        for b in range(a):
            total[a, b] = total[b, a].T
    hessian = total.transpose(1, 2).reshape(outputs * columns, outputs * columns)
    return hessian + torch.diag(problem.penalties.repeat(outputs))


def _curvature(problem: Problem, scores: Tensor) -> Tensor:
    """Return ∂²ℓ/∂z² of each row, `[b, outputs, outputs]`."""
    if problem.kind == LOGISTIC:
        chance = torch.sigmoid(scores)
        return (chance * (1 - chance))[:, :, None]
    if problem.kind == SOFTMAX:
        chance = scores.softmax(1)
        return torch.diag_embed(chance) - chance[:, :, None] * chance[:, None, :]
    return torch.eye(problem.outputs, dtype=torch.float64).expand(len(scores), -1, -1)
