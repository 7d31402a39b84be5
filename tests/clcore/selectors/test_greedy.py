"""Any set function with any maximiser, by name or ready made."""

import pytest
import torch

from clcore import ArgumentError, Objective, Pool, Stop, UnknownNameError, select
from clcore.maximisers import create as maximiser_of
from clcore.selectors import create
from clcore.testing import check_selector, example_pool

PAIRS = [
    ("facility-location", "lazy", {}),
    ("facility-location", "threshold", {}),
    ("kernel-coverage", "plain", {}),
    ("kernel-mean", "plain", {}),
    ("moment-matching", "plain", {}),
    ("facility-location", "stochastic", {}),
    ("facility-location", "sieve", {}),
    ("facility-location", "partitioned", {}),
    ("feature-based", "lazy", {"negative": "split", "concave": "log1p"}),
    ("log-determinant", "plain", {"kernel": "linear"}),
]


@pytest.mark.parametrize(("function", "maximiser", "options"), PAIRS)
def test_contracts(function, maximiser, options):
    check_selector(
        create("greedy", set_function=function, maximiser=maximiser, options=options), picks=6
    )


def test_contracts_with_a_budget():
    budget = maximiser_of("knapsack", budget=3.0)
    method = create("greedy", maximiser=budget)
    assert method.stops_early
    assert not method.greedy
    pool = example_pool(30)
    picks = method.select(pool, 30)
    assert float(pool.signal("costs")[picks.indices].sum()) <= 3.0


def test_what_is_promised_depends_on_the_maximiser():
    assert create("greedy").greedy
    assert not create("greedy").randomised
    stochastic = create("greedy", maximiser="stochastic")
    assert stochastic.randomised
    assert not stochastic.greedy
    assert create("greedy", stop=Stop(gain=0.1)).stops_early


class Spread(Objective):
    """The range of one score."""

    submodular = False
    signals = ("scores",)

    def __init__(self, pool, power=1.0):
        super().__init__(pool, power=power)
        self.scores = pool.signal("scores")
        self.power = power
        self.reset()

    def reset(self):
        self.rows = torch.empty(0, dtype=torch.int64)

    def gains(self, rows):
        now = self.value()
        return torch.tensor([self.worth(torch.cat([self.rows, r])) - now for r in rows.split(1)])

    def add(self, rows):
        self.rows = torch.cat([self.rows, rows])

    def worth(self, rows):
        scores = self.scores[rows]
        return float(scores.max() - scores.min()) ** self.power if len(rows) else 0.0

    def value(self):
        return self.worth(self.rows)


def test_a_class_of_the_users_own_with_options_and_rows_given():
    pool = Pool(scores=torch.tensor([1.0, 5.0, -2.0, 4.0]))
    picks = select(
        "greedy",
        pool,
        2,
        set_function=Spread,
        options={"power": 2.0},
        maximiser="plain",
        given=[0],
    )
    assert picks.indices.tolist() == [1, 2]
    assert picks.gains.tolist() == [16.0, 33.0]


def test_wrong_arguments():
    pool = Pool(features=torch.eye(3), scores=torch.ones(3))
    with pytest.raises(ArgumentError, match="not submodular, and the maximiser lazy needs that"):
        select("greedy", pool, 2, set_function=Spread)
    with pytest.raises(UnknownNameError, match="did you mean facility-location"):
        select("greedy", pool, 2, set_function="facility")
    with pytest.raises(ArgumentError, match="set_function must be a name or a callable"):
        select("greedy", pool, 2, set_function=3)
    with pytest.raises(ArgumentError, match="maximiser must be a name or a Maximiser"):
        select("greedy", pool, 2, maximiser=3)
    with pytest.raises(ArgumentError, match=r"stop must be a clcore\.Stop"):
        select("greedy", pool, 2, stop=0.5)
    with pytest.raises(ArgumentError, match="graph-cut has no largest value"):
        select("greedy", pool, 2, set_function="graph-cut", stop=Stop(coverage=0.5))
