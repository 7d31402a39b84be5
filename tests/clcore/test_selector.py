"""What `Selector.select` and `clcore.select` check, measure and promise."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clcore import (
    ArgumentError,
    Coreset,
    Pool,
    Probe,
    Selector,
    SignalError,
    UnknownNameError,
    select,
)
from clcore.selectors import create
from clcore.testing import check_selector


def pool_of(rows=6, **columns):
    return Pool(features=torch.arange(rows * 2.0).reshape(rows, 2), **columns)


@dataclass(frozen=True)
class Scripted(Selector):
    """Returns what it is told, or whatever a function says."""

    answer: Any = field(default_factory=list)

    def _select(self, pool, k, *, given, allowance, generator):
        picks = self.answer(pool, k, generator) if callable(self.answer) else self.answer
        return picks if isinstance(picks, Coreset) else Coreset.of(picks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pool": torch.eye(3)}, r"pool must be a clcore\.Pool, not Tensor"),
        ({"k": -1}, "k must be a whole number of at least 0, not -1"),
        ({"k": 2.0}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"k": None}, "k must be a whole number"),
        ({"given": [6]}, "given holds 6, which is not one of the rows 0 to 5"),
        ({"given": [-1]}, "given holds -1"),
        ({"given": [1, 1]}, "given names a row twice"),
        ({"given": [0.5]}, "given must be integers"),
        ({"quotas": {0: 1}}, "quotas by labels need a pool with labels"),
        ({"quotas": {0: 1}, "quota_by": "groups"}, "quotas by groups need a pool with groups"),
        ({"quotas": {0: -2}, "pool": pool_of(labels=[0] * 6)}, r"quotas\[0\] must be .* not -2"),
        ({"quotas": [3], "pool": pool_of(labels=[0] * 6)}, "quotas must map"),
        ({"quota_by": "task"}, "quota_by must be 'labels' or 'groups', not 'task'"),
        ({"generator": 7}, "generator must be a torch.Generator, not 7"),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"pool": pool_of(), "k": 2, **arguments}
    with pytest.raises(ArgumentError, match=message):
        create("random").select(arguments.pop("pool"), arguments.pop("k"), **arguments)


def test_missing_signal_names_method_and_what_there_is():
    with pytest.raises(SignalError, match=r"herding needs the signal 'features'; .* has losses"):
        create("herding").select(Pool(losses=torch.ones(3)), 2)


def test_front_door():
    pool = pool_of(labels=[0, 0, 0, 1, 1, 1])
    assert len(select("k_center", pool, 3)) == 3
    assert len(select(create("k-center"), pool, 3)) == 3
    assert len(select("random", pool, np.int64(3), given=[0], quotas={0: 1})) == 3
    draws = [select("random", pool, 4, seed=seed).indices.tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    generator = torch.Generator().manual_seed(1)
    assert select("random", pool, 4, generator=generator).indices.tolist() == draws[0]
    with pytest.raises(UnknownNameError, match="unknown selector 'herdin'; did you mean herding"):
        select("herdin", pool, 1)
    with pytest.raises(ArgumentError, match=r"has no option 'normalize'; .* normalise"):
        select("herding", pool, 1, normalize=True)
    with pytest.raises(ArgumentError, match="options go with a name"):
        select(create("random"), pool, 1, normalise=True)
    with pytest.raises(ArgumentError, match="selector must be a name or a Selector, not 3"):
        select(3, pool, 1)
    with pytest.raises(ArgumentError, match="seed must be a whole number"):
        select("random", pool, 1, seed=-1)


def test_without_generator_the_answer_repeats_and_global_seeds_are_not_used():
    pool = pool_of(40)
    torch.manual_seed(1)
    first = create("random").select(pool, 9).indices
    torch.manual_seed(2)
    assert torch.equal(create("random").select(pool, 9).indices, first)


def test_k_is_cut_to_what_is_available():
    pool = pool_of(labels=[0, 0, 0, 1, 1, 2])
    assert len(select("random", pool, 99)) == 6
    assert len(select("random", pool, 99, given=[0, 5])) == 4
    assert len(select("random", pool, 99, given=[0], quotas={0: 1, 1: 0})) == 2
    assert len(select("random", pool, 0)) == 0
    assert len(select("herding", Pool(features=torch.empty(0, 3)), 4)) == 0


def test_quotas_by_group():
    pool = pool_of(labels=[0] * 6, groups=[1, 1, 1, 2, 2, 2])
    picks = select("k-center", pool, 6, quotas={1: 1, 2: 2}, quota_by="groups").indices
    assert pool.groups[picks].sort().values.tolist() == [1, 2, 2]


def test_cost_counts_time_and_the_passes_of_this_selection_only():
    pool = Pool.of(torch.randn(10, 4), Probe(nn.Linear(4, 2)))
    first = select("k-center", pool, 3)
    assert first.cost.forward_passes == 10
    assert first.cost.distance_evaluations == 30
    assert first.cost.seconds > 0
    assert select("k-center", pool, 3).cost.forward_passes == 0


def test_nothing_is_computed_where_nothing_can_be_picked():
    pool = Pool.of(torch.randn(10, 4), Probe(nn.Linear(4, 2)))
    assert len(select("k-center", pool, 3, given=list(range(10)))) == 0
    assert pool.cost.forward_passes == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0], "1 picks where 2 were due"),
        ([1, 1], "repeated or out of range"),
        ([0, 6], "repeated or out of range"),
        ([0, 5], "were given, or beyond a quota"),
        ([1, 2], "were given, or beyond a quota"),
    ],
)
def test_broken_methods_are_caught(answer, message):
    pool = pool_of(labels=[0, 1, 1, 2, 2, 2])
    with pytest.raises(AssertionError, match=message):
        Scripted(answer).select(pool, 2, given=[5], quotas={1: 1})


def test_a_method_that_draws_globally_leaves_no_trace():
    def careless(pool, k, generator):
        random.random()
        return torch.randperm(len(pool))[:k]

    state = torch.get_rng_state(), random.getstate()
    Scripted(careless).select(pool_of(), 2)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]


def test_names():
    assert Scripted.name == "test-selector"

    class Named(Selector):
        name = "my-name"

    assert Named.name == "my-name"


@dataclass(frozen=True)
class Good(Selector):
    """Rows by their first feature."""

    def _select(self, pool, k, *, given, allowance, generator):
        order = pool.signal("features")[:, 0].argsort()
        return Coreset.of(allowance.first(order, k))


@dataclass(frozen=True)
class GlobalDraws(Good):
    """Uses the global generator."""

    randomised = True

    def _select(self, pool, k, *, given, allowance, generator):
        return Coreset.of(allowance.first(torch.randperm(len(pool)), k))


@dataclass(frozen=True)
class Unmarked(Good):
    """Is randomised and does not say so."""

    def _select(self, pool, k, *, given, allowance, generator):
        return Coreset.of(allowance.first(torch.randperm(len(pool), generator=generator), k))


@dataclass(frozen=True)
class ByPosition(Good):
    """Takes rows as they stand."""

    def _select(self, pool, k, *, given, allowance, generator):
        return Coreset.of(allowance.first(torch.arange(len(pool)), k))


@dataclass(frozen=True)
class Backwards(Good):
    """Claims to be greedy and is not."""

    greedy = True

    def _select(self, pool, k, *, given, allowance, generator):
        return Coreset.of(super()._select(
            pool, k, given=given, allowance=allowance, generator=generator
        ).indices.flip(0))  # fmt: skip


@dataclass(frozen=True)
class Heavy(Good):
    """Returns weights without saying so."""

    def _select(self, pool, k, *, given, allowance, generator):
        order = pool.signal("features")[:, 0].argsort()
        return Coreset.of(allowance.first(order, k), weights=torch.full((k,), 2.0))


@dataclass(frozen=True)
class Light(Heavy):
    """Says that it has weights, but they don't sum to the pool's."""

    weighted = True


@dataclass(frozen=True)
class Forgetful(Good):
    """Draws from the generator when made, not when used."""

    randomised = True
    calls: list[int] = field(default_factory=lambda: [0])

    def _select(self, pool, k, *, given, allowance, generator):
        self.calls[0] += 1
        generator = torch.Generator().manual_seed(self.calls[0])
        return Coreset.of(allowance.first(torch.randperm(len(pool), generator=generator), k))


def test_check_selector_passes_a_good_method():
    check_selector(Good())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (GlobalDraws(), "2: the same seed gave other picks"),
        (Unmarked(), "2: picks depend on the seed"),
        (ByPosition(), "2: permuting the pool"),
        (Backwards(), "3: 1 picks are no prefix"),
        (Heavy(), "weights must be ones"),
        (Light(), "weights do not sum"),
        (Forgetful(), "2: the same seed gave other picks"),
    ],
)
def test_check_selector_finds_broken_contracts(method, message):
    with pytest.raises(AssertionError, match=message):
        check_selector(method)
