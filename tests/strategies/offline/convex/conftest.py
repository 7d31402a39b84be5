"""Small problems that the tests of convex models share."""

import pytest
import torch

from strategies.offline.convex import LogisticRegression, RidgeRegression


def random_rows(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
        dtype
    )


def problem_of(kind, n=60, d=4, *, seed=0, dtype=torch.float64, bias=True, l2=0.01, weights=None):
    """Make a problem of one of the four kinds on noisy linear data."""
    x = random_rows(n, d, seed, dtype)
    truth = random_rows(d, 3, seed + 100)
    scores = (
        x.double() @ truth + 0.5 * random_rows(n, 3, seed + 200) + torch.tensor([0.3, 0.0, -0.2])
    )
    options = {"l2": l2, "bias": bias, "weights": weights}
    if kind == "binary":
        return LogisticRegression(x, (scores[:, 0] > 0).long(), **options)
    if kind == "softmax":
        return LogisticRegression(x, scores.argmax(1) * 2 + 5, **options)
    if kind == "ridge":
        return RidgeRegression(x, scores[:, 0], **options)
    return RidgeRegression(x, scores, **options)


KINDS = ("binary", "softmax", "ridge", "ridge-several")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def rows():
    """Standard normal rows: `rows(n, d, seed, dtype)`."""
    return random_rows


@pytest.fixture
def make():
    """Problems: `make(kind, n, d, ...)`."""
    return problem_of
