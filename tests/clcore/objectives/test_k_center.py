"""The covering radius against all distances."""

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.maximisers import create
from clcore.objectives.k_center import KCenter
from clcore.testing import example_pool


def test_radius_is_the_largest_distance_to_the_nearest_pick():
    pool = example_pool(40, seed=2)
    x = pool.signal("features")
    rows = select("k-center", pool, 6).indices
    nearest = torch.cdist(x, x[rows]).min(dim=1).values
    function = KCenter(pool)
    function.add(rows)
    assert function.radius() == pytest.approx(float(nearest.max()))
    assert function.value() == pytest.approx(function.ceiling() - float(nearest.max()))


@pytest.mark.parametrize(("share", "spared"), [(0.1, 4), (0.25, 10), (0.12, 4)])
def test_outliers_are_the_farthest_rows(share, spared):
    x = example_pool(40, seed=2).signal("features")
    rows = [0, 11, 30]
    nearest = torch.cdist(x, x[rows]).min(dim=1).values.sort(descending=True).values
    function = KCenter(Pool(features=x), outliers=share)
    function.add(torch.tensor(rows))
    assert function.radius() == pytest.approx(float(nearest[spared]))


def test_weights_say_what_must_be_covered_and_what_an_outlier_costs():
    x = torch.tensor([[0.0], [1.0], [5.0], [9.0]], dtype=torch.float64)
    ignored = KCenter(Pool(features=x, weights=[1, 1, 1, 0]))
    ignored.add(torch.tensor([0]))
    assert ignored.radius() == pytest.approx(5)
    # A quarter of the weight, 8, is 2: the last row may be an outlier, the last two may not.
    heavy = KCenter(Pool(features=x, weights=[3, 2, 1, 2]), outliers=0.25)
    heavy.add(torch.tensor([0]))
    assert heavy.radius() == pytest.approx(5)


def test_lazy_is_refused_and_plain_works():
    function = KCenter(example_pool(20))
    with pytest.raises(ArgumentError, match="k-center is not submodular"):
        create("lazy").maximise(function, 3)
    assert len(create("plain").maximise(function, 3)) == 3


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_wrong_share(share):
    with pytest.raises(ArgumentError, match="outliers must be at least 0 and below 1"):
        KCenter(Pool(features=torch.eye(3)), outliers=share)
