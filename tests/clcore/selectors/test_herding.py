"""Herding against the formula of the paper in double precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import Pool, select


def blobs(n, d, classes, seed, kind=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64) + labels[:, None]
    return x.to(kind), labels


def paper(x, k, *, taken=(), mean=None):
    """Algorithm 4 of iCaRL, literally: argmin of the norm over all rows not yet taken."""
    x = x.double()
    mean = x.mean(dim=0) if mean is None else mean
    chosen, picks = list(taken), []
    for _ in range(k):
        running = (x + x[chosen].sum(dim=0)) / (len(chosen) + 1)
        distance = (mean - running).norm(dim=1)
        distance[chosen] = torch.inf
        picks.append(int(distance.argmin()))
        chosen.append(picks[-1])
    return picks


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(1, 25), st.integers(2, 6), st.integers(0, 99), st.booleans())
def test_one_label_is_the_papers_list(n, d, seed, normalise):
    x, _ = blobs(n, d, 3, seed)
    picks = select("herding", Pool(features=x), n, normalise=normalise).indices.tolist()
    assert picks == paper(unit(x) if normalise else x, n)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_long_lists_stay_exact(kind):
    x, _ = blobs(400, 5, 3, 1)
    picks = select("herding", Pool(features=x.to(kind)), 150).indices.tolist()
    assert picks == paper(unit(x.to(kind).double()), 150)


def test_labels_are_herded_alone_and_interleaved():
    x, labels = blobs(60, 4, 3, 2)
    coreset = select("herding", Pool(features=x, labels=labels), 20)
    assert labels[coreset.indices].tolist() == [0, 1, 2] * 6 + [0, 1]
    for label in range(3):
        rows = (labels == label).nonzero().squeeze(1)
        ours = coreset.indices[labels[coreset.indices] == label]
        assert ours.tolist() == rows[paper(unit(x[rows]), len(ours))].tolist()


def test_a_small_label_gives_its_turns_to_the_others():
    x, _ = blobs(12, 4, 1, 3)
    labels = torch.tensor([0, 0, 1] + [2] * 9)
    picks = select("herding", Pool(features=x, labels=labels), 9).indices
    assert labels[picks].tolist() == [0, 1, 2, 0, 2, 2, 2, 2, 2]


def test_as_one_pool():
    x, labels = blobs(30, 4, 3, 4)
    picks = select("herding", Pool(features=x, labels=labels), 30, per_label=False)
    assert picks.indices.tolist() == paper(unit(x), 30)


def test_given_rows_count_as_earlier_picks():
    x, labels = blobs(40, 4, 2, 5)
    pool = Pool(features=x, labels=labels)
    whole = select("herding", pool, 20).indices
    rest = select("herding", pool, 14, given=whole[:6]).indices
    assert rest.tolist() == whole[6:].tolist()


def test_weights_of_the_pool_move_the_mean():
    x, _ = blobs(20, 3, 1, 6)
    weights = torch.rand(20, generator=torch.Generator().manual_seed(0)).double()
    picks = select("herding", Pool(features=x, weights=weights), 20).indices.tolist()
    mean = (unit(x) * weights[:, None]).sum(dim=0) / weights.sum()
    assert picks == paper(unit(x), 20, mean=mean)
    # A label without any weight still has a mean.
    pool = Pool(features=x, labels=torch.arange(20) % 2, weights=(torch.arange(20) % 2).float())
    assert len(select("herding", pool, 20)) == 20


def test_quotas_per_label_and_per_group():
    x, labels = blobs(40, 4, 2, 7)
    groups = torch.arange(40) % 2
    pool = Pool(features=x, labels=labels, groups=groups)
    picks = select("herding", pool, 12, quotas={0: 3}).indices
    assert torch.bincount(labels[picks]).tolist() == [3, 9]
    # A quota that cuts across the labels closes rows in the middle of a list.
    picks = select("herding", pool, 12, quotas={0: 2}, quota_by="groups").indices
    assert torch.bincount(groups[picks]).tolist() == [2, 10]
    assert torch.bincount(labels[picks]).tolist() == [6, 6]


def test_gains_add_up_to_the_fall_of_the_distance():
    x, _ = blobs(30, 4, 1, 8)
    coreset = select("herding", Pool(features=x), 10)
    y = unit(x)
    end = (y.mean(dim=0) - y[coreset.indices].mean(dim=0)).norm()
    assert float(coreset.gains.sum()) == pytest.approx(float(y.mean(dim=0).norm() - end), abs=1e-6)


def test_cost_is_linear_in_the_picks():
    x, labels = blobs(40, 4, 1, 9)
    assert select("herding", Pool(features=x, labels=labels), 7).cost.distance_evaluations == 280


def test_copies_are_picked_after_one_another_without_repeats():
    pool = Pool(features=torch.ones(5, 3))
    assert select("herding", pool, 5).indices.tolist() == [0, 1, 2, 3, 4]
