"""Fair shares and allowances."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError
from clcore.quotas import Allowance, check_quotas, fair_shares

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("total", "capacities", "shares"),
    [
        (10, [2, 9, 9], [2, 4, 4]),
        (10, [9, 9, 9], [4, 3, 3]),
        (11, [9, 9, 9], [4, 4, 3]),
        (5, [], []),
        (0, [3, 3], [0, 0]),
        (100, [3, 0, 2], [3, 0, 2]),
        (7, [1, 100, 1], [1, 5, 1]),
        (3, [5, 5, 5, 5], [1, 1, 1, 0]),
    ],
)
def test_fair_shares(total, capacities, shares):
    assert fair_shares(total, capacities) == shares


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 60), st.lists(st.integers(0, 20), max_size=8))
def test_fair_shares_are_fair(total, capacities):
    shares = fair_shares(total, capacities)
    assert sum(shares) == min(total, sum(capacities))
    assert all(share <= capacity for share, capacity in zip(shares, capacities, strict=True))
    for i, share in enumerate(shares):
        for j, other in enumerate(shares):
            if share < capacities[i]:
                # Who could take more has no less than anyone, but for the remainder, and the
                # remainder goes to the first.
                assert other <= share + (j < i)


@pytest.mark.parametrize(("total", "capacities"), [(-1, [1]), (1.5, [1]), (1, [-1]), (1, [0.5])])
def test_fair_shares_refuses(total, capacities):
    with pytest.raises(ArgumentError, match="must be a whole number"):
        fair_shares(total, capacities)


def test_allowance_without_quotas():
    allowance = Allowance(5, CPU, given=torch.tensor([1, 4]))
    assert allowance.open.tolist() == [True, False, True, True, False]
    assert allowance.capacity() == 3
    assert allowance.capacity(torch.tensor([0, 1])) == 1
    assert allowance.take(2) is False
    assert allowance.capacity() == 2
    assert allowance.first(torch.tensor([4, 3, 2, 1, 0]), 9).tolist() == [3, 0]
    [(rows, capacity)] = allowance.parts()
    assert rows.tolist() == [0, 1, 2, 3, 4]
    assert capacity == 2


def test_allowance_with_quotas():
    keys = torch.tensor([7, 7, 7, -1, -1, 3])
    allowance = Allowance(6, CPU, keys=keys, quotas={7: 2, -1: 0, 99: 4})
    assert allowance.open.tolist() == [True, True, True, False, False, True]
    assert allowance.capacity() == 3
    assert allowance.first(torch.tensor([2, 3, 0, 1, 5]), 4).tolist() == [2, 0, 5]
    assert allowance.take(1) is False
    assert allowance.take(5) is False  # 3 has no bound
    assert allowance.take(0) is True
    assert allowance.capacity() == 0
    assert [(rows.tolist(), capacity) for rows, capacity in allowance.parts()] == [
        ([3, 4], 0),
        ([5], 0),
        ([0, 1, 2], 0),
    ]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=20),
    st.dictionaries(st.integers(0, 4), st.integers(0, 5)),
    st.integers(0, 20),
    st.randoms(use_true_random=False),
)
def test_first_is_the_greedy_walk(keys, quotas, k, random):
    order = list(range(len(keys)))
    random.shuffle(order)
    given_rows = [row for row in order if random.random() < 0.2]
    left, expected = dict(quotas), []
    for row in order:
        key = keys[row]
        if row in given_rows or left.get(key, 1) == 0 or len(expected) == k:
            continue
        if key in left:
            left[key] -= 1
        expected.append(row)
    allowance = Allowance(
        len(keys),
        CPU,
        given=torch.tensor(given_rows, dtype=torch.int64),
        keys=torch.tensor(keys),
        quotas=quotas,
    )
    assert allowance.first(torch.tensor(order), k).tolist() == expected
    assert allowance.capacity() == len(allowance.first(torch.tensor(order), len(keys)))
    for row in expected:
        assert allowance.open[row]
        allowance.take(row)


@pytest.mark.parametrize("quotas", [[1, 2], {"a": 1}, {0: -1}, {0: 1.5}, {0: None}, 3])
def test_check_quotas_refuses(quotas):
    with pytest.raises(ArgumentError, match="quotas"):
        check_quotas(quotas)
