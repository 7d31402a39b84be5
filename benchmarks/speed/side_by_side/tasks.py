"""What is asked of the contestants, and the one function that says how well each did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.speed.contestants.gradient_products import products
from benchmarks.speed.side_by_side.arrays import Arrays
from benchmarks.speed.side_by_side.nearest import nearest_distances
from benchmarks.speed.side_by_side.problem import Answer

Options = Mapping[str, Any]
Measure = Callable[[Arrays, Answer, Options], float]


@dataclass(frozen=True)
class Task:
    """One kind of selection.

    Attributes:
        name: As in the names of the rows.
        objective: In words, for the table.
        better: Which objective is the better one.
        measure: Computes it from the arrays, an answer and the row's options.
        randomised: Whether it is the mean over several seeds.
        slack: A difference that is rounding alone.
    """

    name: str
    objective: str
    better: Literal["smaller", "larger"]
    measure: Measure
    randomised: bool = False
    slack: float = 0.0

    def evaluate(self, arrays: Arrays, answer: Answer, options: Options) -> float:
        """Compute the objective of an answer.

        Args:
            arrays: What the contestant was given.
            answer: What it gave back.
            options: The row's.

        Returns:
            The objective; NaN for an answer that holds neither picks nor a matrix.
        """
        if answer.picks is None and answer.matrix is None:
            return float("nan")
        return self.measure(arrays, answer, options)


def _rows(answer: Answer) -> NDArray[np.int64]:
    if answer.picks is None:
        raise ValueError("the answer has no picks")
    return answer.picks


def _nearest(arrays: Arrays, answer: Answer, options: Options) -> Tensor:
    features = torch.from_numpy(arrays["features"])
    if options.get("normalise"):
        features = torch.nn.functional.normalize(features.double(), dim=1)
    sample = options.get("evaluate_on")
    picks = torch.from_numpy(_rows(answer))
    if sample is not None and sample < len(features):
        # A seed of its own: with that of a contestant, its random picks would be the rows judged.
        generator = torch.Generator().manual_seed(20_261_124)
        drawn = torch.randperm(len(features), generator=generator)[:sample]
        features = torch.cat((features[picks], features[drawn]))
        return nearest_distances(features, torch.arange(len(picks)))[len(picks) :]
    return nearest_distances(features, picks)


def covering_radius(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute the largest distance of a row to its nearest pick."""
    return float(_nearest(arrays, answer, options).max())


def mean_distance(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute the mean distance of the rows to their nearest pick."""
    return float(_nearest(arrays, answer, options).mean())


def mean_square(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute the mean squared distance of the rows to their nearest pick."""
    return float(_nearest(arrays, answer, options).square().mean())


def mean_kernel(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute the mean over rows of the largest exp(−d²/σ²) to a pick."""
    squares = _nearest(arrays, answer, options).square()
    return float((-squares / options["bandwidth"] ** 2).exp().mean())


def covered_share(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute the share of rows within the radius of a pick."""
    # The radius is given to seven digits; a row on its edge counts as inside for everybody.
    inside = _nearest(arrays, answer, options) <= options["radius"] * (1 + 1e-6)
    return float(inside.double().mean())


def herding_error(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute ‖mean of the first j picks − mean of all rows‖, the mean over all prefixes j."""
    features = arrays["features"].astype(np.float64)
    picked = features[_rows(answer)]
    means = picked.cumsum(axis=0) / np.arange(1, len(picked) + 1)[:, None]
    return float(np.linalg.norm(means - features.mean(axis=0), axis=1).mean())


def relative_residual(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute ‖Σ g − α Σ w g‖ / ‖Σ g‖ with the contestant's weights w and the best α ≥ 0.

    Training with a weighted mean of losses does not see the scale of the weights, and packages
    differ in it; hence α.
    """
    features = arrays["features"].astype(np.float64)
    with_bias = np.concatenate((features, np.ones((len(features), 1))), axis=1)
    errors = arrays["logit_gradients"].astype(np.float64)
    picks = _rows(answer)
    weights = np.ones(len(picks)) if answer.weights is None else answer.weights
    target = errors.T @ with_bias
    found = (errors[picks] * weights[:, None]).T @ with_bias[picks]
    size = float((found**2).sum())
    scale = max(0.0, float((found * target).sum()) / size) if size > 0 else 0.0
    return float(np.linalg.norm(target - scale * found) / np.linalg.norm(target))


def _kernel(features: NDArray[Any], picks: NDArray[np.int64], options: Options) -> NDArray[Any]:
    """Compute exp(−d²/σ²) of all rows to the picks, `[n, k]` in double precision."""
    exact = torch.from_numpy(features).double()
    if options.get("normalise"):
        exact = torch.nn.functional.normalize(exact, dim=1)
    distances = torch.cdist(exact, exact[picks], compute_mode="donot_use_mm_for_euclid_dist")
    values: NDArray[Any] = (-(distances**2) / options["bandwidth"] ** 2).exp().numpy()
    return values


def log_determinant(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute log det(K + ridge · 1) of the picks' kernel matrix."""
    picks = _rows(answer)
    matrix = _kernel(arrays["features"][picks], np.arange(len(picks)), options)
    return float(np.linalg.slogdet(matrix + options["ridge"] * np.eye(len(picks)))[1])


def graph_cut(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute coverage · Σ_{x, s} K(x, s) − Σ_{s, t} K(s, t), divided by the rows."""
    picks = _rows(answer)
    matrix = _kernel(arrays["features"], picks, options)
    value = options["coverage"] * matrix.sum() - matrix[picks].sum()
    return float(value) / len(matrix)


def root_of_sums(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute the sum over features of the square root of their sum over the picks."""
    picked = arrays["features"][_rows(answer)].astype(np.float64)
    return float(np.sqrt(picked.sum(axis=0)).sum())


def matrix_error(arrays: Arrays, answer: Answer, options: Options) -> float:
    """Compute ‖A − B‖ / ‖B‖ with B from a loop in double precision."""
    x = torch.from_numpy(arrays["features"]).double()
    exact = products(x, torch.from_numpy(arrays["labels"])).numpy()
    if answer.matrix is None:
        raise ValueError("the answer has no matrix")
    return float(np.linalg.norm(answer.matrix - exact) / np.linalg.norm(exact))


TASKS = {
    task.name: task
    for task in (
        Task("k-center", "covering radius", "smaller", covering_radius),
        Task("facility-location", "mean distance", "smaller", mean_distance),
        Task("facility-location-graph", "mean distance", "smaller", mean_distance),
        Task("max-herding", "mean kernel", "larger", mean_kernel),
        Task("prob-cover", "covered share", "larger", covered_share),
        Task("herding", "distance of the means", "smaller", herding_error),
        Task("k-means-plus-plus", "mean squared distance", "smaller", mean_square, True),
        Task("k-means", "mean squared distance", "smaller", mean_square, True),
        Task("gradient-matching", "relative residual", "smaller", relative_residual),
        Task("dpp", "log determinant", "larger", log_determinant),
        Task("graph-cut", "graph cut / n", "larger", graph_cut),
        Task("feature-based", "sum of roots", "larger", root_of_sums),
        # Any method in single precision is off by about this much.
        Task("gradient-products", "relative error", "smaller", matrix_error, slack=1e-5),
    )
}
