"""GLISTER against a slow one that takes the gradient of the validation loss by autograd."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from clcore import ArgumentError, Pool, SignalError, select
from clcore.selectors import create
from clcore.testing import check_selector


def data(n=40, classes=3, d=4, seed=0, **columns):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64) + labels[:, None]
    # Logits of one linear layer, so that a step on it is what the method says.
    layer = torch.randn(classes, d + 1, generator=torch.Generator().manual_seed(77)).double()
    logits = features @ layer[:, :d].T + layer[:, d]
    return Pool(features=features, logits=logits, labels=labels, **columns), layer


def gradients_of(pool, layer):
    """Per-sample gradients for the layer, by a loop over the rows."""
    found = []
    for features, label in zip(pool.signal("features"), pool.labels, strict=True):
        theta = layer.clone().requires_grad_()
        logits = theta[:, :-1] @ features + theta[:, -1]
        found.append(torch.autograd.grad(cross_entropy(logits[None], label[None]), theta)[0])
    return torch.stack(found)


def validation_loss(pool, theta, weights=None):
    logits = pool.signal("features") @ theta[:, :-1].T + theta[:, -1]
    losses = cross_entropy(logits, pool.labels, reduction="none")
    return losses.mean() if weights is None else losses @ weights / weights.sum()


def reference(pool, layer, validation, k, rounds, step, taken=(), weights=None):
    each, picks, gains = gradients_of(pool, layer), [], []
    size = 1 if rounds is None else -(-k // rounds)
    while len(picks) < k:
        theta = layer - step * each[[*taken, *picks]].sum(dim=0)
        theta.requires_grad_()
        slope = torch.autograd.grad(validation_loss(validation, theta, weights), theta)[0]
        gain = step * (each * slope).sum(dim=(1, 2))
        gain[[*taken, *picks]] = -torch.inf
        best = gain.argsort(descending=True, stable=True)[: min(size, k - len(picks))].tolist()
        picks += best
        gains += gain[best].tolist()
    return picks, gains, layer - step * each[[*taken, *picks]].sum(dim=0)


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    st.integers(0, 99), st.sampled_from([None, 1, 4, 15]), st.sampled_from([0.01, 0.5]),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_is_the_slow_greedy(seed, rounds, step, own, taken):
    pool, layer = data(seed=seed)
    other = pool if own else data(n=15, seed=seed + 1)[0]
    given = [2, 30] if taken else []
    picks, gains, theta = reference(pool, layer, other, 12, rounds, step, taken=given)
    coreset = select(
        "glister", pool, 12, rounds=rounds, step=step, given=given,
        validation=None if own else other,
    )  # fmt: skip
    assert coreset.indices.tolist() == picks
    assert coreset.gains.tolist() == pytest.approx(gains, rel=1e-7, abs=1e-10)
    assert bool((coreset.weights == 1).all())
    assert coreset.report["loss_before"] == pytest.approx(float(validation_loss(other, layer)))
    assert coreset.report["loss_after"] == pytest.approx(float(validation_loss(other, theta)))


def test_weights_of_the_validation_rows_count():
    weights = torch.linspace(0, 1, 40, dtype=torch.float64)
    pool, layer = data(weights=weights)
    picks, _, _ = reference(pool, layer, pool, 6, None, 0.1, weights=weights)
    assert select("glister", pool, 6, rounds=None, step=0.1).indices.tolist() == picks


def test_the_validation_gradient_is_refreshed():
    pool, _ = data(n=60, seed=3)
    once = select("glister", pool, 20, rounds=1, step=0.5)
    often = select("glister", pool, 20, rounds=None, step=0.5)
    assert once.indices.tolist() != often.indices.tolist()
    assert often.report["loss_after"] < once.report["loss_after"]
    careful = select("glister", pool, 20, rounds=None, step=0.02)
    assert careful.report["loss_after"] < careful.report["loss_before"]


def test_fewer_picks_come_first_only_without_rounds():
    pool, _ = data(n=60, seed=3)
    method = create("glister", rounds=None, step=0.5)
    assert method.greedy
    assert not create("glister").greedy
    longest = method.select(pool, 20).indices.tolist()
    assert [method.select(pool, j).indices.tolist() for j in (1, 8)] == [longest[:1], longest[:8]]


def test_quotas_within_a_round():
    pool, _ = data()
    coreset = select("glister", pool, 20, rounds=2, quotas={0: 3, 1: 2})
    counts = torch.bincount(pool.labels[coreset.indices], minlength=3).tolist()
    assert counts[:2] == [3, 2]


def test_a_layer_without_bias():
    pool, layer = data()
    layer = torch.cat([layer[:, :-1], torch.zeros(3, 1, dtype=torch.float64)], dim=1)
    features = pool.signal("features")
    plain = Pool(features=features, logits=features @ layer[:, :-1].T, labels=pool.labels)
    each = gradients_of(plain, layer)[:, :, :-1]
    gain = 0.01 * (each * each.mean(dim=0)).sum(dim=(1, 2))
    coreset = select("glister", plain, 5, rounds=1, bias=False)
    assert coreset.indices.tolist() == gain.argsort(descending=True)[:5].tolist()


def test_refuses_bad_options():
    pool, _ = data()
    for options, words in (
        ({"rounds": 0}, "rounds must be"),
        ({"step": 0}, "step must be"),
        ({"step": float("nan")}, "step must be"),
        ({"bias": 2}, "bias must be"),
        ({"validation": 3}, "validation must be"),
        ({"validation": Pool(features=torch.ones(2, 4), logits=torch.ones(2, 3))}, "need labels"),
        ({"validation": data(d=5)[0]}, "shape"),
    ):
        with pytest.raises(ArgumentError, match=words):
            select("glister", pool, 3, **options)
    with pytest.raises(SignalError, match="validation needs the signal 'logits'"):
        select("glister", pool, 3, validation=Pool(features=torch.ones(2, 4), labels=[0, 1]))
    without = Pool(
        features=torch.ones(3, 2), logits=torch.ones(3, 2), logit_gradients=torch.ones(3, 2)
    )
    with pytest.raises(ArgumentError, match="need labels"):
        select("glister", without, 1)


@pytest.mark.parametrize("options", [{"rounds": None}, {"rounds": 1, "bias": False}])
def test_contracts_with_other_options(options):
    check_selector(create("glister", **options))
