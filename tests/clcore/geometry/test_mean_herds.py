"""Herds against the formula in double precision, on both paths."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore.geometry.herding_loop import pack, product, widest
from clcore.geometry.mean_herds import DeviceMeanHerd, MeanHerd, inverse_lengths


def paper(x, k, weights=None):
    """Return argmin ‖mean − mean of the picks‖ step by step, and that distance after each."""
    x = x.double()
    shares = torch.ones(len(x)).double() if weights is None else weights.double()
    mean = (shares / shares.sum()) @ x
    total, picks, distances = torch.zeros_like(mean), [], []
    for count in range(1, k + 1):
        distance = (mean - (total + x) / count).norm(dim=1)
        distance[picks] = torch.inf
        picks.append(int(distance.argmin()))
        distances.append(float(distance[picks[-1]]))
        total = total + x[picks[-1]]
    return picks, distances


def herd_of(kind, x, scale=None, **options):
    scale = torch.ones(len(x), dtype=torch.float64) if scale is None else scale
    nothing = torch.zeros(len(x), dtype=torch.bool)
    return kind(x, scale, torch.arange(len(x)), nothing, **options)


def skewed(n, d, seed, kind=torch.float32):
    """Rows whose columns differ in scale by up to 10⁴, with an offset and a few outliers."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    x *= 10 ** torch.linspace(-2, 2, d, dtype=torch.float64)
    x[:: max(1, n // 5)] *= 30
    return (x + 7).to(kind)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(2, 200), st.integers(2, 20), st.integers(0, 99), st.booleans())
def test_picks_are_those_of_double_precision(n, d, seed, weigh):
    x = skewed(n, d, seed)
    weights = torch.rand(n, generator=torch.Generator().manual_seed(seed)) if weigh else None
    k = max(1, n // 2 - 1)
    herd = herd_of(MeanHerd, x, weights=weights)
    picks, falls = herd.more(k)
    expected, distances = paper(x, k, weights)
    if n > 2:  # of two rows both are equally near to their mean
        assert picks.tolist() == expected
    start = herd_of(MeanHerd, x, weights=weights).distance
    assert (start - falls.cumsum(0)).tolist() == pytest.approx(distances, rel=1e-9)


@pytest.mark.parametrize("kind", [MeanHerd, DeviceMeanHerd])
def test_both_paths_and_in_pieces(kind):
    x = skewed(150, 6, 1, torch.float64)
    expected, _ = paper(x, 60)
    assert herd_of(kind, x).more(60)[0].tolist() == expected
    herd = herd_of(kind, x)
    pieces = [herd.more(k)[0] for k in (1, 0, 20, 39)]
    assert torch.cat(pieces).tolist() == expected
    assert not bool(herd.is_open[expected].any())


@pytest.mark.parametrize("kind", [MeanHerd, DeviceMeanHerd])
def test_scaled_rows_given_rows_and_closed_rows(kind):
    x = skewed(80, 5, 2, torch.float64)
    unit = x / x.norm(dim=1, keepdim=True)
    expected, distances = paper(unit, 30)
    is_given = torch.zeros(80, dtype=torch.bool)
    is_given[expected[:8]] = True
    herd = kind(x, inverse_lengths(x), torch.arange(80), is_given)
    assert herd.distance == pytest.approx(distances[7])
    assert herd.more(22)[0].tolist() == expected[8:]
    herd = herd_of(kind, x)
    herd.restrict(torch.arange(80) >= 78)
    assert sorted(herd.more(2)[0].tolist()) == [78, 79]


def test_a_row_of_zeros_has_no_length_to_divide_by():
    x = torch.tensor([[3.0, 4], [0, 0]])
    assert inverse_lengths(x).tolist() == pytest.approx([0.2, 1])


def test_equal_rows_go_in_order():
    picks, _ = herd_of(MeanHerd, torch.ones(6, 3)).more(6)
    assert picks.tolist() == list(range(6))


@pytest.mark.parametrize("axes", [1, 7, 64, 600, 40_000])
def test_rounded_scores_are_within_their_bound(axes):
    generator = np.random.default_rng(axes)
    x = generator.normal(size=(5, axes)) * 10.0 ** generator.uniform(-3, 3, axes)
    mean = np.zeros(axes)
    packed, step, half, slack = pack(x, np.arange(5), np.ones(5), mean)
    # The worst case for overflow: every number as large as it can be.
    largest = np.full(axes, widest(axes), dtype=np.int16)
    assert product(np.full((1, axes), 127, np.int8), 0, largest) == 127 * widest(axes) * axes
    for _ in range(3):
        w = generator.normal(size=axes)
        width = np.abs(w).max() / widest(axes)
        rounded = np.rint(w / width).astype(np.int16)
        for row in range(5):
            score = float(step[row]) * width * product(packed, row, rounded)
            assert abs(score - x[row] @ w) <= slack[row] * np.linalg.norm(w)
            assert half[row] == pytest.approx(-(x[row] @ x[row]) / 2, rel=1e-6)
