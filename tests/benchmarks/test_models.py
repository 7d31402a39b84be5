import math

import pytest
import torch

from benchmarks.models import MLP, ModelSettings, build_model
from clcore.errors import ArgumentError, UnknownNameError


def test_mlp_has_the_layers_asked_for():
    model = build_model(ModelSettings(hidden=(7, 5)), (1, 4, 4), 3, seed=0)
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes == [(7, 16), (7,), (5, 7), (5,), (3, 5), (3,)]
    assert model(torch.zeros(2, 1, 4, 4)).shape == (2, 3)


def test_one_layer_with_dropout_is_avalanches_simple_mlp():
    from avalanche.models import SimpleMLP

    ours = build_model(ModelSettings(hidden=(512,), dropout=0.5), (1, 28, 28), 10, seed=3)
    torch.manual_seed(3)
    theirs = SimpleMLP(10)
    ours.eval(), theirs.eval()
    x = torch.rand(4, 1, 28, 28)
    assert torch.equal(ours(x), theirs(x))
    rates = [m.p for m in ours.modules() if isinstance(m, torch.nn.Dropout)]
    assert rates == [m.p for m in theirs.modules() if isinstance(m, torch.nn.Dropout)] == [0.5]


def test_same_seed_same_weights_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    first = build_model(ModelSettings(), (1, 8, 8), 10, seed=1)
    again = build_model(ModelSettings(), (1, 8, 8), 10, seed=1)
    other = build_model(ModelSettings(), (1, 8, 8), 10, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    weights = [m.classifier.weight for m in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_xavier_as_in_mammoth():
    model = build_model(ModelSettings(initialisation="xavier"), (1, 28, 28), 10, seed=0)
    assert isinstance(model, MLP)
    for layer in (m for m in model.modules() if isinstance(m, torch.nn.Linear)):
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert float(layer.weight.detach().abs().max()) <= bound
        assert float(layer.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert not layer.bias.any()


def test_unknown_model_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean mlp"):
        build_model(ModelSettings(name="mpl"), (1, 8, 8), 10, seed=0)


def test_no_hidden_layer_is_refused():
    with pytest.raises(ArgumentError, match=r"model\.hidden"):
        build_model(ModelSettings(hidden=()), (1, 8, 8), 10, seed=0)
