"""What every registered set function owes to the maximisers."""

import itertools
import math

import pytest
import torch

from clcore import Pool
from clcore.objectives import create, get, names
from clcore.testing import example_pool

# Options under which a function is another one, and makes another promise.
VARIANTS = [
    ("feature-based", {"negative": "split"}),
    ("feature-based", {"negative": "split", "concave": "log1p"}),
    ("feature-based", {"negative": "split", "concave": "min", "saturation": 0.4}),
    ("graph-cut", {"similarity": "dot"}),
    ("graph-cut", {"similarity": "rbf"}),
    ("graph-cut", {"trade_off": 0.3}),
    ("k-center", {"outliers": 0.25}),
    ("kernel-mean", {"kernel": "laplace", "normalise": True}),
    ("log-determinant", {"jitter": 1.0}),
    ("log-determinant", {"kernel": "linear"}),
    ("log-determinant", {"kernel": "cosine", "quality": "costs"}),
    ("moment-matching", {"normalise": True}),
    ("saturated-coverage", {"similarity": "cosine", "saturation": 0.5}),
    ("saturated-coverage", {"similarity": "dot"}),
]
CASES = [(name, {}) for name in names() if name != "feature-based"] + VARIANTS


def case_id(case):
    return case if isinstance(case, str) else "-".join(map(str, case.values()))


def make(name, options, rows=8, seed=0, dtype=torch.float64):
    return create(name, pool=example_pool(rows, seed, dtype), **options)


def near(value):
    return pytest.approx(value, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_id)
def test_gains_are_differences_of_values(name, options):
    function = make(name, options)
    assert function.value() == near(0)
    every = torch.arange(len(function))
    chosen = []
    for row in (5, 1, 7, 0):
        gains = function.gains(every)
        assert gains.shape == (8,)
        for other in set(range(8)) - set(chosen):
            with_it = function.evaluate([*chosen, other])
            assert float(gains[other]) == near(with_it - function.value())
        some = function.gains(torch.tensor([row, 3 if row != 3 else 2]))
        assert float(some[0]) == near(float(gains[row]))
        function.add(torch.tensor([row]))
        chosen.append(row)
        assert function.evaluate(chosen) == near(function.value())
    ceiling = function.ceiling()
    assert ceiling is None or function.value() <= ceiling + 1e-7


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_id)
def test_promises_hold_on_every_pair_of_nested_sets(name, options):
    function = make(name, options, rows=5, seed=3)
    subsets = [frozenset(rows) for k in range(6) for rows in itertools.combinations(range(5), k)]
    values = {rows: function.evaluate(sorted(rows)) for rows in subsets}
    for small in subsets:
        for row in set(range(5)) - small:
            gain = values[small | {row}] - values[small]
            if function.monotone:
                assert gain >= -1e-7
            for large in subsets:
                if function.submodular and small < large and row not in large:
                    assert gain >= values[large | {row}] - values[large] - 1e-7


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_id)
def test_copies_go_their_own_way(name, options):
    function = make(name, options)
    function.start(torch.tensor([2]))
    function.add(torch.tensor([4]))
    value = function.value()
    other, empty = function.fork(), function.fresh()
    assert other.value() == value
    assert other.given.tolist() == [2]
    assert empty.value() == near(0)
    assert empty.given.tolist() == []
    other.add(torch.tensor([6]))
    empty.add(torch.tensor([0]))
    assert function.value() == value
    function.add(torch.tensor([6]))
    assert function.value() == other.value()
    function.reset()
    assert function.value() == near(0)


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_id)
def test_a_part_is_the_function_of_a_smaller_pool(name, options):
    function = make(name, options, rows=12)
    rows = torch.tensor([9, 2, 4, 7])
    part = function.part(rows)
    assert len(part) == 4
    again = function.part(rows)
    assert part.evaluate([0, 3]) == near(again.evaluate([3, 0]))
    if name in ("feature-based", "moment-matching"):  # nothing is learnt from the pool's extent
        direct = create(name, pool=function.pool.subset(rows), **options)
        assert part.evaluate([1, 2]) == near(direct.evaluate([1, 2]))


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_id)
def test_single_precision_gives_nearly_the_same_gains(name, options):
    double, single = make(name, options), make(name, options, dtype=torch.float32)
    for function in (double, single):
        function.add(torch.tensor([1, 6]))
    rows = torch.tensor([0, 2, 3, 4, 5, 7])
    gains = double.gains(rows)
    scale = max(1.0, float(gains.abs().max()))
    assert torch.allclose(single.gains(rows).double(), gains, atol=1e-4 * scale)


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_id)
def test_equal_rows_give_finite_gains_that_are_equal(name, options):
    pool = example_pool(6)
    same = pool.subset([0] * 6)
    function = create(name, pool=same, **options)
    for step in range(5):
        gains = function.gains(torch.arange(step, 6))
        assert bool(torch.isfinite(gains).all())
        assert float(gains.max() - gains.min()) < 1e-9 * max(1.0, float(gains.abs().max()))
        function.add(torch.tensor([step]))
    assert math.isfinite(function.value())


@pytest.mark.parametrize("name", sorted({name for name, _ in VARIANTS}))
def test_an_empty_pool_has_the_empty_set(name):
    options = {"negative": "split"} if name == "feature-based" else {}
    function = create(name, pool=Pool(features=torch.zeros(0, 3)), **options)
    assert function.gains(torch.arange(0)).shape == (0,)
    assert function.evaluate([]) == 0


@pytest.mark.parametrize("name", names())
def test_words(name):
    module = __import__(get(name).__module__, fromlist=["__doc__"])
    assert "Source:" in (module.__doc__ or "")
    assert "Formula:" in (module.__doc__ or "")
