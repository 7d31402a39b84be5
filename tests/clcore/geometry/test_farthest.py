"""Farthest-first against the definition in double precision, on every path."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore.geometry import Points, farthest_first
from clcore.geometry.farthest import plainly
from clcore.geometry.farthest_lazy import BINS, find_floor
from clcore.quotas import Allowance

NONE = torch.empty(0, dtype=torch.int64)


def brute(x, k, *, taken=(), first=None, keys=None, left=None, ignored=0):
    """Return picks and radii by the definition, with all pairs."""
    x = x.double()
    closest = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for row in taken:
        closest = torch.minimum(closest, (x - x[row]).square().sum(dim=1))
    is_open = torch.ones(len(x), dtype=torch.bool)
    is_open[list(taken)] = False
    left = dict(left or {})
    picks, radii = [], []
    while True:
        for key, quota in left.items():
            if quota == 0:
                is_open[keys == key] = False
        order = torch.argsort(-closest, stable=True).tolist()
        radii.append(float(closest[order[ignored]].sqrt()))
        if len(picks) == k:
            return picks, radii
        usual = (row for row in order[ignored:] if is_open[row])
        resort = (row for row in reversed(order[:ignored]) if is_open[row])
        row = next(usual, None)
        row = next(resort) if row is None else row
        if first is not None and not picks:
            row = first
        picks.append(row)
        is_open[row] = False
        closest = torch.minimum(closest, (x - x[row]).square().sum(dim=1))
        if keys is not None and int(keys[row]) in left:
            left[int(keys[row])] -= 1


def drawn_case(data, x):
    """Draw rules for rows and return the traversal's arguments and the definition's answer."""
    n = len(x)
    taken = sorted(data.draw(st.sets(st.integers(0, n - 1), max_size=3), label="given"))
    keys = torch.arange(n) % 3
    left = data.draw(st.none() | st.fixed_dictionaries({0: st.integers(0, 3)}), label="quotas")
    ignored = data.draw(st.integers(0, n - 1), label="ignored")
    chosen = torch.tensor(taken, dtype=torch.int64)
    allowance = Allowance(n, x.device, given=chosen, keys=keys, quotas=left)
    k = min(data.draw(st.integers(1, n), label="k"), allowance.capacity())
    first = None if taken else int(allowance.open.to(torch.uint8).argmax())
    answer = brute(x, k, taken=taken, first=first, keys=keys, left=left, ignored=ignored)
    return k, allowance, chosen, first, ignored, answer


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.data())
def test_is_the_definition_to_the_last_tie(data):
    n = data.draw(st.integers(2, 24), label="rows")
    # Whole numbers: many copies and ties.
    values = data.draw(st.lists(st.integers(-2, 2), min_size=2 * n, max_size=2 * n), label="values")
    x = torch.tensor(values).reshape(n, 2).float()
    k, allowance, taken, first, ignored, (picks, radii) = drawn_case(data, x)
    found = farthest_first(
        Points(x), k, allowance=allowance, given=taken, first=first, ignored=ignored
    )
    assert found.rows.tolist() == picks
    assert found.radii.tolist() == pytest.approx(radii)
    assert not bool(allowance.open[found.rows].any())


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_the_path_of_other_devices_is_the_definition(data):
    n = data.draw(st.integers(2, 24), label="rows")
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99), label="seed"))
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    k, allowance, taken, first, ignored, (picks, radii) = drawn_case(data, x)
    found = plainly(Points(x), k, allowance, taken, first, ignored)
    assert found.rows.tolist() == picks
    assert found.radii.tolist() == pytest.approx(radii, abs=1e-6)
    assert not bool(allowance.open[found.rows].any())


def clustered(n, d, seed, kind=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    centres = 5 * torch.randn(12, d, generator=generator)
    which = torch.randint(12, (n,), generator=generator)
    return (centres[which] + torch.randn(n, d, generator=generator) + 100).to(kind)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("ignored", [0, 5])
def test_long_runs_are_exact_far_from_the_origin(kind, ignored):
    x = clustered(1500, 6, 0, kind)
    allowance = Allowance(1500, x.device)
    points = Points(x)
    found = farthest_first(points, 400, allowance=allowance, given=NONE, first=3, ignored=ignored)
    picks, radii = brute(x, 400, first=3, ignored=ignored)
    assert found.rows.tolist() == picks
    assert found.radii[1:].tolist() == pytest.approx(radii[1:], rel=1e-12)
    assert points.evaluations < 0.5 * 1500 * 400


@pytest.mark.parametrize("scale", [1e-30, 1e18, 1e30])
def test_squares_that_single_precision_cannot_hold(scale):
    x = clustered(300, 3, 1) * scale
    allowance = Allowance(300, x.device)
    found = farthest_first(Points(x), 30, allowance=allowance, given=NONE, first=0)
    assert found.rows.tolist() == brute(x, 30, first=0)[0]


def test_one_far_outlier_does_not_keep_all_rows_active():
    x = clustered(4000, 4, 2)
    x[17] *= 1e6
    points, allowance = Points(x), Allowance(4000, x.device)
    found = farthest_first(points, 300, allowance=allowance, given=NONE, first=0)
    assert found.rows[:2].tolist() == [0, 17]
    assert found.rows.tolist() == brute(x, 300, first=0)[0]
    assert points.evaluations < 0.5 * 4000 * 300


def test_closed_rows_in_front_do_not_stop_the_search():
    """Rows that may not be picked are farther than all others and more than are let in at once."""
    x = torch.cat([clustered(500, 3, 3), clustered(500, 3, 4) + 1000])
    keys = torch.arange(1000) // 500
    allowance = Allowance(1000, x.device, keys=keys, quotas={1: 2})
    found = farthest_first(Points(x), 40, allowance=allowance, given=NONE, first=0)
    picks, radii = brute(x, 40, first=0, keys=keys, left={1: 2})
    assert found.rows.tolist() == picks
    assert found.radii[1:].tolist() == pytest.approx(radii[1:])


@pytest.mark.parametrize("walk", ["lazy", "plain"])
def test_stops_at_a_radius(walk):
    x = clustered(300, 3, 5, torch.float64)
    _, radii = brute(x, 40, first=0)
    for radius, expected in ((radii[20], 20), (radii[20] * 1.0001, 20), (0.0, 40)):
        allowance = Allowance(300, x.device)
        if walk == "lazy":
            found = farthest_first(
                Points(x), 40, allowance=allowance, given=NONE, first=0, radius=radius
            )
        else:
            found = plainly(Points(x), 40, allowance, NONE, 0, radius=radius * (1 + 1e-9))
        assert len(found.rows) == expected
        assert len(found.radii) == expected + 1


def test_with_nothing_taken_the_first_row_that_may_be_picked_is_first():
    x = clustered(20, 2, 6)
    allowance = Allowance(20, x.device, keys=torch.arange(20) // 5, quotas={0: 0})
    found = farthest_first(Points(x), 3, allowance=allowance, given=NONE)
    assert found.rows[0] == 5
    assert found.radii[0] == torch.inf


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40), st.integers(1, 40))
def test_the_floor_leaves_enough_above_it(values, target):
    bound, bins = np.array(values), np.empty(BINS, np.int64)
    floor = find_floor(bound, target, bins)
    above = int((bound > floor).sum())
    assert above >= min(target, len(values))
    if floor >= 0:  # the last bin alone makes it more than was asked for
        assert int((bound > floor * (1 + 2**-8)).sum()) <= target
