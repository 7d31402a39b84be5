"""Kernel herding: the smallest MMD by brute force, options, what it is for."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from clcore import ArgumentError, Pool, select
from clcore.geometry.kernel_herds import median_distance

KERNELS = {
    "rbf": lambda d, width: (-((d / width) ** 2)).exp(),
    "laplace": lambda d, width: (-d / width).exp(),
    "student-t": lambda d, width: 1 / (1 + (d / width) ** 2),
    "top-hat": lambda d, width: (d <= width).double(),
}


def normal(n, d, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def pairs(x, kernel, width):
    return KERNELS[kernel]((x[:, None] - x[None]).square().sum(dim=2).sqrt(), width)


def mmd(k, shares, picks):
    """Return ‖mean − mean of the picks‖ under the kernel matrix k."""
    even = torch.full((len(picks),), 1 / max(1, len(picks)), dtype=torch.float64)
    square = shares @ k @ shares - 2 * shares @ k[:, picks] @ even
    return math.sqrt(max(0.0, float(square + even @ k[picks][:, picks] @ even)))


def brute(k, count, *, taken=(), weights=None):
    """Try every row at each step."""
    shares = torch.ones(len(k)).double() if weights is None else weights.double()
    shares = shares / shares.sum()
    chosen, distances = list(taken), [mmd(k, shares, list(taken))]
    for _ in range(count):
        tried = {row: mmd(k, shares, [*chosen, row]) for row in range(len(k)) if row not in chosen}
        chosen.append(min(tried, key=tried.__getitem__))
        distances.append(tried[chosen[-1]])
    return chosen[len(taken) :], distances


@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    st.integers(3, 14), st.integers(0, 99), st.sampled_from(["rbf", "laplace", "student-t"]),
    st.floats(0.5, 3), st.booleans(),
)  # fmt: skip
def test_each_pick_leaves_the_smallest_mmd(n, seed, kernel, width, weigh):
    x = normal(n, 2, seed)
    weights = torch.rand(n, generator=torch.Generator().manual_seed(seed)) if weigh else None
    pool = Pool(features=x, weights=weights)
    coreset = select("kernel-herding", pool, n - 2, kernel=kernel, bandwidth=width)
    picks, distances = brute(pairs(x, kernel, width), n - 2, weights=weights)
    assert coreset.indices.tolist() == picks
    falls = [before - after for before, after in itertools.pairwise(distances)]
    assert coreset.gains.tolist() == pytest.approx(falls, abs=1e-5)
    on_top = select("kernel-herding", pool, 1, kernel=kernel, bandwidth=width, given=[0, n - 1])
    expected, _ = brute(pairs(x, kernel, width), 1, taken=[0, n - 1], weights=weights)
    assert on_top.indices.tolist() == expected


def test_the_median_is_the_default():
    x = normal(41, 3, 0)
    apart = (x[:, None] - x[None]).norm(dim=2)
    median = float(apart[torch.triu(torch.ones(41, 41), 1).bool()].median())
    assert median_distance(x) == pytest.approx(median)
    default, named = (
        select("kernel-herding", Pool(features=x), 9, bandwidth=width)
        for width in ("median", median)
    )
    assert default.indices.tolist() == named.indices.tolist()
    assert median_distance(torch.ones(5, 2)) == 1
    assert median_distance(torch.ones(1, 2)) == 1
    assert median_distance(normal(900, 3, 1), sample=100) == pytest.approx(2.4, rel=0.1)


@pytest.mark.parametrize("references", [None, 40])
def test_without_keeping_all_pairs_the_picks_are_the_same(monkeypatch, references):
    pool = Pool(features=normal(300, 4, 2))
    options = {"bandwidth": 2.0, "references": references}
    monkeypatch.setattr("clcore.geometry.kernel_herds.SMALL", 300)
    kept = select("kernel-herding", pool, 30, **options)
    monkeypatch.setattr("clcore.geometry.kernel_herds.SMALL", 10)
    monkeypatch.setattr("clcore.geometry.kernel_herds.BLOCK", 300 * 7)
    blocks = select("kernel-herding", pool, 30, **options)
    assert kept.indices.tolist() == blocks.indices.tolist()
    assert torch.allclose(kept.gains, blocks.gains, atol=1e-6)


def test_references_are_enough_to_be_near():
    x = normal(600, 3, 3)
    k, shares = pairs(x, "rbf", 2.0), torch.full((600,), 1 / 600, dtype=torch.float64)
    some, every, drawn = (
        mmd(k, shares, select(name, Pool(features=x), 30, **options).indices)
        for name, options in (
            ("kernel-herding", {"bandwidth": 2.0, "references": 200}),
            ("kernel-herding", {"bandwidth": 2.0}),
            ("random", {}),
        )
    )
    assert every < some < drawn


def test_per_label_and_quotas():
    x, labels = normal(60, 3, 4), torch.arange(60) % 3
    pool = Pool(features=x, labels=labels, groups=torch.arange(60) % 2)
    picks = select("kernel-herding", pool, 9, per_label=True, bandwidth=2.0).indices
    assert labels[picks].tolist() == [0, 1, 2] * 3
    for label in range(3):
        rows = (labels == label).nonzero().squeeze(1)
        expected, _ = brute(pairs(x[rows], "rbf", 2.0), 3)
        assert picks[labels[picks] == label].tolist() == rows[expected].tolist()
    picks = select("kernel-herding", pool, 12, quotas={0: 2}, quota_by="groups").indices
    assert torch.bincount(picks % 2).tolist() == [2, 10]


def test_normalised_rows():
    x = normal(30, 3, 5)
    unit = x / x.norm(dim=1, keepdim=True)
    ours = select("kernel-herding", Pool(features=x), 9, normalise=True, bandwidth=0.7)
    assert ours.indices.tolist() == brute(pairs(unit, "rbf", 0.7), 9)[0]


def frechet(batch, data):
    """Return the Fréchet distance of two Gaussians with the moments of batch and data."""
    moments = [(rows.mean(dim=0), torch.cov(rows.T)) for rows in (batch, data)]
    (left, left_cov), (right, right_cov) = moments
    cross = torch.linalg.eigvals(left_cov @ right_cov).real.clamp_min(0).sqrt().sum()
    return float((left - right).square().sum() + left_cov.trace() + right_cov.trace() - 2 * cross)


def test_a_batch_of_digits_looks_like_the_digits():
    digits = torch.tensor(load_digits().data)
    digits = digits - digits.mean(dim=0)
    directions = torch.linalg.svd(digits, full_matrices=False).Vh[:16]
    digits = digits @ directions.T
    digits /= digits.std()
    means = {}
    for name in ("random", "k-center", "kernel-herding"):
        distances = []
        for seed in range(12):
            order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
            drawn = digits[order[:512]]
            picks = select(name, Pool(features=drawn), 64, seed=seed).indices
            distances.append(frechet(drawn[picks], digits))
        means[name] = sum(distances) / len(distances)
    assert means["kernel-herding"] < 0.35 * means["k-center"] < 0.35 * means["random"]
    assert means["kernel-herding"] == pytest.approx(0.25, abs=0.02)
    assert means["k-center"] == pytest.approx(0.85, abs=0.05)
    assert means["random"] == pytest.approx(1.07, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "cubic"}, "kernel must be"),
        ({"bandwidth": 0}, "bandwidth must be"),
        ({"bandwidth": "mean"}, "bandwidth must be"),
        ({"references": 0}, "references must be"),
    ],
)
def test_refuses_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        select("kernel-herding", Pool(features=torch.eye(3)), 1, **options)
