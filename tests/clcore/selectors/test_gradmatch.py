"""GradMatch against a slow pursuit in double precision, label by label."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from clcore import ArgumentError, Pool, SignalError, select
from clcore.selectors import create
from clcore.testing import check_selector


def data(n=48, classes=3, d=4, seed=0, **columns):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator) * torch.randint(
        2, (n,), generator=generator
    )  # label 0 is the most frequent
    features = torch.randn(n, d, generator=generator, dtype=torch.float64) + labels[:, None]
    logits = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return Pool(features=features, logits=logits, labels=labels, **columns)


def multiplied(pool, own=False):
    errors, features = pool.signal("logit_gradients"), pool.signal("features")
    if own:
        errors = errors * torch.nn.functional.one_hot(pool.labels, errors.shape[1])
    inputs = torch.cat([features, torch.ones(len(pool), 1, dtype=torch.float64)], dim=1)
    return torch.einsum("nc,nd->ncd", errors, inputs).reshape(len(pool), -1).numpy()


def fit(gradients, target, chosen, ridge):
    if not chosen:
        return np.zeros(0)
    padded = np.vstack([gradients[chosen].T, np.sqrt(ridge) * np.eye(len(chosen))])
    return nnls(padded, np.concatenate([target, np.zeros(len(chosen))]))[0]


def reference(gradients, parts, targets, shares, k, ridge=0.5, taken=()):
    """Picks, fitted weights, residual: one pursuit a part, in turn by Sainte-Laguë."""
    chosen = [[row for row in taken if row in part] for part in parts]
    counts, picks = [0] * len(parts), []

    def left(c):
        weights = fit(gradients, targets[c], chosen[c], ridge)
        return targets[c] - gradients[chosen[c]].T @ weights

    while len(picks) < k:
        able = [c for c in range(len(parts)) if set(parts[c]) - set(chosen[c])]
        c = max(able, key=lambda c: shares[c] / (2 * counts[c] + 1))
        open_rows = [row for row in parts[c] if row not in chosen[c]]
        products = gradients[open_rows] @ left(c)
        row = open_rows[int(products.argmax())]
        chosen[c].append(row)
        counts[c] += 1
        picks.append(row)
    fitted = {}
    for c in range(len(parts)):
        found = fit(gradients, targets[c], chosen[c], ridge).tolist()
        fitted |= dict(zip(chosen[c], found, strict=True))
    lengths = [np.linalg.norm(left(c)) for c in range(len(parts))]
    residual = math.hypot(*lengths) / math.hypot(*(np.linalg.norm(t) for t in targets))
    return picks, np.array([fitted[row] for row in picks]), residual


def by_label(pool):
    return [(pool.labels == y).nonzero().squeeze(1).tolist() for y in pool.labels.unique()]


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(0, 99), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_is_the_slow_pursuit(seed, per_label, own, weighted, taken):
    counts = torch.rand(48, generator=torch.Generator().manual_seed(seed)).double() + 0.2
    pool = data(seed=seed, weights=counts if weighted else None)
    counts = counts.numpy() if weighted else np.ones(48)
    gradients = multiplied(pool, own)
    parts = by_label(pool) if per_label else [list(range(48))]
    targets = [gradients[part].T @ counts[part] for part in parts]
    shares = [counts[part].sum() for part in parts]
    given = [3, 11] if taken else []
    picks, weights, residual = reference(gradients, parts, targets, shares, 10, taken=given)
    coreset = select(
        "gradmatch", pool, 10, per_label=per_label, given=given,
        gradients="own-class" if own else "last-layer",
    )  # fmt: skip
    assert coreset.indices.tolist() == picks
    expected = weights * counts.sum() / weights.sum()
    assert coreset.weights.tolist() == pytest.approx(expected.tolist(), rel=1e-6, abs=1e-9)
    assert coreset.report["residual"] == pytest.approx(residual, abs=1e-6)
    assert bool((coreset.gains >= -1e-9).all())


def test_validation_is_the_target():
    pool, other = data(seed=1), data(n=21, seed=2)
    gradients, parts = multiplied(pool), by_label(pool)
    means = [multiplied(other)[part].mean(axis=0) for part in by_label(other)]
    targets = [len(part) * mean for part, mean in zip(parts, means, strict=True)]
    picks, weights, _ = reference(gradients, parts, targets, [len(p) for p in parts], 9)
    coreset = select("gradmatch", pool, 9, validation=other)
    assert coreset.indices.tolist() == picks
    assert coreset.weights.tolist() == pytest.approx((weights * 48 / weights.sum()).tolist())


@pytest.mark.parametrize("k", [1, 2, 7, 20, 100])
def test_labels_get_their_shares(k):
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    generator = torch.Generator().manual_seed(0)
    pool = Pool(
        features=torch.randn(100, 3, generator=generator),
        logits=torch.randn(100, 3, generator=generator), labels=labels,
    )  # fmt: skip
    counts = torch.bincount(labels[select("gradmatch", pool, k).indices], minlength=3)
    assert int(counts.sum()) == k
    for count, share in zip(counts.tolist(), (0.7, 0.2, 0.1), strict=True):
        assert abs(count - share * k) <= 1


def test_a_quota_leaves_its_picks_to_the_others():
    pool = data(groups=torch.arange(48) % 2)
    coreset = select("gradmatch", pool, 15, quotas={0: 2})
    assert int((pool.labels[coreset.indices] == 0).sum()) == 2
    assert len(coreset) == 15
    halves = select("gradmatch", pool, 48, quotas={0: 3}, quota_by="groups")
    assert len(halves) == 27


def test_stops_at_a_tolerance():
    pool = data()
    method = create("gradmatch", tolerance=0.2, per_label=False, ridge=0.0)
    coreset = method.select(pool, 48)
    assert method.stops_early
    assert 0 < len(coreset) < 48
    assert coreset.report["residual"] <= 0.2
    before = select("gradmatch", pool, len(coreset) - 1, per_label=False, ridge=0.0)
    assert before.report["residual"] > 0.2


def test_projected_gradients_without_labels():
    matrix = torch.randn(30, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    coreset = select(
        "gradmatch", Pool(projected_gradients=matrix), 5, gradients="projected_gradients"
    )
    gradients = matrix.numpy()
    picks, _, residual = reference(gradients, [list(range(30))], [gradients.sum(axis=0)], [30], 5)
    assert coreset.indices.tolist() == picks
    assert coreset.report["residual"] == pytest.approx(residual)
    with pytest.raises(SignalError, match="projected_gradients"):
        select("gradmatch", data(), 3, gradients="projected_gradients")


def test_normalised_correlations_go_by_direction():
    # The long gradient has the larger product, the short one the better direction.
    rows = torch.tensor([[10.0, 9.0], [0.0, 0.1], [0.0, -4.0]], dtype=torch.float64)
    pool = Pool(projected_gradients=rows, weights=torch.tensor([1e-9, 10.0, 0.0]))
    options = {"gradients": "projected_gradients", "ridge": 0.0}
    assert select("gradmatch", pool, 1, **options).indices.tolist() == [0]
    assert select("gradmatch", pool, 1, normalise=True, **options).indices.tolist() == [1]


def test_nothing_to_match_gives_even_weights():
    pool = Pool(
        features=torch.ones(6, 2), logit_gradients=torch.zeros(6, 2), labels=[0, 0, 0, 0, 1, 1]
    )
    coreset = select("gradmatch", pool, 3)
    assert coreset.indices.tolist() == [0, 4, 1]
    assert coreset.weights.tolist() == pytest.approx([2, 2, 2])
    assert coreset.report["residual"] == 0


def test_refuses_bad_options():
    pool = data()
    for options, words in (
        ({"ridge": -1}, "ridge must be"),
        ({"tolerance": 1.0}, "tolerance must be"),
        ({"per_label": "yes"}, "per_label must be"),
        ({"gradients": None}, "gradients must be"),
        ({"validation": [1, 2]}, "validation must be"),
        ({"validation": Pool(features=torch.zeros(0, 4))}, "without rows"),
    ):
        with pytest.raises(ArgumentError, match=words):
            select("gradmatch", pool, 3, **options)
    only_zeros = data(n=20).subset([0]).subset([0])
    with pytest.raises(ArgumentError, match="validation has no row of label"):
        select("gradmatch", pool, 3, validation=only_zeros)
    unlabelled = Pool(features=torch.ones(2, 4), logit_gradients=torch.ones(2, 3))
    with pytest.raises(ArgumentError, match="validation needs labels"):
        select("gradmatch", pool, 3, validation=unlabelled)
    with pytest.raises(SignalError, match="logit_gradients"):
        select("gradmatch", Pool(features=torch.ones(4, 2)), 2)


@pytest.mark.parametrize(
    "options",
    [
        {"look_ahead": True},
        {"per_label": False},
        {"gradients": "own-class"},
        {"normalise": True},
        {"ridge": 0.0, "bias": False},
        {"gradients": "projected_gradients"},
    ],
)
def test_contracts_with_other_options(options):
    check_selector(create("gradmatch", **options))
