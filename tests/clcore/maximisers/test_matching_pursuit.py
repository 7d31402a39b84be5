"""Matching pursuit against a slow one in double precision, on multiplied-out gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from clcore import ArgumentError, Pool, Stop, select
from clcore.maximisers import create
from clcore.maximisers.matching_pursuit import MatchingPursuit
from clcore.objectives.facility_location import FacilityLocation
from clcore.objectives.gradient_matching import GradientMatching
from clcore.quotas import Allowance


def factors(n, classes, d, seed, kind=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    errors = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64)
    plain = torch.einsum("nc,nd->ncd", errors, torch.cat([features, torch.ones(n, 1)], dim=1))
    return (errors.to(kind), features.to(kind)), plain.reshape(n, -1)


def slow_pursuit(gradients, k, ridge, normalise=False, taken=(), look_ahead=False):
    """Largest correlation, then SciPy's solver on all that were picked, anew each time."""
    gradients, chosen = gradients.double().numpy(), list(taken)
    target = gradients.sum(axis=0)
    values = []
    for step in range(k + 1):
        padded = np.vstack([gradients[chosen].T, np.sqrt(ridge) * np.eye(len(chosen))])
        weights, length = np.zeros(0), np.linalg.norm(target)
        if chosen:
            weights, length = nnls(padded, np.concatenate([target, np.zeros(len(chosen))]))
        values.append(target @ target - length**2)
        left = target - gradients[chosen].T @ weights
        correlations = gradients @ left
        if look_ahead:
            passive = [row for row, weight in zip(chosen, weights, strict=True) if weight > 0]
            squares = (gradients**2).sum(axis=1) + ridge
            cross = gradients @ gradients[passive].T
            gram = gradients[passive] @ gradients[passive].T + ridge * np.eye(len(passive))
            unspanned = squares - (cross * np.linalg.solve(gram, cross.T).T).sum(axis=1)
            unspanned[unspanned < 1e-9 * squares] = np.inf
            correlations = correlations / np.sqrt(unspanned)
        elif normalise:
            correlations = correlations / np.sqrt((gradients**2).sum(axis=1) + ridge)
        correlations[chosen] = -np.inf
        if step < k:
            chosen.append(int(correlations.argmax()))
    relative = np.linalg.norm(left) / np.linalg.norm(target)
    return chosen[len(taken) :], np.diff(values), weights, relative


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.integers(0, 99), st.sampled_from([0.0, 0.5, 10.0]), st.booleans(), st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_is_the_slow_pursuit(seed, ridge, normalise, plain, kind):
    (errors, features), gradients = factors(40, 4, 5, seed, kind)
    if plain:
        pool = Pool(projected_gradients=gradients.to(kind))
        function = GradientMatching(pool, gradients="projected_gradients", ridge=ridge)
    else:
        function = GradientMatching(Pool(logit_gradients=errors, features=features), ridge=ridge)
    picks = MatchingPursuit(normalise=normalise).maximise(function, 12)
    rows, gains, weights, residual = slow_pursuit(gradients, 12, ridge, normalise)
    near = 1e-3 if kind == torch.float32 else 1e-7
    assert picks.rows == rows
    assert picks.gains == pytest.approx(gains.tolist(), rel=near, abs=near)
    assert function.fitted(torch.tensor(rows)).tolist() == pytest.approx(
        weights.tolist(), rel=near, abs=near
    )
    assert function.residual() == pytest.approx(residual, rel=near, abs=1e-6)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 99), st.sampled_from([0.0, 0.5, 10.0]), st.booleans())
def test_looking_ahead_takes_what_the_fit_gains_most_from(seed, ridge, plain):
    (errors, features), gradients = factors(40, 3, 4, seed)
    pool = Pool(logit_gradients=errors, features=features, projected_gradients=gradients)
    kind = "projected_gradients" if plain else "last-layer"
    function = GradientMatching(pool, gradients=kind, ridge=ridge)
    picks = MatchingPursuit(look_ahead=True).maximise(function, 14)
    rows, gains, _, _ = slow_pursuit(gradients, 14, ridge, look_ahead=True)
    assert picks.rows == rows
    assert picks.gains == pytest.approx(gains.tolist(), rel=1e-7, abs=1e-7)


def test_looking_ahead_leaves_less():
    (errors, features), _ = factors(300, 5, 9, 0)
    pool = Pool(logit_gradients=errors + 0.5, features=features + 1)
    left = []
    for options in ({}, {"normalise": True}, {"look_ahead": True}):
        function = GradientMatching(pool, ridge=0)
        MatchingPursuit(**options).maximise(function, 25)
        left.append(function.residual())
    assert left[2] < left[1] < left[0]


def test_through_the_greedy_selector():
    (errors, features), gradients = factors(30, 3, 4, 1)
    pool = Pool(logit_gradients=errors, features=features)
    coreset = select(
        "greedy", pool, 6, set_function="gradient-matching", maximiser="matching-pursuit"
    )
    assert coreset.indices.tolist() == slow_pursuit(gradients, 6, 0.5)[0]
    given = select(
        "greedy", pool, 4, set_function="gradient-matching", maximiser="matching-pursuit",
        given=[2, 9],
    )  # fmt: skip
    assert given.indices.tolist() == slow_pursuit(gradients, 4, 0.5, taken=[2, 9])[0]


def test_a_set_used_up_is_filled_with_rows_of_weight_zero():
    (errors, features), _ = factors(50, 2, 2, 3)
    function = GradientMatching(Pool(logit_gradients=errors, features=features), ridge=0)
    picks = MatchingPursuit().maximise(function, 40)
    assert len(set(picks.rows)) == 40
    weights = function.fitted(torch.tensor(picks.rows))
    assert bool((weights >= 0).all())
    assert int((weights > 0).sum()) <= 6  # as many as the gradients have dimensions
    assert function.residual() < 1e-6
    assert all(gain >= -1e-9 * function.square for gain in picks.gains)


def test_what_cannot_be_matched_is_left():
    # The target of the validation rows points away from every candidate.
    pool = Pool(projected_gradients=torch.eye(4).double())
    away = Pool(projected_gradients=-torch.ones(1, 4).double())
    function = GradientMatching(pool, gradients="projected_gradients", validation=away)
    picks = MatchingPursuit().maximise(function, 3)
    assert picks.rows == [0, 1, 2]
    assert picks.gains == [0, 0, 0]
    assert function.residual() == 1


def test_stops_at_a_tolerance_and_at_a_gain():
    (errors, features), gradients = factors(60, 4, 5, 2)
    pool = Pool(logit_gradients=errors, features=features)
    method = MatchingPursuit(tolerance=0.3)
    function = GradientMatching(pool)
    picks = method.maximise(function, 60)
    assert 0 < len(picks) < 60
    assert function.residual() <= 0.3
    assert slow_pursuit(gradients, len(picks) - 1, 0.5)[3] > 0.3
    assert method.stops_early
    assert not MatchingPursuit().stops_early
    few = MatchingPursuit().maximise(GradientMatching(pool), 60, stop=Stop(gain=10.0))
    following = GradientMatching(pool)
    following.add(torch.tensor(few.rows))
    row = slow_pursuit(gradients, len(few) + 1, 0.5)[0][-1]
    assert 0 < len(few) < 60
    assert float(following.gains(torch.tensor([row]))) <= 10.0
    half = GradientMatching(pool, ridge=0)
    MatchingPursuit().maximise(half, 60, stop=Stop(coverage=0.5))
    assert 0.5 <= half.value() / half.square < 0.9


def test_quotas_are_kept():
    (errors, features), _ = factors(30, 3, 4, 1)
    keys = torch.arange(30) % 3
    allowance = Allowance(30, keys.device, keys=keys, quotas={0: 2, 1: 0})
    function = GradientMatching(Pool(logit_gradients=errors, features=features))
    picks = MatchingPursuit().maximise(function, 8, allowance=allowance)
    assert [int(keys[row]) for row in picks.rows].count(0) <= 2
    assert {int(keys[row]) for row in picks.rows} == {0, 2}


def test_clustered_gradients_reach_what_the_slow_way_reaches():
    """The figures that the docstrings of the selectors give, at a tenth of the size."""
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(20, 65, generator=generator)
    which = torch.randint(20, (500,), generator=generator)
    gradients = centres[which] + torch.randn(500, 65, generator=generator)
    function = GradientMatching(
        Pool(projected_gradients=gradients), gradients="projected_gradients", ridge=0
    )
    picks = MatchingPursuit().maximise(function, 40)
    rows, _, _, residual = slow_pursuit(gradients, 40, 0.0)
    assert picks.rows == rows
    assert function.residual() == pytest.approx(residual, rel=1e-4)


def test_refuses_other_functions_and_options():
    with pytest.raises(ArgumentError, match="needs the function gradient-matching"):
        create("matching-pursuit").maximise(FacilityLocation(Pool(features=torch.eye(3))), 2)
    for tolerance in (-0.1, 1, float("nan"), "small", True):
        with pytest.raises(ArgumentError, match="tolerance must be"):
            MatchingPursuit(tolerance=tolerance)
    for name in ("normalise", "look_ahead"):
        with pytest.raises(ArgumentError, match=f"{name} must be"):
            MatchingPursuit(**{name: 1})
