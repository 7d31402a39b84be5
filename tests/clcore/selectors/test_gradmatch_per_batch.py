"""GradMatch per batch against a slow pursuit on the gradients of its batches."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from clcore import ArgumentError, NotEnoughMemoryError, Pool, select
from clcore.randomness import permutation
from clcore.selectors import create
from clcore.testing import check_selector


def data(n=60, seed=0, **columns):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    features = torch.randn(n, 4, generator=generator, dtype=torch.float64) + labels[:, None]
    logits = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return Pool(features=features, logits=logits, labels=labels, **columns)


def multiplied(pool):
    errors, features = pool.signal("logit_gradients"), pool.signal("features")
    inputs = torch.cat([features, torch.ones(len(pool), 1, dtype=torch.float64)], dim=1)
    return torch.einsum("nc,nd->ncd", errors, inputs).reshape(len(pool), -1).numpy()


def reference(sums, target, picks, ridge=0.5, taken=()):
    """The batches in order of pick, their weights, and what they leave."""
    chosen = list(taken)
    for step in range(picks + 1):
        weights = np.zeros(len(chosen))
        if chosen:
            padded = np.vstack([sums[chosen].T, np.sqrt(ridge) * np.eye(len(chosen))])
            weights = nnls(padded, np.concatenate([target, np.zeros(len(chosen))]))[0]
        left = target - sums[chosen].T @ weights
        products = sums @ left
        products[chosen] = -np.inf
        if step < picks:
            chosen.append(int(products.argmax()))
    fitted = weights[len(taken) :]
    return chosen[len(taken) :], fitted, np.linalg.norm(left) / np.linalg.norm(target)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
def test_is_the_slow_pursuit_on_batches(seed, weighted):
    counts = torch.rand(60, generator=torch.Generator().manual_seed(seed)).double()
    pool = data(seed=seed, weights=counts if weighted else None)
    counts = counts.numpy() if weighted else np.ones(60)
    order = permutation(60, torch.Generator().manual_seed(seed), pool.device)
    batches = torch.split(order, 8)
    gradients = multiplied(pool)
    sums = np.stack([gradients[rows].sum(axis=0) for rows in batches])
    chosen, weights, residual = reference(sums, gradients.T @ counts, 3)
    coreset = select("gradmatch-per-batch", pool, 24, batch=8, seed=seed)
    expected = torch.cat([batches[place] for place in chosen])
    cut = len(coreset)
    assert coreset.indices.tolist() == expected[:cut].tolist()
    if cut == len(expected):
        assert coreset.report["residual"] == pytest.approx(residual, abs=1e-6)
    each = np.repeat(weights, [len(batches[place]) for place in chosen])[:cut]
    each = each * counts.sum() / each.sum()
    assert coreset.weights.tolist() == pytest.approx(each.tolist(), rel=1e-6)
    starts = [0, *np.cumsum([len(batches[place]) for place in chosen])[:-1]]
    assert [int(at) for at in coreset.gains.nonzero()] == [s for s in starts if s < cut]


def test_given_rows_are_batches_of_their_own():
    pool, given = data(), list(range(5, 15))
    order = permutation(60, torch.Generator().manual_seed(3), pool.device)
    open_rows = order[~torch.isin(order, torch.tensor(given))]
    batches = [torch.tensor(given[:8]), torch.tensor(given[8:]), *torch.split(open_rows, 8)]
    gradients = multiplied(pool)
    sums = np.stack([gradients[rows].sum(axis=0) for rows in batches])
    chosen, _, _ = reference(sums, gradients.sum(axis=0), 2, taken=[0, 1])
    coreset = select("gradmatch-per-batch", pool, 10, batch=8, seed=3, given=given)
    assert coreset.indices.tolist() == torch.cat([batches[c] for c in chosen])[:10].tolist()


def test_validation_is_the_target():
    pool, other = data(), data(n=20, seed=9)
    order = permutation(60, torch.Generator().manual_seed(0), pool.device)
    batches = torch.split(order, 10)
    gradients = multiplied(pool)
    sums = np.stack([gradients[rows].sum(axis=0) for rows in batches])
    chosen, _, residual = reference(sums, 60 * multiplied(other).mean(axis=0), 2)
    coreset = select("gradmatch-per-batch", pool, 20, batch=10, validation=other)
    assert coreset.indices.tolist() == torch.cat([batches[c] for c in chosen]).tolist()
    assert coreset.report["residual"] == pytest.approx(residual, abs=1e-6)


def test_quotas_cut_batches_and_fewer_picks_come_first():
    pool = data()
    coreset = select("gradmatch-per-batch", pool, 60, batch=8, quotas={0: 4, 1: 0})
    counts = torch.bincount(pool.labels[coreset.indices], minlength=3)
    assert counts.tolist() == [4, 0, int((pool.labels == 2).sum())]
    for k in (1, 7, 13):
        fewer = select("gradmatch-per-batch", pool, k, batch=8, quotas={0: 4, 1: 0})
        assert fewer.indices.tolist() == coreset.indices[:k].tolist()


def test_batches_of_one_are_gradmatch():
    pool = data()
    one = select("gradmatch-per-batch", pool, 8, batch=1)
    rows = select("gradmatch", pool, 8, per_label=False)
    assert one.indices.tolist() == rows.indices.tolist()
    assert torch.allclose(one.weights, rows.weights)
    assert torch.allclose(one.gains, rows.gains)


def test_refuses_bad_options_and_what_does_not_fit(monkeypatch):
    for options in ({"batch": 0}, {"batch": 2.5}, {"ridge": None}, {"normalise": 1}):
        with pytest.raises(ArgumentError):
            select("gradmatch-per-batch", data(), 3, **options)
    monkeypatch.setattr("clcore.memory.available_bytes", lambda device: 100)
    with pytest.raises(NotEnoughMemoryError, match="larger batch"):
        select("gradmatch-per-batch", data(), 3)


@pytest.mark.parametrize(
    "options", [{"batch": 3, "look_ahead": True}, {"batch": 1, "gradients": "own-class"}]
)
def test_contracts_with_other_options(options):
    check_selector(create("gradmatch-per-batch", **options))
