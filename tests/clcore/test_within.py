"""As few picks as keep an error: against trying every size, and every subset."""

from itertools import combinations

import pytest
import torch

from clcore import ArgumentError, Pool, SignalError, UnknownNameError, select, select_within
from clcore.selectors import create
from clcore.testing import example_pool


def naive(g, weights, picks, labels=None):
    """E(S), and the weights of the cells, straight from the definition."""
    away = torch.cdist(g, g[picks], compute_mode="donot_use_mm_for_euclid_dist")
    if labels is not None:
        other = labels.unsqueeze(1) != labels[picks]
        there = (~other).any(dim=1, keepdim=True)
        away = away.masked_fill(other & there, torch.inf)
    least, place = away.min(dim=1)
    cells = torch.zeros(len(picks), dtype=torch.float64).index_add_(0, place, weights)
    return float(least @ weights), cells


def pool_of(n=60, seed=0):
    pool = example_pool(n, seed)
    weights = pool.weights.double()
    return pool, weights, pool.signal("features")


@pytest.mark.parametrize(("name", "options"), [("k-center", {}), ("herding", {"per_label": False})])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.02])
def test_a_greedy_selector_gives_its_shortest_prefix(name, options, share):
    pool, weights, g = pool_of()
    scale = float(g.norm(dim=1) @ weights)
    answer = select_within(name, pool, share, **options)
    whole = select(name, pool, len(pool), **options).indices
    errors = [naive(g, weights, whole[:j])[0] for j in range(1, len(pool) + 1)]
    size = next(j for j, error in enumerate(errors, 1) if error <= share * scale)
    assert answer.indices.tolist() == whole[:size].tolist()
    error, cells = naive(g, weights, answer.indices)
    assert answer.report["error_bound"] == pytest.approx(error)
    assert answer.report["relative_error"] == pytest.approx(error / scale)
    assert answer.report["relative_error"] <= share
    assert answer.report["allowed"] == pytest.approx(share * scale)
    assert answer.weights.tolist() == pytest.approx(cells.tolist())
    left = float((weights @ g - answer.weights @ g[answer.indices]).norm())
    assert left <= answer.report["error_bound"] * (1 + 1e-9)


@pytest.mark.parametrize("kind", ["logits", "last_layer", "features"])
def test_craig_is_certified_by_its_own_report_within_labels(kind):
    pool, weights, features = pool_of(90, 2)
    errors = pool.signal("logit_gradients")
    inputs = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
    outer = (errors.unsqueeze(2) * inputs.unsqueeze(1)).flatten(1)
    g = {"logits": errors, "features": features, "last_layer": outer}[kind]
    for share in (0.95, 0.6, 0.3):
        answer = select_within("craig", pool, share, gradients=kind)
        allowed = share * float(g.norm(dim=1) @ weights)
        error, cells = naive(g, weights, answer.indices, pool.labels)
        assert answer.report["error_bound"] == pytest.approx(error, rel=1e-6)
        assert error <= allowed * (1 + 1e-9)
        assert answer.weights.tolist() == pytest.approx(cells.tolist())
        assert len(answer) > 1
        fewer = select("craig", pool, len(answer) - 1, gradients=kind)
        assert naive(g, weights, fewer.indices, pool.labels)[0] > allowed
        assert fewer.indices.tolist() == answer.indices[:-1].tolist()


@pytest.mark.parametrize("share", [0.7, 0.25, 0.0])
def test_other_selectors_are_bisected(share):
    pool, _, _ = pool_of(70, 1)
    answer = select_within("kd-tree", pool, share, gradients="features")
    assert answer.report["relative_error"] <= share
    exact = select("kd-tree", pool, len(answer), gradients="features")
    assert exact.indices.tolist() == answer.indices.tolist()
    assert answer.report["error_bound"] == exact.report["error_bound"]
    fewer = select("kd-tree", pool, len(answer) - 1, gradients="features")
    assert fewer.report["error_bound"] > answer.report["allowed"]
    rough = select_within("kd-tree", pool, 0.25, gradients="features", tolerance=0.5)
    assert rough.report["relative_error"] <= 0.25


def test_never_smaller_than_the_smallest_set_and_no_larger_than_the_bound_of_greedy():
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    ones = torch.ones(9, dtype=torch.float64)
    scale = float(x.norm(dim=1).sum())
    for share in (0.8, 0.5, 0.3, 0.1):
        least = next(
            k
            for k in range(1, 10)
            if any(
                naive(x, ones, torch.tensor(rows))[0] <= share * scale
                for rows in combinations(range(9), k)
            )
        )
        answer = select_within(
            "craig", Pool(features=x), share, gradients="features", per_label=False
        )
        assert least <= len(answer) <= least + 2


def test_absolute_errors_randomness_and_costs():
    pool, weights, g = pool_of()
    generator = torch.Generator().manual_seed(5)
    answer = select_within("random", pool, 60.0, relative=False, generator=generator)
    assert naive(g, weights, answer.indices)[0] <= 60.0
    assert naive(g, weights, answer.indices[:-1])[0] > 60.0
    again = select_within("random", pool, 60.0, relative=False, seed=5)
    assert again.indices.tolist() == answer.indices.tolist()
    assert answer.report["allowed"] == 60.0
    one = select("random", pool, len(answer), seed=5)
    assert answer.cost.seconds > one.cost.seconds
    clustered = select_within("k-means", pool, 0.5, seed=1)
    error, cells = naive(g, weights, clustered.indices)
    assert clustered.report["error_bound"] == pytest.approx(error)
    assert clustered.weights.tolist() == pytest.approx(cells.tolist())


def test_given_rows_and_quotas_hold_and_what_cannot_be_kept_is_said():
    pool, _, _ = pool_of()
    answer = select_within("k-center", pool, 0.5, given=[0, 1], quotas={0: 4})
    assert not {0, 1} & set(answer.indices.tolist())
    assert int((pool.labels[answer.indices] == 0).sum()) <= 4
    with pytest.raises(ArgumentError, match=r"a relative error of 0.01 can't be kept: 3 picks"):
        select_within("k-center", pool, 0.01, most=3)
    with pytest.raises(ArgumentError, match=r"an error of 1 can't be kept: 2 picks"):
        select_within("kd-tree", pool, 1, relative=False, most=2, gradients="features")
    zeros = Pool(features=torch.zeros(5, 2))
    assert len(select_within("k-center", zeros, 0.0)) == 1


def test_what_is_asked_wrongly_is_said():
    pool, _, _ = pool_of()
    with pytest.raises(ArgumentError, match="error must be a finite number of at least 0, not -1"):
        select_within("k-center", pool, -1)
    with pytest.raises(ArgumentError, match="tolerance must be"):
        select_within("k-center", pool, 0.1, tolerance=-1)
    with pytest.raises(ArgumentError, match="measured must be"):
        select_within("k-center", pool, 0.1, measured="pixels")
    with pytest.raises(ArgumentError, match=r"pool must be a clcore\.Pool"):
        select_within("k-center", torch.eye(3), 0.1)
    with pytest.raises(UnknownNameError):
        select_within("k-centre-of", pool, 0.1)
    with pytest.raises(ArgumentError, match="options go with a name"):
        select_within(create("k-center"), pool, 0.1, first="center")
    with pytest.raises(SignalError, match="measured in 'logit_gradients'"):
        select_within("k-center", Pool(features=torch.eye(3)), 0.1, measured="logits")
