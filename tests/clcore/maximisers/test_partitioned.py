"""Two rounds: what the parts see, and how good the merged picks are."""

import pytest
import torch

from clcore import ArgumentError, select
from clcore.maximisers import create
from clcore.maximisers.knapsack import Knapsack
from clcore.objectives import create as function_of
from clcore.testing import example_pool


@pytest.mark.parametrize("local", [True, False])
def test_nearly_as_good_as_greedy_on_the_whole_pool(local):
    pool = example_pool(600, 1)
    whole = function_of("facility-location", pool=pool)
    create("lazy").maximise(whole, 20)
    parted = function_of("facility-location", pool=pool)
    picks = create("partitioned", parts=4, local=local).maximise(parted, 20)
    assert parted.value() > 0.97 * whole.value()
    assert parted.value() == pytest.approx(sum(picks.gains))


def test_local_parts_take_less():
    counts = {}
    for local in (True, False):
        objective = function_of("facility-location", pool=example_pool(600, 1))
        create("partitioned", parts=6, local=local).maximise(objective, 10)
        counts[local] = objective.evaluations
    assert counts[True] < counts[False] / 2


def test_one_part_is_the_inner_maximiser():
    pool = example_pool(50, 1)
    lazy = create("lazy").maximise(function_of("facility-location", pool=pool), 8)
    one = create("partitioned", parts=1).maximise(function_of("facility-location", pool=pool), 8)
    assert one.rows == lazy.rows


def test_parts_know_what_was_given():
    # Two far clusters; one is covered by the row given, so all new picks belong to the other.
    generator = torch.Generator().manual_seed(0)
    near = torch.randn(30, 2, generator=generator) * 0.01
    far = torch.randn(30, 2, generator=generator) + 50
    from clcore import Pool

    pool = Pool(features=torch.cat([near, far]))
    picks = select("greedy", pool, 5, given=[0], maximiser=create("partitioned", parts=2))
    assert bool((picks.indices >= 30).all())


def test_the_best_part_wins_where_merging_loses():
    # Greedy is misled on the union: the part that holds the two good rows is better than that.
    scores = {frozenset({0, 1}): 10.0, frozenset({0}): 5.0, frozenset({1}): 5.0}
    from clcore import Objective, Pool

    class Misleading(Objective):
        def __init__(self, pool):
            super().__init__(pool)
            self.reset()

        def reset(self):
            self.rows = frozenset()

        def worth(self, rows):
            if 2 in rows:
                return 6.0 + 0.5 * (len(rows) - 1)
            return scores.get(rows, 0.1 * len(rows))

        def gains(self, rows):
            now = self.worth(self.rows)
            values = [self.worth(self.rows | {row}) - now for row in rows.tolist()]
            return torch.tensor(values, dtype=torch.float64)

        def add(self, rows):
            self.rows = self.rows | set(rows.tolist())

        def value(self):
            return self.worth(self.rows)

    won = 0
    for seed in range(12):
        function = Misleading(Pool(features=torch.zeros(3, 1)))
        picks = create("partitioned", parts=2, local=False, inner="plain").maximise(
            function, 2, generator=torch.Generator().manual_seed(seed)
        )
        # Row 2 leads astray unless the two good rows are a part of their own.
        won += sorted(picks.rows) == [0, 1]
        assert function.value() == pytest.approx(sum(picks.gains))
    assert 0 < won < 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parts": 0}, "parts must be a whole number of at least 1"),
        ({"inner": 3}, "inner must be a name or a Maximiser, not 3"),
        ({"inner": "swift"}, "unknown maximiser 'swift'"),
        ({"inner": Knapsack(budget=1.0)}, "inner must make as many picks as asked for"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ArgumentError, match=said):
        create("partitioned", **options)
