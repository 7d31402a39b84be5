"""The guard takes back everything."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from clcore.guard import guard


def make_model():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 2))
    model[2].eval()
    for parameter in model[0].parameters():
        parameter.grad = torch.ones_like(parameter)
    model[3].bias.requires_grad_(False)
    return model


def draws():
    return torch.rand(2).tolist(), np.random.rand(), random.random()  # noqa: NPY002


def test_restores_gradients_modes_buffers_and_flags():
    model = make_model()
    gradients = [p.grad for p in model.parameters()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    statistics = model[1].running_mean
    with guard(model):
        assert all(p.grad is None for p in model.parameters())
        model.train()
        model(torch.randn(8, 4)).sum().backward()
        model[3].bias.requires_grad_(True)
        model[1].running_mean = torch.full((6,), 7.0)
        model[1].register_buffer("extra", torch.ones(1))
        model.eval()
    assert [m.training for m in model.modules()] == [True, True, True, False, True]
    assert [p.grad for p in model.parameters()] == gradients
    assert torch.equal(gradients[0], torch.ones(6, 4))
    assert model[1].running_mean is statistics
    assert list(model.state_dict()) == list(state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not model[3].bias.requires_grad
    assert model[3].weight.requires_grad


def test_restores_the_global_random_state():
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    expected = draws()
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    with guard():
        draws()
        torch.manual_seed(99)
        np.random.seed(99)  # noqa: NPY002
        random.seed(99)
    assert draws() == expected


def test_a_seed_makes_the_inside_repeatable():
    with guard(seed=4):
        first = draws()
    with guard(seed=4):
        assert draws() == first
    with guard(seed=5):
        assert draws() != first


def test_restores_after_an_exception_too():
    model = make_model()
    state = torch.get_rng_state()

    def careless():
        with guard(model):
            torch.rand(5)
            model.eval()
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        careless()
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert model[0].weight.grad is not None


def test_several_models_and_nested_guards():
    one, two = make_model(), make_model()
    with guard(one, two):
        one.eval()
        with guard(one):
            one.train()
        assert not one.training
        two.eval()
    assert one.training
    assert two.training


def test_models_that_share_parameters_and_a_model_twice():
    model = make_model()
    gradients = [p.grad for p in model.parameters()]
    with guard(model, model, nn.Sequential(model, nn.Linear(2, 2)), model[0]):
        assert all(p.grad is None for p in model.parameters())
        model(torch.randn(8, 4)).sum().backward()
    assert [p.grad for p in model.parameters()] == gradients


def test_torch_alone_leaves_the_other_generators_alone():
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    first = draws()
    second = draws()
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    with guard(torch_alone=True):
        assert draws() == first
    assert draws() == (first[0], *second[1:])
