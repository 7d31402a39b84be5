"""What every maximiser owes: the guarantee, the number of picks, quotas, rows given, stops."""

import itertools
import math

import pytest
import torch

from clcore import ArgumentError, Pool, Stop, select
from clcore.maximiser import Maximiser
from clcore.maximisers import create, get, names
from clcore.objectives import create as function_of
from clcore.quotas import Allowance
from clcore.testing import example_pool

BEST = 1 - 1 / math.e
# The least share of the best value: for randomised ones in expectation, so over several seeds.
GUARANTEES = {
    "plain": (create("plain"), BEST),
    "lazy": (create("lazy"), BEST),
    "lazy-2": (create("lazy", batch=2), BEST),
    "stochastic": (create("stochastic"), BEST - 0.1),
    "stochastic-eager": (create("stochastic", epsilon=0.3, lazy=False), BEST - 0.3),
    "threshold": (create("threshold"), BEST - 0.1),
    "threshold-coarse": (create("threshold", epsilon=0.4, batch=3), BEST - 0.4),
    "sieve": (create("sieve", block=4), 0.5 - 0.1),
    "sieve-random": (create("sieve", order="random", epsilon=0.2), 0.5 - 0.2),
    "partitioned": (create("partitioned", parts=3, local=False), BEST / 2),
    "partitioned-plain": (create("partitioned", parts=2, local=False, inner="plain"), BEST / 2),
    "knapsack": (create("knapsack", budget=1e6), BEST / 2),
}
MAXIMISERS = {
    **{name: maximiser for name, (maximiser, _) in GUARANTEES.items()},
    "partitioned-local": create("partitioned", parts=3),
    "partitioned-default": create("partitioned"),
}
FUNCTIONS = {
    "facility-location": {},
    "kernel-coverage": {"bandwidth": 3.0},
    "graph-cut": {},
    "saturated-coverage": {"saturation": 0.3},
    "feature-based": {"negative": "split"},
    "log-determinant": {"jitter": 1.0},
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_every_maximiser_is_here():
    general = set(names()) - {"matching-pursuit"}  # which is for one function alone
    assert {maximiser.name for maximiser in MAXIMISERS.values()} == general


@pytest.mark.parametrize("maximiser", GUARANTEES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_guarantee(function, maximiser):
    method, share = GUARANTEES[maximiser]
    found, best = 0.0, 0.0
    for seed in range(4):
        objective = function_of(function, pool=example_pool(11, seed), **FUNCTIONS[function])
        assert objective.monotone or function == "graph-cut"  # whose weights may be below 1
        best += max(objective.evaluate(rows) for rows in itertools.combinations(range(11), 3))
        picks = method.maximise(objective, 3, generator=seeded(seed))
        found += objective.value()
        assert objective.value() == pytest.approx(sum(picks.gains), rel=1e-9, abs=1e-9)
        assert objective.evaluate(picks.rows) == pytest.approx(objective.value())
    assert found >= share * best


@pytest.mark.parametrize("maximiser", MAXIMISERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_as_many_as_asked_for_each_once(function, maximiser):
    method = MAXIMISERS[maximiser]
    pool = example_pool(23, 5)
    for k in (0, 1, 7, 23, 30):
        objective = function_of(function, pool=pool, **FUNCTIONS[function])
        allowance = Allowance(23, pool.device)
        picks = method.maximise(objective, k, allowance=allowance, generator=seeded(0))
        assert len(picks) == len(picks.gains) == min(k, 23)
        assert len(set(picks.rows)) == len(picks)
        assert allowance.capacity() == 23 - len(picks)
        assert all(math.isfinite(gain) for gain in picks.gains)


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_quotas_and_rows_given(maximiser):
    method = MAXIMISERS[maximiser]
    pool = example_pool(30, 2)
    quotas = {0: 2, 1: 0, 2: 3}
    for given in ([], [4, 9, 12]):
        objective = function_of("facility-location", pool=pool)
        taken = torch.tensor(given, dtype=torch.int64)
        objective.start(taken)
        allowance = Allowance(30, pool.device, given=taken, keys=pool.labels, quotas=quotas)
        picks = method.maximise(objective, 10, allowance=allowance, generator=seeded(1))
        assert not set(picks.rows) & set(given)
        labels = pool.labels[picks.rows].tolist()
        assert [labels.count(label) for label in (0, 1, 2)] == [2, 0, 3]
        assert objective.value() == pytest.approx(objective.evaluate(given + picks.rows))
        assert allowance.capacity() == 0


@pytest.mark.parametrize("maximiser", ["plain", "lazy"])
def test_quotas_leave_half_of_the_best(maximiser):
    for seed in range(5):
        pool = example_pool(10, seed)
        objective = function_of("facility-location", pool=pool)
        allowance = Allowance(10, pool.device, keys=pool.groups, quotas={0: 1, 1: 2})
        best = max(
            objective.evaluate(rows)
            for rows in itertools.combinations(range(10), 3)
            if sum(row % 2 for row in rows) == 2
        )
        create(maximiser).maximise(objective, 3, allowance=allowance)
        assert objective.value() >= best / 2


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_the_same_seed_gives_the_same_picks(maximiser):
    method = MAXIMISERS[maximiser]

    def picks(seed):
        objective = function_of("facility-location", pool=example_pool(60, 8))
        return method.maximise(objective, 8, generator=seeded(seed)).rows

    assert picks(3) == picks(3)
    seeds = {tuple(picks(seed)) for seed in range(6)}
    if not method.randomised:
        assert len(seeds) == 1
    elif maximiser != "sieve":  # which goes by the order of the pool
        assert len(seeds) > 1


@pytest.mark.parametrize("maximiser", [n for n, m in MAXIMISERS.items() if m.prefix])
def test_prefixes(maximiser):
    def picks(k):
        objective = function_of("facility-location", pool=example_pool(60, 8))
        return MAXIMISERS[maximiser].maximise(objective, k).rows

    assert all(picks(k) == picks(20)[:k] for k in range(20))


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_stops(maximiser):
    method = MAXIMISERS[maximiser]

    def run(stop):
        objective = function_of("saturated-coverage", pool=example_pool(40, 1), saturation=0.5)
        picks = method.maximise(objective, 30, generator=seeded(0), stop=stop)
        return picks, objective

    half = run(None)[1].ceiling() / 2
    for stop in (Stop(coverage=0.5), Stop(value=half), Stop(coverage=0.5, value=2 * half)):
        picks, objective = run(stop)
        assert half - 1e-5 * half <= objective.value()
        # The last pick was needed.
        assert objective.evaluate(picks.rows[:-1]) < half
        assert len(picks) < 30
    whole = run(Stop(coverage=1.0))[1]
    assert whole.value() == pytest.approx(whole.ceiling(), rel=1e-5)
    least = run(None)[1].value() / 30
    picks, objective = run(Stop(gain=least))
    assert 0 < len(picks) < 30
    assert min(picks.gains) > least
    assert run(Stop(gain=1e9))[0].rows == []


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_a_coverage_without_a_ceiling_is_refused(maximiser):
    objective = function_of("graph-cut", pool=example_pool(10))
    with pytest.raises(ArgumentError, match="coverage cannot be watched: graph-cut has no largest"):
        MAXIMISERS[maximiser].maximise(objective, 3, stop=Stop(coverage=0.5))


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_a_function_that_is_not_submodular(maximiser):
    method = MAXIMISERS[maximiser]
    objective = function_of("moment-matching", pool=example_pool(20, 3))
    if maximiser.startswith(("plain", "stochastic", "knapsack", "partitioned-plain")):
        assert len(method.maximise(objective, 5)) == 5
    else:
        with pytest.raises(ArgumentError, match="moment-matching is not submodular"):
            method.maximise(objective, 5)


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_equal_rows(maximiser):
    pool = Pool(features=torch.ones(12, 3), costs=torch.ones(12))
    for function in ("facility-location", "graph-cut", "log-determinant", "feature-based"):
        objective = function_of(function, pool=pool)
        picks = MAXIMISERS[maximiser].maximise(objective, 5)
        assert len(set(picks.rows)) == 5
        if maximiser in ("plain", "lazy", "lazy-2", "threshold"):
            assert picks.rows == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_as_a_selector(maximiser):
    pool = example_pool(40, 3)
    picks = select("greedy", pool, 6, maximiser=MAXIMISERS[maximiser], given=[1, 2], seed=4)
    assert len(picks) == 6
    assert picks.cost.distance_evaluations > 0


@pytest.mark.parametrize("name", names())
def test_words(name):
    assert issubclass(get(name), Maximiser)
    module = __import__(get(name).__module__, fromlist=["__doc__"])
    for part in ("Source:", "Formula:"):
        assert part in (module.__doc__ or "")
