"""Moment matching against its formula and against herding."""

import pytest
import torch

from clcore import Pool, select
from clcore.maximisers import create
from clcore.objectives.moment_matching import MomentMatching
from clcore.testing import example_pool


@pytest.mark.parametrize("normalise", [False, True])
def test_value_is_the_formula(normalise):
    pool = example_pool(30, seed=2)
    x = pool.signal("features")
    x = x / x.norm(dim=1, keepdim=True) if normalise else x
    mean = (pool.weights @ x) / pool.weights.sum()
    rows = [3, 17, 4, 29]
    function = MomentMatching(pool, normalise)
    expected = mean.square().sum() - (mean - x[rows].mean(dim=0)).square().sum()
    assert function.evaluate(rows) == pytest.approx(float(expected))
    assert function.ceiling() == pytest.approx(float(mean.square().sum()))


@pytest.mark.parametrize("normalise", [False, True])
def test_greedy_is_herding(normalise):
    pool = example_pool(60, seed=4)
    picks = create("plain").maximise(MomentMatching(pool, normalise), 25)
    herded = select("herding", pool, 25, normalise=normalise, per_label=False)
    assert picks.rows == herded.indices.tolist()


def test_a_mean_far_from_the_origin_keeps_its_digits():
    x = 1e4 + torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    single = create("plain").maximise(MomentMatching(Pool(features=x)), 10)
    picked = x[single.rows].double().mean(dim=0)
    assert float((picked - x.double().mean(dim=0)).norm()) < 0.2
