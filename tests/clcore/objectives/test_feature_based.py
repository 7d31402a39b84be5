"""Feature-based functions against their formula written out."""

import pytest
import torch

from clcore import ArgumentError, Pool, SignalError
from clcore.objectives.feature_based import FeatureBased

X = torch.rand(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ROWS = [3, 17, 4, 0]


@pytest.mark.parametrize(
    ("concave", "phi"),
    [
        ("sqrt", torch.sqrt),
        ("log1p", torch.log1p),
        ("min", lambda sums: torch.minimum(sums, 0.15 * X.sum(dim=0))),
    ],
)
def test_value_is_the_formula(concave, phi):
    weights = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0])
    function = FeatureBased(Pool(features=X), concave, 0.15, weights)
    expected = float(phi(X[ROWS].sum(dim=0)) @ weights.double())
    assert function.evaluate(ROWS) == pytest.approx(expected)
    assert function.ceiling() == pytest.approx(function.evaluate(range(20)))


def test_a_row_of_weight_2_counts_as_two_copies():
    doubled = FeatureBased(Pool(features=X, weights=[2.0] + [1.0] * 19))
    twice = FeatureBased(Pool(features=torch.cat([X, X[:1]])))
    assert doubled.evaluate([0, 5]) == pytest.approx(twice.evaluate([0, 5, 20]))


def test_split_makes_two_features_of_each():
    signed = X - 0.5
    split = FeatureBased(Pool(features=signed), feature_weights=(1, 2, 3, 4, 5), negative="split")
    parts = torch.cat([signed.clamp_min(0), (-signed).clamp_min(0)], dim=1)
    both = FeatureBased(Pool(features=parts), feature_weights=(1, 2, 3, 4, 5) * 2)
    assert split.evaluate(ROWS) == pytest.approx(both.evaluate(ROWS))


def test_negative_features_are_refused_by_name_and_row():
    x = X.clone()
    x[7, 2] = -0.25
    with pytest.raises(SignalError, match=r"'features' must not be negative.*row 7 holds -0.25"):
        FeatureBased(Pool(features=x))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concave": "square"}, "concave must be one of 'sqrt', 'log1p', 'min'"),
        ({"negative": "drop"}, "negative must be one of 'error', 'split'"),
        ({"saturation": 0.0}, "saturation must be above 0"),
        ({"feature_weights": [1.0, 2.0]}, "feature_weights has 2 entries where there are 5"),
        ({"feature_weights": [-1.0] * 5}, "feature_weights must not be negative"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ArgumentError, match=said):
        FeatureBased(Pool(features=X), **options)
