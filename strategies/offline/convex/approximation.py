"""How well a coreset's gradient stands for that of all data, and what is certain beforehand.

Source: Mirzasoleiman, Bilmes & Leskovec, "Coresets for data-efficient training of machine learning
models", ICML 2020 (CRAIG), section 3.1: the error is bounded by sums of distances.

Formula: the error at W is ‖ Σ_i w_i ∇ℓ_i − Σ_j γ_j ∇ℓ_j ‖, the penalty left out, which has none.
For two classes and a cover within each class, i ↦ s(i),

    ‖ ∇ℓ_i(W) − ∇ℓ_s(W) ‖ ≤ (1 + ‖W‖ R / 4) ‖ x_i − x_s ‖,   R = max_s ‖ [x_s, 1] ‖,

as |r| ≤ 1 and r has the Lipschitz constant 1/4 in the score. So the `error_bound` of a cover of the
features, times that factor, bounds the error at W; with W growing it becomes worthless.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clcore import Coreset
from clcore.errors import ArgumentError
from strategies.offline.convex._problem import LOGISTIC, Problem


@dataclass(frozen=True)
class GradientError:
    """How far the weighted gradient of a coreset is from the gradient of all data.

    Attributes:
        absolute: ‖ Σ_i w_i ∇ℓ_i − Σ_j γ_j ∇ℓ_j ‖, with weights that sum to the number of rows.
        relative: The same over Σ_i w_i ‖ ∇ℓ_i ‖: 0 for a perfect coreset, and at most 2. (Over the
            norm of the sum it would grow without limit near the optimum.)
    """

    absolute: float
    relative: float


def gradient_error(problem: Problem, coreset: Coreset, w: Tensor) -> GradientError:
    """Measure the error of a coreset's gradient.

    Args:
        problem: All data.
        coreset: Picks and weights; their sum counts, so weights that sum to less than the number
            of rows have an error of their own.
        w: Parameters.

    Returns:
        The error, the penalty left out.
    """
    residuals, mean = problem.residuals_and_mean(w)
    part = problem.subset(coreset)
    estimate = part.residuals_and_mean(w)[1]
    share = float(coreset.weights.double().sum()) / len(problem)
    absolute = float((mean - share * estimate).norm()) * len(problem)
    lengths = problem.x.square().sum(1).double() + problem.bias
    norms = residuals.double().norm(dim=1) * lengths.sqrt()
    total = float((norms if problem.weights is None else norms * problem.weights).sum())
    return GradientError(absolute, absolute / total if total else 0.0)


def feature_bound(problem: Problem, coreset: Coreset, w: Tensor) -> float:
    """Bound the absolute error by the distances of the features, without looking at gradients.

    Args:
        problem: Logistic regression with two classes.
        coreset: Of a cover of the features within each class: `craig` or `kd-tree` with
            `gradients="features"`, whose report has `error_bound`.
        w: Parameters.

    Returns:
        A number that `gradient_error(problem, coreset, w).absolute` does not exceed.

    Raises:
        ArgumentError: If the problem has another loss, or the coreset no `error_bound`.
    """
    if problem.kind != LOGISTIC:
        raise ArgumentError("problem must be a logistic regression with two classes")
    if "error_bound" not in coreset.report:
        raise ArgumentError(
            "coreset has no error_bound in its report; 'craig' and 'kd-tree' give one"
        )
    picks = problem.x[coreset.indices].double()
    radius = float((picks.square().sum(1) + problem.bias).max().sqrt())
    factor = 1 + float(torch.linalg.vector_norm(w.double())) * radius / 4
    return coreset.report["error_bound"] * factor
