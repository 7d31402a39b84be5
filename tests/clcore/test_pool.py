"""Pool: columns, signals, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from clcore import ArgumentError, Pool, Probe, SignalError


def test_from_tensors():
    pool = Pool(
        features=torch.eye(3), labels=[0, 1, 1], groups=np.array([5, 5, 6]), weights=[1, 2, 3]
    )
    assert len(pool) == 3
    assert pool.labels.dtype == pool.groups.dtype == torch.int64
    assert pool.weights.dtype == torch.float32
    assert pool.device == torch.device("cpu")
    assert pool.has("features")
    assert not pool.has("losses")
    assert torch.equal(pool.signal("features"), torch.eye(3))
    assert "3 rows" in repr(pool)


def test_other_signals_by_name_and_no_features():
    pool = Pool(losses=torch.arange(4.0))
    assert pool.names == ("losses",)
    assert len(pool) == 4
    assert pool.labels is None


def test_labels_alone_make_a_pool():
    assert len(Pool(labels=[1, 2])) == 2


def test_an_empty_pool_is_a_pool():
    assert len(Pool(features=torch.empty(0, 4), labels=torch.empty(0, dtype=torch.int64))) == 0


def test_signals_do_not_carry_a_graph():
    x = torch.ones(2, 2, requires_grad=True)
    assert not Pool(features=x).signal("features").requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "at least one signal"),
        ({"features": torch.eye(3), "labels": [0, 1]}, "labels has 2 rows where the pool has 3"),
        ({"features": torch.eye(3), "labels": [0.5, 1, 2]}, "labels must be integers"),
        ({"features": torch.eye(3), "labels": [True, False, True]}, "labels must be integers"),
        ({"features": torch.eye(3), "labels": torch.zeros(3, 1).long()}, "one-dimensional"),
        ({"features": torch.eye(3), "labels": ["a", "b", "c"]}, "labels cannot be read"),
        ({"features": torch.eye(3), "groups": [0, 1, 2, 3]}, "groups has 4 rows"),
        ({"features": torch.eye(3), "weights": [1, -1, 1]}, "row 1 holds -1"),
        ({"features": torch.eye(3), "weights": [0, 0, 0]}, "all zero"),
        ({"features": torch.eye(3), "losses": torch.ones(2)}, "'losses' has 2 rows"),
        ({"features": torch.tensor(1.0)}, "single number"),
        ({"features": "abc"}, "'features' cannot be read"),
        ({"features": {"a": 1}}, "'features' must be a tensor"),
    ],
)
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Pool(**arguments)


@pytest.mark.parametrize(("bad", "word"), [(torch.nan, "NaN"), (-torch.inf, "infinity")])
def test_names_signal_and_first_row_of_nan_and_infinity(bad, word):
    x = torch.zeros(6, 2)
    x[4, 1] = x[2, 0] = bad
    with pytest.raises(SignalError, match=f"'features' holds {word}, first in row 2"):
        Pool(features=x)
    with pytest.raises(SignalError, match=f"'weights' holds {word}, first in row 0"):
        Pool(weights=[bad, 1.0])


def test_a_sum_that_overflows_is_no_infinity():
    x = torch.full((4, 4), torch.finfo(torch.float32).max)
    assert len(Pool(features=x)) == 4


def test_missing_signal_lists_what_is_there():
    with pytest.raises(SignalError, match="no signal 'losses'; it has features"):
        Pool(features=torch.eye(2)).signal("losses")


def test_subset_follows_the_order_asked_for():
    pool = Pool(
        features=torch.eye(4), labels=[0, 1, 2, 3], weights=[1, 2, 3, 4], groups=[9, 8, 7, 6]
    )
    part = pool.subset([3, 1])
    assert part.labels.tolist() == [3, 1]
    assert part.groups.tolist() == [6, 8]
    assert part.weights.tolist() == [4, 2]
    assert torch.equal(part.signal("features"), torch.eye(4)[[3, 1]])
    assert len(pool.subset([])) == 0
    with pytest.raises(ArgumentError, match="indices holds 4, which is not one of the rows 0 to 3"):
        pool.subset([0, 4])


class CountingModel(nn.Module):
    """Counts forward calls."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x)


def test_of_computes_when_asked_and_all_signals_in_one_pass():
    model = CountingModel()
    data = TensorDataset(torch.randn(10, 4), torch.arange(10) % 3)
    pool = Pool.of(data, Probe(model, batch_size=10), weights=torch.ones(10))
    assert pool.names[:5] == ("features", "logits", "losses", "logit_gradients", "gradient_norms")
    assert pool.labels.tolist() == (torch.arange(10) % 3).tolist()
    assert model.calls == 0
    pool.compute("features", "losses")
    assert model.calls == 1
    pool.signal("features")
    pool.signal("losses")
    assert model.calls == 1
    assert pool.cost.forward_passes == 10
    pool.signal("logits")
    assert pool.cost.forward_passes == 20
    pool.signal("gradient_norms")
    assert pool.cost.forward_passes == 20, "what follows from logits and features takes no pass"


def test_of_without_labels_has_no_losses():
    pool = Pool.of(torch.randn(5, 4), Probe(nn.Linear(4, 3)))
    assert not pool.has("losses")
    with pytest.raises(SignalError, match="no signal 'losses'; it has features, logits"):
        pool.signal("losses")


def test_lazy_subset_stays_lazy_and_agrees():
    model = CountingModel()
    x = torch.randn(8, 4)
    for data in (x, TensorDataset(x, torch.zeros(8).long())):
        pool = Pool.of(data, Probe(model), labels=torch.arange(8) % 3)
        part = pool.subset([6, 2])
        assert part.labels.tolist() == [0, 2]
        assert torch.allclose(part.signal("losses"), pool.signal("losses")[[6, 2]])
        assert part.cost.forward_passes == 2


def test_nan_from_the_model_is_named():
    model = nn.Linear(4, 3)
    x = torch.zeros(5, 4)
    x[3] = torch.nan
    pool = Pool.of(x, Probe(model))
    with pytest.raises(SignalError, match="'logits' holds NaN, first in row 3"):
        pool.signal("logits")


@pytest.mark.parametrize("data", [5, [], torch.tensor(1.0), iter([1])])
def test_of_refuses_what_is_no_data(data):
    if data == []:
        assert len(Pool.of(data, Probe(nn.Linear(4, 3)))) == 0
        return
    with pytest.raises(ArgumentError, match="data must be a tensor"):
        Pool.of(data, Probe(nn.Linear(4, 3)))


LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
FEATURES = torch.randn(6, 2, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])


def last_layer_gradients():
    """One row a sample, by autograd: gradient for weights and bias of the last layer."""
    rows = []
    for logits, features, label in zip(LOGITS, FEATURES.flatten(1), LABELS, strict=True):
        weight = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        loss = nn.functional.cross_entropy(logits + weight @ features + bias, label)
        grads = torch.autograd.grad(loss, (weight, bias))
        rows.append(torch.cat([grad.flatten() for grad in grads]))
    return torch.stack(rows)


def test_gradient_factors_and_norms_follow_from_logits_labels_and_features():
    pool = Pool(features=FEATURES, logits=LOGITS, labels=LABELS)
    assert pool.names == ("features", "logits", "logit_gradients", "gradient_norms")
    gradients = last_layer_gradients()
    assert torch.allclose(pool.signal("logit_gradients"), gradients[:, -3:])
    assert torch.allclose(pool.signal("gradient_norms"), gradients.norm(dim=1))
    assert pool.signal("gradient_norms") is pool.signal("gradient_norms")
    assert pool.cost.seconds > 0
    assert pool.cost.forward_passes == pool.cost.backward_passes == 0


def test_norms_alone_derive_what_they_need():
    part = Pool(features=FEATURES, logits=LOGITS, labels=LABELS).subset([4, 1])
    assert part.has("gradient_norms")
    expected = last_layer_gradients().norm(dim=1)[[4, 1]]
    assert torch.allclose(part.signal("gradient_norms"), expected)
    given = Pool(features=FEATURES, logit_gradients=LOGITS)
    assert torch.allclose(
        given.signal("gradient_norms"),
        LOGITS.norm(dim=1) * (1 + FEATURES.flatten(1).square().sum(1)).sqrt(),
    )


def test_what_is_given_is_not_derived():
    own, norms = torch.zeros(6, 3), torch.ones(6)
    pool = Pool(
        features=FEATURES, logits=LOGITS, labels=LABELS, logit_gradients=own, gradient_norms=norms
    )
    assert torch.equal(pool.signal("logit_gradients"), own)
    assert torch.equal(pool.signal("gradient_norms"), norms)


def test_what_cannot_be_derived_is_not_there():
    assert not Pool(logits=LOGITS).has("logit_gradients")
    assert not Pool(logits=LOGITS[:, 0], labels=LABELS).has("logit_gradients")
    assert not Pool(logits=LOGITS, labels=LABELS).has("gradient_norms")
    assert not Pool(features=FEATURES, labels=LABELS).has("gradient_norms")


@pytest.mark.parametrize("wrong", [-1, 3])
def test_labels_out_of_the_range_of_the_logits_are_refused(wrong):
    pool = Pool(logits=LOGITS, labels=torch.full((6,), wrong))
    with pytest.raises(ArgumentError, match=f"labels must be from 0 to 2.* found {wrong}"):
        pool.signal("logit_gradients")


def test_half_precision_does_not_overflow():
    features = torch.full((2, 4), 60000.0, dtype=torch.float16)
    pool = Pool(features=features, logits=torch.zeros(2, 2, dtype=torch.float16), labels=[0, 1])
    norms = pool.signal("gradient_norms")
    assert norms.dtype == torch.float32
    assert torch.allclose(norms, torch.full((2,), 120000 * 0.5**0.5), rtol=1e-3)


def test_memory_mapped_arrays_are_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    np.save(tmp_path / "y.npy", np.arange(6))
    x, y = (np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "y.npy"))
    pool = Pool(features=x, labels=y)
    assert pool.signal("features").data_ptr() == x.ctypes.data
    assert torch.equal(pool.subset([5]).signal("features"), torch.tensor([[10.0, 11.0]]).double())
    mapped = torch.from_file(str(tmp_path / "x.npy"), shared=False, size=8)
    assert Pool(features=mapped).signal("features").data_ptr() == mapped.data_ptr()


def test_bad_rows_are_found_in_later_blocks(monkeypatch):
    monkeypatch.setattr("clcore.checks._BLOCK", 4)
    x = torch.zeros(9, 2)
    x[7, 1] = torch.nan
    with pytest.raises(SignalError, match="'features' holds NaN, first in row 7"):
        Pool(features=x)
