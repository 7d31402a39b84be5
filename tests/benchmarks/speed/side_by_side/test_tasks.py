"""The one function a task that judges all contestants, against the formula written out."""

import math

import numpy as np
import pytest
import torch

from benchmarks.speed.side_by_side.arrays import clustered, gradients, pictures
from benchmarks.speed.side_by_side.nearest import nearest_distances
from benchmarks.speed.side_by_side.problem import Answer
from benchmarks.speed.side_by_side.tasks import TASKS

PICKS = [3, 40, 11, 72, 5]


@pytest.fixture(scope="module")
def arrays():
    return clustered(80, 6)


@pytest.fixture(scope="module")
def nearest(arrays):
    """Distances to the nearest pick, pair by pair."""
    x = arrays["features"].astype(np.float64)
    return np.array([min(math.dist(row, x[pick]) for pick in PICKS) for row in x])


@pytest.mark.parametrize(
    ("task", "options", "of_nearest"),
    [
        ("k-center", {}, np.max),
        ("facility-location", {}, np.mean),
        ("facility-location-graph", {}, np.mean),
        ("k-means-plus-plus", {}, lambda d: np.mean(d**2)),
        ("k-means", {}, lambda d: np.mean(d**2)),
        ("max-herding", {"bandwidth": 5.0}, lambda d: np.mean(np.exp(-(d**2) / 25))),
        ("prob-cover", {"radius": 5.0}, lambda d: np.mean(d <= 5)),
    ],
)
def test_objectives_of_the_nearest_pick(arrays, nearest, task, options, of_nearest):
    found = TASKS[task].evaluate(arrays, Answer.of(PICKS), options)
    assert found == pytest.approx(of_nearest(nearest), rel=1e-9)


def test_max_herding_normalises_where_the_row_says_so(arrays):
    unit = arrays["features"] / np.linalg.norm(arrays["features"], axis=1, keepdims=True)
    both = [
        TASKS["max-herding"].evaluate(given, Answer.of(PICKS), {"bandwidth": 1.0} | extra)
        for given, extra in ((arrays, {"normalise": True}), ({"features": unit}, {}))
    ]
    assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_a_sample_of_the_rows_estimates_the_mean(arrays, nearest):
    answer = Answer.of(PICKS)
    half = TASKS["facility-location"].evaluate(arrays, answer, {"evaluate_on": 40})
    assert half == pytest.approx(nearest.mean(), rel=0.2)
    assert half != pytest.approx(nearest.mean(), rel=1e-9)
    again = TASKS["facility-location"].evaluate(arrays, answer, {"evaluate_on": 40})
    assert again == half
    whole = TASKS["facility-location"].evaluate(arrays, answer, {"evaluate_on": 80})
    assert whole == pytest.approx(nearest.mean(), rel=1e-9)


def test_nearest_distances_far_from_the_origin():
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1e4
    picks = torch.tensor([1, 200])
    exact = torch.cdist(x, x[picks], compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
    torch.testing.assert_close(nearest_distances(x, picks), exact)


def test_herding_is_the_mean_over_prefixes(arrays):
    x = arrays["features"].astype(np.float64)
    errors = [
        np.linalg.norm(x[PICKS[:count]].mean(axis=0) - x.mean(axis=0))
        for count in range(1, len(PICKS) + 1)
    ]
    found = TASKS["herding"].evaluate(arrays, Answer.of(PICKS), {})
    assert found == pytest.approx(np.mean(errors))


def _multiplied_out(given):
    residuals, features = given["logit_gradients"], given["features"]
    return np.stack(
        [
            np.outer(e, np.append(h, 1.0)).ravel()
            for e, h in zip(residuals.astype(np.float64), features.astype(np.float64), strict=True)
        ]
    )


def test_relative_residual_does_not_see_the_scale_of_the_weights():
    given = gradients(60, 8)
    matrix = _multiplied_out(given)
    picks, weights = [3, 40, 11, 59], np.array([9.0, 20.0, 3.0, 14.0])
    target, found = matrix.sum(axis=0), weights @ matrix[picks]
    scale = (found @ target) / (found @ found)
    expected = np.linalg.norm(target - scale * found) / np.linalg.norm(target)
    assert 0 < expected < 1
    for factor in (1.0, 1e-3):
        answer = Answer.of(picks, weights * factor)
        residual = TASKS["gradient-matching"].evaluate(given, answer, {})
        assert residual == pytest.approx(expected, rel=1e-9)


def test_all_rows_with_weight_one_leave_no_residual():
    given = gradients(60, 8)
    everything = Answer.of(range(60), np.ones(60))
    assert TASKS["gradient-matching"].evaluate(given, everything, {}) < 1e-12


def _kernel(x, bandwidth):
    return np.array([[math.exp(-(math.dist(a, b) ** 2) / bandwidth**2) for b in x] for a in x])


def test_log_determinant(arrays):
    matrix = _kernel(arrays["features"][PICKS].astype(np.float64), 5.0)
    expected = math.log(np.linalg.det(matrix + 0.1 * np.eye(len(PICKS))))
    options = {"bandwidth": 5.0, "ridge": 0.1}
    assert TASKS["dpp"].evaluate(arrays, Answer.of(PICKS), options) == pytest.approx(expected)


def test_graph_cut(arrays):
    matrix = _kernel(arrays["features"].astype(np.float64), 5.0)
    within = matrix[np.ix_(PICKS, PICKS)].sum()
    expected = (1.5 * matrix[:, PICKS].sum() - within) / len(matrix)
    options = {"bandwidth": 5.0, "coverage": 1.5}
    assert TASKS["graph-cut"].evaluate(arrays, Answer.of(PICKS), options) == pytest.approx(expected)


def test_feature_based():
    given = gradients(60, 8)
    sums = given["features"][PICKS[:3]].astype(np.float64).sum(axis=0)
    found = TASKS["feature-based"].evaluate(given, Answer.of(PICKS[:3]), {})
    assert found == pytest.approx(sum(math.sqrt(value) for value in sums))


def test_gradient_products_are_held_against_a_loop_in_double_precision():
    given = pictures(4, 12)
    task = TASKS["gradient-products"]
    exact = Answer(matrix=np.eye(4))
    assert task.evaluate(given, exact, {}) > 0.1
    assert math.isnan(task.evaluate(given, Answer(), {}))


def test_clustered_data_are_those_of_the_expected_numbers():
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(100, 4, generator=generator)
    sizes = torch.rand(100, generator=generator) + 0.05
    spreads = torch.rand(100, generator=generator) + 0.5
    which = torch.multinomial(sizes, 30, replacement=True, generator=generator)
    rows = centres[which] + torch.randn(30, 4, generator=generator) * spreads[which, None]
    assert np.array_equal(clustered(30, 4)["features"], rows.numpy())
    given = gradients(30, 4)
    assert np.array_equal(given["labels"], (which % 10).numpy())
    assert np.allclose(given["logit_gradients"].sum(axis=1), 0, atol=1e-6)


def test_the_rows_judged_are_not_those_that_a_random_choice_picks():
    features = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    picks = torch.randperm(400, generator=torch.Generator().manual_seed(0))[:40].numpy()
    answer = Answer(picks=picks)
    task = TASKS["facility-location"]
    part = task.evaluate({"features": features}, answer, {"evaluate_on": 200})
    whole = task.evaluate({"features": features}, answer, {})
    assert part == pytest.approx(whole, rel=0.05)
