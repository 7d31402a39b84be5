"""k-d tree: its cells, their picks, the bound and the carry, against slow references."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.testing import check_selector, example_pool

FEATURES = {"gradients": "features", "per_label": False, "carry": False}


def slow_cells(x, cells, weights=None):
    """Cut as the docstring says, in float64, one Python step at a time; no ties are expected."""
    w = torch.ones(len(x), dtype=torch.float64) if weights is None else weights.double()
    x = x.double()
    found = [torch.arange(len(x))]

    def measured(rows):
        mean = (w[rows].unsqueeze(1) * x[rows]).sum(0) / w[rows].sum()
        squared = (w[rows].unsqueeze(1) * (x[rows] - mean) ** 2).sum(0)
        return mean, squared, float((squared.sum() * w[rows].sum()).sqrt())

    while len(found) < cells:
        place = max(range(len(found)), key=lambda c: measured(found[c])[2])
        rows = found[place]
        mean, squared, _ = measured(rows)
        axis = int(squared.argmax())
        below = x[rows, axis] <= mean[axis]
        found[place] = rows[below]
        found.append(rows[~below])
    return found


def pick_of(x, rows, weights=None):
    w = torch.ones(len(x), dtype=torch.float64) if weights is None else weights.double()
    mean = (w[rows].unsqueeze(1) * x[rows].double()).sum(0) / w[rows].sum()
    return int(rows[(x[rows].double() - mean).square().sum(1).argmin()])


@pytest.mark.parametrize("weighted", [False, True])
def test_cells_picks_weights_and_bound_are_those_of_the_slow_reference(weighted):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(200, 5, generator=generator)
    weights = torch.rand(200, generator=generator) + 0.1 if weighted else None
    w = torch.ones(200).double() if weights is None else weights.double()
    cells = slow_cells(x, 17, weights)
    answer = select("kd-tree", Pool(features=x, weights=weights), 17, **FEATURES)
    assert answer.indices.tolist() == [pick_of(x, rows, weights) for rows in cells]
    assert answer.weights.tolist() == pytest.approx([float(w[rows].sum()) for rows in cells])
    away = sum(
        float(w[rows] @ (x[rows].double() - x[pick].double()).norm(dim=1))
        for rows, pick in zip(cells, answer.indices.tolist(), strict=True)
    )
    assert answer.report["error_bound"] == pytest.approx(away)


@pytest.mark.parametrize(
    "options",
    [
        {"gradients": "features"},
        {"gradients": "last_layer"},
        {"gradients": "last_layer", "bias": False},
        {"gradients": "features", "per_label": False},
        {"carry": False},
    ],
)
def test_contracts(options):
    check_selector(create("kd-tree", **options))


@pytest.mark.parametrize("kind", ["logits", "last_layer", "features"])
@pytest.mark.parametrize("carry", [False, True])
def test_the_error_is_within_the_bound_and_classes_get_their_shares(kind, carry):
    pool = example_pool(90)
    errors, features = pool.signal("logit_gradients"), pool.signal("features")
    inputs = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
    g = {
        "logits": errors,
        "features": features,
        "last_layer": (errors.unsqueeze(2) * inputs.unsqueeze(1)).flatten(1),
    }[kind]
    answer = select("kd-tree", pool, 18, gradients=kind, carry=carry)
    error = float((pool.weights.double() @ g - answer.weights @ g[answer.indices]).norm())
    assert 0 < error <= answer.report["error_bound"] * (1 + 1e-9)
    craig = select("craig", pool, 18, gradients=kind)
    labels = pool.labels
    assert labels[answer.indices].tolist() == labels[craig.indices].tolist()
    for label in range(3):
        mine = labels == label
        total = answer.weights[labels[answer.indices] == label].sum()
        assert float(total) == pytest.approx(float(pool.weights[mine].sum()))


def test_the_carry_keeps_the_error_of_the_sum_small():
    x = torch.randn(5000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pool = Pool(features=x)
    errors, bounds = {}, {}
    for carry in (False, True):
        answer = select("kd-tree", pool, 500, **FEATURES | {"carry": carry})
        errors[carry] = float((x.sum(0) - answer.weights @ x[answer.indices]).norm())
        bounds[carry] = answer.report["error_bound"]
    assert errors[True] < errors[False] / 5
    assert bounds[False] < bounds[True] < 1.3 * bounds[False]


def test_copies_are_shared_out_and_every_row_can_be_picked():
    x = torch.tensor([[0.0, 1.0]]).repeat(8, 1)
    answer = select("kd-tree", Pool(features=x), 4, **FEATURES)
    assert sorted(answer.weights.tolist()) == [2.0] * 4
    assert answer.report["error_bound"] == 0
    assert sorted(select("kd-tree", Pool(features=x), 8, **FEATURES).indices.tolist()) == [
        *range(8)
    ]
    mixed = torch.cat([x, x + 1, x[:1] + 5])
    answer = select("kd-tree", Pool(features=mixed), 3, **FEATURES)
    assert sorted(answer.weights.tolist()) == [1.0, 8.0, 8.0]
    assert answer.indices.tolist().count(0) == 1, "the lowest of the copies"


def test_rows_too_near_for_a_mean_in_between_and_rows_without_weight():
    one = torch.tensor(1.0, dtype=torch.float64)
    x = torch.stack([one, torch.nextafter(one, one + 1)]).unsqueeze(1)
    assert len(select("kd-tree", Pool(features=x), 2, **FEATURES)) == 2
    features = torch.arange(6.0).unsqueeze(1)
    pool = Pool(features=features, weights=torch.tensor([0.0, 0, 0, 1, 1, 1]))
    for k in range(1, 7):
        answer = select("kd-tree", pool, k, **FEATURES)
        assert len(set(answer.indices.tolist())) == k
        assert float(answer.weights.sum()) == 3
    apart = Pool(features=features, labels=[0, 0, 0, 1, 1, 1], weights=pool.weights)
    answer = select("kd-tree", apart, 5, gradients="features")
    assert float(answer.weights.sum()) == 3


def test_given_rows_count_in_the_weights_and_closed_classes_with_the_nearest_pick():
    x = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [30.0]])
    pool = Pool(features=x, labels=[0, 0, 0, 1, 1, 2])
    answer = select("kd-tree", pool, 2, gradients="features", quotas={2: 0}, given=[1])
    picks = dict(zip(answer.indices.tolist(), answer.weights.tolist(), strict=True))
    assert len(picks) == 2
    assert 5 not in picks
    low, high = sorted(picks)
    assert low in (0, 2)
    assert picks == {low: 3.0, high: 3.0}, "row 5 counts with the pick of label 1"


def test_quotas_by_group_are_exact_across_labels():
    pool = example_pool(80)
    quotas = {0: 5, 1: 3}
    answer = select("kd-tree", pool, 40, gradients="features", quotas=quotas, quota_by="groups")
    assert torch.bincount(pool.groups[answer.indices]).tolist() == [5, 3]
    assert float(answer.weights.sum()) == pytest.approx(float(pool.weights.sum()))


@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
def test_every_cell_has_a_pick_of_its_own_whatever_the_values(data):
    n = data.draw(st.integers(1, 30))
    values = st.lists(st.sampled_from([-1e9, -1.0, 0.0, 1e-9, 1.0]), min_size=2 * n, max_size=2 * n)
    x = torch.tensor(data.draw(values), dtype=torch.float64).reshape(n, 2)
    taken = sorted(data.draw(st.sets(st.integers(0, n - 1), max_size=n - 1)))
    k = data.draw(st.integers(1, n - len(taken)))
    answer = select("kd-tree", Pool(features=x), k, given=taken, **FEATURES)
    assert len(set(answer.indices.tolist())) == k
    assert not set(answer.indices.tolist()) & set(taken)
    assert float(answer.weights.sum()) == n
    assert float(answer.weights.min()) >= 1


def test_what_is_asked_wrongly_is_said():
    with pytest.raises(ArgumentError, match="gradients must be"):
        create("kd-tree", gradients="all")
    with pytest.raises(ArgumentError, match="carry must be True or False, not 1"):
        create("kd-tree", carry=1)
    with pytest.raises(ArgumentError, match="kd-tree needs a pool with labels, or per_label=False"):
        select("kd-tree", Pool(features=torch.eye(3)), 2, gradients="features")
    wide = Pool(logit_gradients=torch.ones(3, 10), features=torch.ones(3, 500), labels=[0, 1, 1])
    with pytest.raises(ArgumentError, match="5010 coordinates a row here, and kd-tree takes"):
        select("kd-tree", wide, 2, gradients="last_layer")
