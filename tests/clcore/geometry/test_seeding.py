"""D² seeding against the exact distribution, on every path."""

import math

import numpy as np
import pytest
import torch

from clcore.geometry import Points, seed_by_distance
from clcore.geometry.seeding import plainly
from clcore.geometry.seeding_lazy import change_leaf, draw_leaf, draw_uniform, fill_tree
from clcore.quotas import Allowance

NONE = torch.empty(0, dtype=torch.int64)
X = torch.tensor([[0.0, 0], [1, 0], [1, 1], [4, 0], [4, 1], [9, 9], [9, 8], [-3, 2]])
WEIGHTS = torch.tensor([1.0, 2, 0.5, 1, 0, 0.2, 0.3, 3])


def exact(k, *, taken=(), weights=None, power=2.0):
    """Return the chance of each row to be the k-th drawn, by going through all sequences."""
    x, factors = X.double(), torch.ones(len(X)).double() if weights is None else weights.double()
    chances = torch.zeros(len(X), dtype=torch.float64)

    def follow(chosen, chance, left):
        mass = factors.clone()
        if chosen:
            mass *= torch.cdist(x, x[list(chosen)]).min(dim=1).values ** power
            mass[list(chosen)] = 0
        mass /= mass.sum()
        if left == 1:
            chances.add_(mass, alpha=chance)
            return
        for row in range(len(x)):
            if mass[row] > 0:
                follow((*chosen, row), chance * float(mass[row]), left - 1)

    follow(tuple(taken), 1.0, k)
    return chances


def draw(path, k, seed, *, taken=(), weights=None, power=2.0):
    chosen = torch.tensor(taken, dtype=torch.int64)
    allowance, points = Allowance(len(X), X.device, given=chosen), Points(X)
    if path == "plain":
        return plainly(points, k, allowance, chosen, seed, weights, power).rows
    return seed_by_distance(
        points, k, allowance=allowance, given=chosen, weights=weights, power=power,
        generator=torch.Generator().manual_seed(seed), with_falls=False,
    ).rows  # fmt: skip


@pytest.mark.parametrize("path", ["lazy", "plain"])
@pytest.mark.parametrize(
    "rules",
    [{}, {"weights": WEIGHTS}, {"taken": (0, 5)}, {"power": 1.0}, {"power": 4.0, "taken": (1,)}],
)
def test_the_last_of_several_draws_has_the_exact_distribution(path, rules):
    k, draws = 4, 800
    expected = exact(k, **rules) * draws
    counts = torch.zeros(len(X))
    for seed in range(draws):
        counts[draw(path, k, seed, **rules)[-1]] += 1
    assert not bool((counts[expected == 0] > 0).any())
    possible = expected > 0
    chi = float(((counts - expected)[possible].square() / expected[possible]).sum())
    freedom = int(possible.sum()) - 1
    assert chi < freedom + 4 * math.sqrt(2 * freedom)  # about one in 3,000 by chance


def test_pairs_of_draws_are_not_correlated_beyond_the_distance():
    """The first two draws together: a generator with dependent numbers would show here."""
    draws = 3000
    counts = torch.zeros(len(X), len(X))
    for seed in range(draws):
        first, second = draw("lazy", 2, seed).tolist()
        counts[first, second] += 1
    mass = torch.cdist(X, X).square()
    expected = draws / len(X) * mass / mass.sum(dim=1, keepdim=True)
    possible = expected > 2
    chi = float(((counts - expected)[possible].square() / expected[possible]).sum())
    freedom = int(possible.sum()) - 1
    assert chi < freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("path", ["lazy", "plain"])
def test_fewer_draws_are_the_first_of_more(path):
    long = draw(path, 7, 3).tolist()
    for k in range(1, 7):
        assert draw(path, k, 3).tolist() == long[:k]


def test_the_generator_moves_on_by_the_same_whatever_k_is():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    states = []
    for k in (1, 20):
        generator = torch.Generator().manual_seed(0)
        seed_by_distance(
            Points(x), k, allowance=Allowance(50, x.device), given=NONE, generator=generator
        )
        states.append(generator.get_state())
    assert torch.equal(*states)


@pytest.mark.parametrize("path", ["lazy", "plain"])
def test_quotas_close_in_the_middle(path):
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
    keys = torch.arange(60) % 4
    for seed in range(10):
        allowance = Allowance(60, x.device, keys=keys, quotas={0: 2, 1: 0, 2: 5})
        if path == "plain":
            found = plainly(Points(x), 22, allowance, NONE, seed)
        else:
            found = seed_by_distance(
                Points(x), 22, allowance=allowance, given=NONE,
                generator=torch.Generator().manual_seed(seed),
            )  # fmt: skip
        assert torch.bincount(keys[found.rows], minlength=4).tolist() == [2, 0, 5, 15]
        assert not bool(allowance.open[keys != 1].any())


@pytest.mark.parametrize("path", ["lazy", "plain"])
def test_copies_are_drawn_by_weight_and_at_last_uniformly(path):
    x, seen = torch.zeros(6, 2), set()
    weights = torch.tensor([0.0, 0, 1, 0, 1, 0])
    for seed in range(40):
        allowance = Allowance(6, x.device)
        if path == "plain":
            rows = plainly(Points(x), 6, allowance, NONE, seed, weights).rows.tolist()
        else:
            rows = seed_by_distance(
                Points(x), 6, allowance=allowance, given=NONE, weights=weights,
                generator=torch.Generator().manual_seed(seed),
            ).rows.tolist()  # fmt: skip
        assert sorted(rows) == list(range(6))
        assert set(rows[:2]) == {2, 4}
        seen.add(rows[2])
    assert seen == {0, 1, 3, 5}


def test_most_distances_are_never_computed():
    generator = torch.Generator().manual_seed(2)
    x = 5 * torch.randn(20, 8, generator=generator)[torch.arange(3000) % 20]
    x += torch.randn(3000, 8, generator=generator)
    points = Points(x)
    seed_by_distance(
        points, 300, allowance=Allowance(3000, x.device), given=NONE, generator=generator,
        with_falls=False,
    )  # fmt: skip
    assert points.evaluations < 0.2 * 3000 * 300


def test_tree_of_sums():
    mass = np.array([0.0, 3, 0, 0, 1, 0, 2])
    tree = np.zeros(16)
    fill_tree(tree, mass)
    assert tree[1] == 6
    drawn = [draw_leaf(tree, threshold) for threshold in (0, 2.9, 3, 3.9, 4, 5.9, 6, 7)]
    assert drawn == [1, 1, 4, 4, 6, 6, 6, 6]
    change_leaf(tree, 6, 0.0)
    assert [draw_leaf(tree, threshold) for threshold in (0, 3, 4, 99)] == [1, 4, 4, 4]
    change_leaf(tree, 0, 0.5)
    assert draw_leaf(tree, 0.4) == 0


def test_the_generator_of_the_kernel():
    # The published first values of splitmix64 from the seed 1234567.
    state = np.array([1234567], dtype=np.uint64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    for value in expected:
        assert draw_uniform(state) == (value >> 11) * 2.0**-53
    numbers = np.array([draw_uniform(state) for _ in range(4000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 19 + 4 * math.sqrt(38)
