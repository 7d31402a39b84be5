"""GCR's memory: the column of logits, saving and bad input."""

import pytest
import torch
from avalanche.models import IncrementalClassifier
from torch import nn

from buffers import GCRBuffer
from clcore import Probe
from clcore.errors import ArgumentError, SignalError


def rows(n, classes=2, start=0):
    """Samples, labels, features and logits of rows; the label has the largest logit mostly."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % classes + start
    logits = torch.randn(n, start + classes, generator=generator)
    logits[torch.arange(n), y] += 1
    features = torch.randn(n, 5, generator=generator).relu() + y[:, None] / 3
    return torch.arange(n)[:, None].float(), y, features, logits


def unchanged(buffer, state):
    for name, tensor in state["tensors"].items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name]), name


# -- logits ------------------------------------------------------------------------------------


def test_logits_of_the_learner_are_kept():
    model = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    buffer = GCRBuffer(12, probe=Probe(model))
    _, y, features, _ = rows(60, classes=3)
    buffer.add(features, y)
    passes = buffer.cost.forward_passes
    assert passes == 60, "one pass serves gradients and logits"
    drawn = buffer.all()
    expected = model.eval()(drawn.x).detach()
    torch.testing.assert_close(drawn.columns["logits"], expected)
    old = {int(b): z for b, z in zip(buffer.store.born, drawn.columns["logits"], strict=True)}
    with torch.no_grad():
        model[0].weight.mul_(2)
    buffer.add(features, y, 1)
    for born, z in zip(buffer.store.born, buffer.all().columns["logits"], strict=True):
        if int(born) in old:
            assert torch.equal(z, old[int(born)]), "logits stay those of the time of storage"


def test_without_logits_it_is_a_weighted_memory():
    x, y, features, logits = rows(60)
    errors = logits.softmax(1) - nn.functional.one_hot(y)
    buffer, other = GCRBuffer(10), GCRBuffer(10, beta=1.0)
    buffer.add(x, y, features=features, logit_gradients=errors)
    other.add(x, y, features=features, logits=logits)
    assert "logits" not in buffer.all().columns
    assert torch.equal(buffer.store.born, other.store.born)
    torch.testing.assert_close(buffer.store.weight, other.store.weight)


def test_new_outputs_are_minus_infinity_in_old_logits():
    buffer = GCRBuffer(8)
    x, y, features, logits = rows(40)
    buffer.add(x, y, features=features, logits=logits)
    x, y, features, logits = rows(40, start=2)
    buffer.add(x, y, 1, features=features, logits=logits)
    z, task = buffer.store.extra["logits"][:8], buffer.store.task
    assert torch.equal(z == -torch.inf, (task == 0)[:, None] & (torch.arange(4) > 1))


def test_a_head_that_grows_and_budget_in_bytes():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.classifier = IncrementalClassifier(5, initial_out_features=2)

        def forward(self, x):
            return self.classifier(x)

    model = Model()
    _, y, features, _ = rows(40)
    buffer, bounded = (
        GCRBuffer(8, probe=Probe(model)),
        GCRBuffer(max_bytes=2000, probe=Probe(model)),
    )
    for one in (buffer, bounded):
        one.add(features, y)
    assert bounded.nbytes <= 2000
    assert bounded.nbytes + bounded.nbytes / bounded.capacity > 2000
    model.classifier.classifier = nn.Linear(5, 4)
    model.classifier.active_units = torch.ones(4, dtype=torch.int8)
    buffer.add(features, y + 2, 1)
    assert buffer.store.extra["logits"].shape == (8, 4)
    state = bounded.state_dict()
    with pytest.raises(ArgumentError, match="max_bytes: doesn't go with a model whose outputs"):
        bounded.add(features, y + 2, 1)
    unchanged(bounded, state)
    model.classifier.classifier = nn.Linear(5, 3)
    model.classifier.active_units = torch.ones(3, dtype=torch.int8)
    state = buffer.state_dict()
    with pytest.raises(ArgumentError, match="the model has 3 outputs, but those stored have 4"):
        buffer.add(features, y, 2)
    unchanged(buffer, state)


# -- saving and bad input ----------------------------------------------------------------------


def test_resume_is_bit_for_bit(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    options = {"probe": Probe(model), "candidates": 60}
    buffer = GCRBuffer(20, **options)
    features, y = rows(150)[2], rows(150)[1]
    buffer.add(features, y)
    buffer.save(tmp_path / "memory.safetensors")
    other = GCRBuffer(5, seed=8, **options).load(tmp_path / "memory.safetensors")
    for one in (buffer, other):
        one.add(features + 1, y + 2, 1)
    unchanged(other, buffer.state_dict())
    assert torch.equal(buffer.sample(7).index, other.sample(7).index)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": -1}, "ridge"),
        ({"candidates": 0}, "candidates"),
        ({"quota": "label"}, "quota: got 'label'"),
        ({"gradient": "mse"}, "gradient: got 'mse'"),
        ({"alpha": -1}, "alpha: got -1"),
        ({"alpha": float("nan")}, "alpha: got nan"),
        ({"beta": True}, "beta: got True"),
        ({"beta": 0}, "beta: got 0, which leaves new rows no gradient"),
        ({"preset": "code"}, "preset: got 'code'"),
        ({"correct_only": "yes"}, "correct_only: got 'yes'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        GCRBuffer(10, **options)


def test_bad_rows_change_nothing():
    buffer = GCRBuffer(10, candidates=12)
    x, y, features, logits = rows(40)
    buffer.add(x, y, features=features, logits=logits)
    state = buffer.state_dict()
    bad = logits.clone()
    bad[7, 1] = torch.nan
    cases = [
        ({"features": features}, ArgumentError, "logits: the exemplars in this buffer have them"),
        ({"logits": logits}, ArgumentError, r"columns: \['features'\] not given"),
        ({"features": features, "logits": bad}, SignalError, "logits"),
        ({"features": features, "logits": logits[:, :1]}, ArgumentError, "logits: rows are"),
        ({"features": features, "logits": logits.long()}, ArgumentError, "logits: rows are"),
    ]
    for columns, kind, message in cases:
        with pytest.raises(kind, match=message):
            buffer.add(x, y, 1, **columns)
        unchanged(buffer, state)
    with pytest.raises(ArgumentError, match="y: got label 5, but the logits have 2 outputs"):
        buffer.add(x, y + 4, 1, features=features, logits=logits)
    unchanged(buffer, state)
    with pytest.raises(ArgumentError, match="logits: got"):
        GCRBuffer(10).add(x, y, features=features, logits=logits.long())
