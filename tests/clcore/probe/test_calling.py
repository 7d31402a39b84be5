"""Which models surely run no code but torch's, and that others are still left without a trace."""

import random
from types import MethodType

import numpy as np
import pytest
import torch
from torch import nn

from clcore import Probe
from clcore.probe.calling import runs_torch_alone


class Drawing(nn.Linear):
    """Draws from every generator."""

    def forward(self, x):
        noise = float(np.random.rand() + random.random() + torch.rand(()))  # noqa: NPY002
        return super().forward(x) + noise


def plain():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3))


def hooked(kind):
    model = plain()
    getattr(model[0], kind)(lambda *_: None)
    return model


def replaced():
    model = plain()
    model[0].forward = MethodType(lambda self, x: nn.Linear.forward(self, x), model[0])
    return model


def test_torchs_own_layers():
    assert runs_torch_alone(plain())
    assert runs_torch_alone(nn.LSTM(4, 2))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(plain(), Drawing(3, 3)),
        hooked("register_forward_hook"),
        hooked("register_forward_pre_hook"),
        hooked("register_full_backward_hook"),
        hooked("register_full_backward_pre_hook"),
        replaced(),
        nn.TransformerEncoderLayer(4, 2, activation=lambda x: x.relu()),
    ],
)
def test_code_of_others(model):
    assert not runs_torch_alone(model)


def test_hooks_on_all_modules():
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not runs_torch_alone(plain())
    finally:
        handle.remove()


def draws():
    return torch.rand(2).tolist(), np.random.rand(), random.random()  # noqa: NPY002


@pytest.mark.parametrize("where", ["model", "loss", "transform", "hook", "nowhere"])
@pytest.mark.parametrize("work", ["gradient_products", "logits"])
def test_whatever_draws_leaves_the_generators_as_they_were(where, work):
    def drawing(value, *_):
        draws()
        return value

    model = nn.Sequential(nn.Linear(4, 3), Drawing(3, 3)) if where == "model" else plain()
    if where == "hook":
        model[1].register_forward_hook(lambda _layer, _inputs, output: drawing(output))
    options = {}
    if where == "loss":
        options["loss"] = lambda z, y: drawing(nn.functional.cross_entropy(z, y, reduction="none"))
    if where == "transform":
        options["transform"] = drawing
    probe = Probe(model, uncovered="per-sample", **options)
    x = torch.randn(5, 4)
    arguments = (x, torch.arange(5) % 3) if work == "gradient_products" else (x,)
    seeds = (random.seed, np.random.seed, torch.manual_seed)
    for seed in seeds:
        seed(7)
    expected = draws()
    for seed in seeds:
        seed(7)
    getattr(probe, work)(*arguments)
    assert draws() == expected


def test_a_model_whose_forward_changes_is_read_anew():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x, task=None):
            return self.layer(x) + (0 if task is None else 100.0)

    model, x = Two(), torch.randn(2, 4)
    assert (Probe(model).logits(x, task=1) > 50).all()
    model.forward = lambda inputs: model.layer(inputs)
    assert (Probe(model).logits(x, task=1) < 50).all()
    Two.forward = lambda self, inputs: self.layer(inputs)
    assert (Probe(Two()).logits(x, task=1) < 50).all()
