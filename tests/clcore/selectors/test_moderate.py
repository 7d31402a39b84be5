"""Moderate and coverage-centric selection against slow references."""

import pytest
import torch

from clcore import ArgumentError, Pool, select


def blobs(rows=41, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (rows,), generator=generator)
    x = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    return x + 3 * labels[:, None], labels


@pytest.mark.parametrize("centre", ["mean", "median"])
@pytest.mark.parametrize("rows", [40, 41])
@pytest.mark.parametrize("k", [1, 2, 9, 10])
def test_moderate_takes_the_middle_of_the_distances(centre, rows, k):
    x, labels = blobs(rows)
    distances = []
    for row, label in zip(x, labels, strict=True):
        members = x[labels == label]
        middle = members.mean(dim=0) if centre == "mean" else members.quantile(0.5, dim=0)
        distances.append(float((row - middle).norm()))
    order = sorted(range(rows), key=distances.__getitem__)
    picks = select("moderate", Pool(features=x, labels=labels), k, centre=centre).indices
    low = sorted(order.index(row) for row in picks.tolist())
    assert low == list(range(low[0], low[0] + k)), "the picks are one run of the order"
    assert abs((low[0] + low[-1]) / 2 - (rows - 1) / 2) <= 0.5, "in the middle of it"


def test_moderate_within_each_label():
    x, labels = blobs(60)
    picks = select("moderate", Pool(features=x, labels=labels), 15, per_label=True).indices
    for label in range(3):
        rows = (labels == label).nonzero().squeeze(1)
        distances = (x[rows] - x[rows].mean(dim=0)).norm(dim=1)
        places = {int(row): place for place, row in enumerate(rows[distances.argsort()])}
        mine = [places[row] for row in picks.tolist() if row in places]
        assert len(mine) in (len(rows) // 4, len(rows) // 4 + 1)
        assert abs(sum(mine) / len(mine) - (len(rows) - 1) / 2) <= 0.5


def test_moderate_without_labels_is_one_class():
    x, _ = blobs()
    zeros = torch.zeros(41, dtype=torch.int64)
    without = select("moderate", Pool(features=x), 9).indices
    assert (
        without.tolist() == select("moderate", Pool(features=x, labels=zeros), 9).indices.tolist()
    )


def strata_counts(losses, kept, picks, strata):
    """Count rows and picks in bins of equal width over the kept rows."""
    least, most = losses[kept].min(), losses[kept].max()
    bins = ((losses - least) / (most - least) * strata).long().clamp(0, strata - 1)
    size = torch.bincount(bins[kept], minlength=strata).tolist()
    return size, torch.bincount(bins[picks], minlength=strata).tolist()


@pytest.mark.parametrize("prune", [0.0, 0.3])
@pytest.mark.parametrize("k", [5, 60, 130])
def test_coverage_centric_fills_the_strata_evenly_without_the_hardest(k, prune):
    losses = torch.randn(200, generator=torch.Generator().manual_seed(0)).double().square()
    pool = Pool(losses=losses)
    picks = select("coverage-centric", pool, k, prune=prune, strata=10).indices
    kept = losses.argsort()[: 200 - int(200 * prune)]
    assert set(picks.tolist()) <= set(kept.tolist())
    sizes, taken = strata_counts(losses, kept, picks, 10)
    # Water filling: no stratum with rows left is behind another by more than one.
    assert all(count >= min(size, max(taken) - 1) for size, count in zip(sizes, taken, strict=True))


def test_coverage_centric_beyond_what_was_kept_takes_the_easiest_of_the_rest():
    losses = torch.arange(10.0)
    picks = select("coverage-centric", Pool(losses=losses), 9, prune=0.3, strata=4).indices
    assert picks[7:].tolist() == [7, 8]


def test_coverage_centric_where_lower_is_harder():
    margins = torch.tensor([-5.0, -4, 1, 2, 3, 4, 5, 6, 7, 8])
    picks = select(
        "coverage-centric", Pool(scores=margins), 8, by="scores", harder="lower", prune=0.2
    ).indices
    assert not set(picks.tolist()) & {0, 1}


def test_coverage_centric_counts_given_rows_and_equal_values():
    losses = torch.tensor([0.0, 0.1, 0.2, 0.9, 1.0, 0.95])
    pool = Pool(losses=losses)
    picks = select("coverage-centric", pool, 2, strata=2, prune=0.0, given=[0, 1]).indices
    assert set(picks.tolist()) <= {3, 4, 5}
    assert len(select("coverage-centric", Pool(losses=torch.ones(6)), 4)) == 4
    with pytest.raises(ArgumentError, match="prune"):
        select("coverage-centric", pool, 2, prune=1.0)
