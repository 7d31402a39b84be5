"""CRAIG against brute force in each class, and its weights against what they promise."""

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.selectors.craig import highest_averages
from clcore.testing import check_selector, example_pool


def brute_force(gradients, k):
    """Greedy facility location on all distances."""
    away = torch.cdist(gradients, gradients, compute_mode="donot_use_mm_for_euclid_dist")
    best = torch.full((len(away),), 2 * float(away.max()) + 1, dtype=away.dtype)
    picks = []
    for _ in range(k):
        gains = (best - away).clamp_min(0).sum(dim=1)
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        best = torch.minimum(best, away[picks[-1]])
    return picks


def gradients_of(pool, kind):
    errors, features = pool.signal("logit_gradients"), pool.signal("features")
    if kind == "last_layer":
        inputs = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        return (errors.unsqueeze(2) * inputs.unsqueeze(1)).flatten(1)
    return errors if kind == "logits" else features


@pytest.mark.parametrize("kind", ["logits", "last_layer", "features"])
def test_picks_weights_and_bound(kind):
    full = example_pool(90)
    pool = Pool(labels=full.labels, **{name: full.signal(name) for name in full.names})
    g = gradients_of(pool, kind)
    answer = select("craig", pool, 18, gradients=kind)
    picks, labels = answer.indices, pool.labels
    expected = torch.zeros(90, dtype=torch.float64)
    for label in range(3):
        rows = (labels == label).nonzero().squeeze(1)
        mine = picks[labels[picks] == label]
        assert mine.tolist() == rows[brute_force(g[rows], len(mine))].tolist()
        assert len(mine) == pytest.approx(18 * len(rows) / 90, abs=1)
        nearest = torch.cdist(g[rows], g[mine]).argmin(dim=1)
        expected.index_add_(0, mine[nearest], torch.ones(len(rows), dtype=torch.float64))
    assert answer.weights.tolist() == expected[picks].tolist()
    error = float((g.sum(dim=0) - answer.weights @ g[picks]).norm())
    assert error <= answer.report["error_bound"] * (1 + 1e-6)
    nearest = torch.cdist(g, g[picks]).masked_fill(labels.unsqueeze(1) != labels[picks], torch.inf)
    assert answer.report["error_bound"] == pytest.approx(float(nearest.min(dim=1).values.sum()))


@pytest.mark.parametrize(
    "options",
    [
        {"neighbours": None},
        {"gradients": "last_layer"},
        {"gradients": "last_layer", "bias": False, "metric": "squared"},
        {"gradients": "features", "per_label": False},
        {"metric": "cosine", "neighbours": None},
        {"neighbours": 5},
    ],
)
def test_contracts(options):
    check_selector(create("craig", **options))


def test_budgets_are_exact_proportional_and_balanced_in_every_prefix():
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    answer = select("craig", Pool(features=x, labels=labels), 20, gradients="features")
    counts = torch.bincount(labels[answer.indices], minlength=3)
    assert counts.tolist() == [12, 6, 2]
    for j in range(1, 21):
        counts = torch.bincount(labels[answer.indices[:j]], minlength=3)
        assert bool(((counts - j * torch.tensor([0.6, 0.3, 0.1])).abs() <= 1).all())
    assert float(answer.weights.sum()) == 100


def test_classes_without_a_pick_count_with_the_nearest():
    x = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0], [13.0]])
    pool = Pool(features=x, labels=[0, 0, 0, 1, 1, 1, 1])
    answer = select("craig", pool, 1, gradients="features")
    assert answer.weights.tolist() == [7.0]
    assert answer.report["error_bound"] == pytest.approx(float((x - x[answer.indices]).abs().sum()))


def test_quotas_by_group_bind_the_classes_together():
    pool = example_pool(60)
    answer = select("craig", pool, 20, quotas={0: 4, 1: 7}, quota_by="groups")
    assert torch.bincount(pool.groups[answer.indices]).tolist() == [4, 7]
    free = select("craig", pool, 9, quotas={0: 60, 1: 60}, quota_by="groups")
    assert free.indices.tolist() == select("craig", pool, 9).indices.tolist()


def test_highest_averages_go_on_where_one_is_out():
    room = {0: 1, 1: 9}

    def serve(party):
        room[party] -= 1
        return room[party] >= 0

    assert highest_averages([5.0, 1.0], 4, serve) == [0, 1, 1, 1]


def test_wrong_options_are_named():
    for options, word in (
        ({"gradients": "all"}, "gradients"),
        ({"metric": "l1"}, "metric"),
        ({"metric": "cosine", "gradients": "last_layer"}, "cosine"),
        ({"neighbours": 0}, "neighbours"),
    ):
        with pytest.raises(ArgumentError, match=word):
            create("craig", **options)
    with pytest.raises(ArgumentError, match="labels"):
        select("craig", Pool(features=torch.eye(4)), 2, gradients="features")


@pytest.mark.parametrize("gradients", ["features", "logits", "last_layer"])
def test_the_certificate_is_not_rounded_down(gradients):
    # Rows close together and far from zero, where single precision loses distances.
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(120) % 3
    h = 30 + 0.01 * torch.randn(120, 8, generator=generator)
    e = torch.randn(120, 3, generator=generator).softmax(1) - 0.3
    pool = Pool(features=h, logit_gradients=e, labels=labels)
    answer = select("craig", pool, 60, gradients=gradients)
    rows = {"features": h, "logits": e}.get(gradients)
    if rows is None:
        one = torch.ones(120, 1, dtype=torch.float64)
        rows = (e.double().unsqueeze(2) * torch.cat((h.double(), one), 1).unsqueeze(1)).flatten(1)
    rows = rows.double()
    apart = torch.cdist(rows, rows[answer.indices], compute_mode="donot_use_mm_for_euclid_dist")
    apart[labels.unsqueeze(1) != labels[answer.indices]] = torch.inf
    least = float(apart.min(dim=1).values.sum())
    # The picks' cells may differ from the nearest where single precision ties; never below them.
    assert answer.report["error_bound"] >= least * (1 - 1e-9)
    assert answer.report["error_bound"] == pytest.approx(least, rel=1e-3)
    error = (rows.sum(0) - answer.weights.double() @ rows[answer.indices]).norm()
    assert float(error) <= answer.report["error_bound"] * (1 + 1e-9)
