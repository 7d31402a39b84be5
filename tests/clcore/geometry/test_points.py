"""Distances against the plain definition in double precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore.geometry import Points, step_loop
from clcore.geometry.threads import SMALL_STEP


def plain(x, rows):
    x = x.double()
    return (x[rows][:, None, :] - x[None, :, :]).square().sum(dim=2)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.integers(1, 30), st.integers(1, 8), st.floats(-1e3, 1e3), st.integers(0, 9),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_squared_distances(n, d, offset, seed, kind):
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn(n, d, generator=generator, dtype=torch.float64) + offset).to(kind)
    rows = torch.randperm(n, generator=generator)[: n // 2 + 1]
    points = Points(x)
    expected = plain(x, rows)
    tolerance = 1e-4 if kind == torch.float32 else 1e-11
    assert torch.allclose(points.to_rows(rows).double(), expected, atol=tolerance, rtol=tolerance)
    for place, row in enumerate(rows.tolist()):
        squared = points.to_row(row)
        assert squared[row] == 0
        assert bool((squared >= 0).all())
        assert torch.allclose(squared.double(), expected[place], atol=tolerance, rtol=tolerance)
    least, place = points.nearest(rows)
    assert torch.allclose(least.double(), expected.min(dim=0).values, atol=tolerance)
    assert torch.allclose(expected.gather(0, place[None])[0], expected.min(dim=0).values, atol=1e-3)
    assert points.evaluations == 3 * n * len(rows)


def test_copies_are_at_distance_zero():
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)) * 100
    squared = Points(torch.cat([x, x])).to_rows(torch.arange(10))
    assert squared[torch.arange(10), (torch.arange(10) + 5) % 10].max() == 0


def test_nearest_works_in_blocks(monkeypatch):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(0, 40, 3)
    least, place = Points(x).nearest(rows)
    monkeypatch.setattr("clcore.geometry.points.BLOCK_BYTES", 40 * 4 * 2 * 2)
    again, place_again = Points(x).nearest(rows)
    assert torch.allclose(least, again, atol=1e-5)
    assert torch.equal(place, place_again)


def test_nearest_of_nothing_is_infinitely_far():
    least, place = Points(torch.ones(3, 2)).nearest(torch.empty(0, dtype=torch.int64))
    assert bool(torch.isinf(least).all())
    assert place.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("work", "threads"), [(SMALL_STEP - 1, 1), (SMALL_STEP, 2)])
def test_small_steps_run_on_one_thread(work, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with step_loop(work):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
