import pytest
import torch
from torch.nn import functional

from clcore import Coreset, Pool, Probe
from clcore.errors import ArgumentError, SignalError
from strategies.offline import Drift, gradient_error


def by_hand(model, x, y, indices, weights):
    """The error from autograd, in double precision, over the last layer."""
    last = [model[-1].weight, model[-1].bias]

    def gradient(rows, shares):
        losses = functional.cross_entropy(model(x[rows]), y[rows], reduction="none")
        parts = torch.autograd.grad((losses * shares).sum(), last)
        return torch.cat([part.flatten() for part in parts])

    full = gradient(torch.arange(len(x)), torch.full((len(x),), 1 / len(x), dtype=x.dtype))
    part = gradient(indices, weights / weights.sum())
    return float((full - part).norm() / full.norm())


@pytest.mark.parametrize("scale", [1.0, 17.0])
def test_the_error_is_that_of_autograd(kit, scale):
    x, y = kit.blobs()
    x, model = x.double(), kit.mlp().double()
    indices = torch.tensor([3, 50, 7, 99])
    weights = torch.tensor([1.0, 4.0, 2.0, 0.5], dtype=torch.float64)
    pool = Pool.of(x, Probe(model), labels=y)
    found = gradient_error(pool, indices, weights * scale)
    assert found == pytest.approx(by_hand(model, x, y, indices, weights), rel=1e-9)


def test_all_rows_make_no_error_and_only_needed_rows_are_sent_through(kit):
    x, y = kit.blobs()
    probe = Probe(kit.mlp())
    pool = Pool.of(x, probe, labels=y)
    assert gradient_error(pool, torch.arange(120), torch.ones(120)) < 1e-12
    probe = Probe(kit.mlp())
    sample = torch.arange(0, 120, 3)
    gradient_error(Pool.of(x, probe, labels=y), torch.arange(5), torch.ones(5), rows=sample)
    assert probe.cost.forward_passes == 40 + 5


def test_degenerate_gradients():
    zero = Pool(logit_gradients=torch.zeros(3, 2), features=torch.ones(3, 1))
    assert gradient_error(zero, torch.tensor([0]), torch.ones(1)) == 0.0
    errors = torch.tensor([[1.0], [-1.0]])
    balanced = Pool(logit_gradients=errors, features=torch.ones(2, 1))
    assert gradient_error(balanced, torch.tensor([0]), torch.ones(1)) == float("inf")
    with pytest.raises(ArgumentError, match="weights are all zero"):
        gradient_error(balanced, torch.tensor([0]), torch.zeros(1))
    with pytest.raises(SignalError, match="no signal"):
        gradient_error(Pool(features=torch.ones(2, 1)), torch.tensor([0]), torch.ones(1))


def test_chooses_again_when_the_gradient_has_drifted(kit):
    trainer = kit.trainer("random", 0.3, reselect=Drift(1.5, sample=None), every=1, rate=0.3)
    history = trainer.fit(12)
    errors = [record.gradient_error for record in history]
    chosen = [record.selected for record in history]
    assert chosen[0]
    assert None not in errors
    assert 1 < sum(chosen) < 12  # neither each time nor never
    bound = None
    for index, record in enumerate(history):
        if record.selected:
            # What is recorded then is the error of the new choice.
            bound = 1.5 * record.gradient_error
        else:
            assert record.gradient_error <= bound, index


def test_drift_is_measured_on_its_own_schedule(kit):
    trainer = kit.trainer("random", 0.3, reselect=Drift(1e9, every=3, sample=30), warmup_epochs=1)
    errors = [record.gradient_error for record in trainer.fit(8)]
    assert [error is not None for error in errors] == [
        *(False, True, False, False, True, False, False, True)
    ]
    # The sample and the coreset alone are sent through the model.
    assert trainer.history[4].forward_passes == 30 + 36


def test_the_error_recorded_is_the_coresets(kit):
    trainer = kit.trainer("craig", reselect=Drift(sample=None))
    trainer.selections.refresh(0)
    x, y = kit.blobs()
    coreset: Coreset = trainer.coreset
    expected = by_hand(trainer.model, x, y, coreset.indices, coreset.weights)
    assert trainer.selections.error == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"factor": 1.0}, "factor must be a finite number above 1"),
        ({"factor": float("nan")}, "factor"),
        ({"factor": True}, "factor"),
        ({"every": 0}, "every"),
        ({"sample": 0}, "sample"),
    ],
)
def test_bad_rules(options, said):
    with pytest.raises(ArgumentError, match=said):
        Drift(**options)


def test_drift_needs_labels(kit):
    x, y = kit.blobs()
    with pytest.raises(ArgumentError, match="reselect: drift is measured by class labels"):
        kit.trainer("k-center", data=(x, y.float()), reselect=Drift())
