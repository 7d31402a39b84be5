"""The numbers that the score selectors' docstrings promise: digits with one label in ten wrong.

A linear classifier is trained for twenty epochs on the wrong labels too; what share of the wrong
labels is among the first tenth of the picks? Chance is 10 %.
"""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from clcore import Pool, select


@pytest.fixture(scope="module")
def digits():
    """Make the pool with all signals that a linear classifier has, and which labels are wrong."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16), torch.tensor(y)
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(y), generator=generator) < 0.1
    labels = torch.where(wrong, (y + torch.randint(1, 10, y.shape, generator=generator)) % 10, y)
    weight, bias = torch.zeros(10, 64).double(), torch.zeros(10).double()
    one_hot = nn.functional.one_hot(labels, 10)
    events, right = torch.zeros(len(y)), torch.zeros(len(y), dtype=torch.bool)
    for _ in range(20):
        for batch in torch.randperm(len(y), generator=generator).split(32):
            logits = x[batch] @ weight.t() + bias
            now = logits.argmax(dim=1) == labels[batch]
            events[batch] += right[batch] & ~now
            right[batch] = now
            error = (logits.softmax(dim=1) - one_hot[batch]) / len(batch)
            weight -= 0.5 * error.t() @ x[batch]
            bias -= 0.5 * error.sum(dim=0)
    logits = x @ weight.t() + bias
    errors = logits.softmax(dim=1) - one_hot
    best = logits.argmax(dim=1, keepdim=True)
    gaps = (logits.gather(1, best) - logits).scatter(1, best, torch.inf)
    lengths = torch.cdist(weight, weight)[best.squeeze(1)].scatter(1, best, 1.0)
    pool = Pool(
        features=x,
        labels=labels,
        logits=logits,
        losses=nn.functional.cross_entropy(logits, labels, reduction="none"),
        logit_gradients=errors,
        gradient_norms=errors.norm(dim=1) * (1 + x.square().sum(dim=1)).sqrt(),
        boundary_distances=(gaps / lengths).amin(dim=1),
        forgetting_events=events,
    )
    return pool, wrong


@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        ("random", {}, 0.10),
        ("top-k", {"by": "losses"}, 0.91),
        ("top-k", {"by": "losses", "higher_is_better": False}, 0.0),
        ("el2n", {}, 0.92),
        ("grand", {}, 0.90),
        ("forgetting", {}, 0.08),
        ("deepfool", {}, 0.13),
        ("least-confidence", {}, 0.15),
        ("entropy", {}, 0.14),
        ("margin", {}, 0.15),
        ("moderate", {}, 0.02),
        ("coverage-centric", {}, 0.0),
        ("coverage-centric", {"prune": 0.0}, 0.66),
        ("cal", {}, 0.13),
    ],
)
def test_share_of_the_wrong_labels_in_the_first_tenth(digits, name, options, share):
    pool, wrong = digits
    picks = select(name, pool, len(pool) // 10, **options).indices
    assert float(wrong[picks].sum() / wrong.sum()) == pytest.approx(share, abs=0.015)


def test_contextual_diversity_covers_the_predictions(digits):
    pool, _ = digits
    logs = pool.signal("logits").log_softmax(dim=1)
    p = logs.exp()
    h = (p * logs).sum(dim=1)
    divergences = (h[:, None] + h - p @ logs.t() - logs @ p.t()) / 2
    for name, mean, largest in (("contextual-diversity", 0.106, 0.33), ("random", 0.095, 1.09)):
        nearest = divergences[:, select(name, pool, 100).indices].min(dim=1).values
        assert float(nearest.mean()) == pytest.approx(mean, rel=0.05)
        assert float(nearest.max()) == pytest.approx(largest, rel=0.1)
