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


def test_batch_norm_comes_before_the_relu():
    model = build_model(ModelSettings(hidden=(7, 5), batch_norm=True), (1, 4, 4), 3, seed=0)
    assert [type(layer).__name__ for layer in model.features] == [
        "Flatten", "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU",
    ]  # fmt: skip
    hidden = model.features[:3](torch.rand(50, 1, 4, 4))
    assert torch.allclose(hidden.mean(0), torch.zeros(7), atol=1e-6)


def test_batch_norm_of_one_row_is_by_the_running_statistics():
    model = build_model(ModelSettings(hidden=(7, 5), batch_norm=True), (1, 4, 4), 3, seed=0)
    model(torch.rand(50, 1, 4, 4))  # the running statistics are no longer the first ones
    row = torch.rand(1, 1, 4, 4)
    kept = {name: value.clone() for name, value in model.named_buffers()}
    output = model(row)
    assert all(layer.training for layer in model.modules())
    assert all(torch.equal(value, kept[name]) for name, value in model.named_buffers())
    output.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert torch.equal(output, model.eval()(row))
    # A layer that somebody has put into evaluation mode stays there.
    model.train().features[2].eval()
    model(row)
    assert [layer.training for layer in model.features] == [True, True, False, *[True] * 4]


@pytest.mark.parametrize("side", [16, 28])
def test_conv_has_the_layers_asked_for(side):
    model = build_model(ModelSettings("conv", (3, 4, 6), dropout=0.5), (2, side, side), 5, seed=0)
    left = ((side - 4) // 2 - 4) // 2
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim > 1]
    assert shapes == [(3, 2, 5, 5), (4, 3, 5, 5), (6, 4 * left * left), (5, 6)]
    dropped = [type(m).__name__ for m in model.modules() if "Dropout" in type(m).__name__]
    assert dropped == ["Dropout2d", "Dropout2d", "Dropout"]
    assert model(torch.zeros(2, 2, side, side)).shape == (2, 5)
    plain = build_model(ModelSettings("conv", (3, 4, 6)), (2, side, side), 5, seed=0)
    assert not [m for m in plain.modules() if "Dropout" in type(m).__name__]


def test_the_conv_of_borsos():
    model = build_model(ModelSettings("conv", (32, 64, 128)), (1, 28, 28), 10, seed=0)
    assert sum(p.numel() for p in model.parameters()) == (
        (25 + 1) * 32 + (25 * 32 + 1) * 64 + (64 * 4 * 4 + 1) * 128 + (128 + 1) * 10
    )


def test_the_reduced_resnet18_of_gem():
    model = build_model(ModelSettings("resnet18", (20,)), (3, 32, 32), 10, seed=0)
    assert [model.get_submodule(f"layer{i}")[0].conv1.out_channels for i in (1, 2, 3, 4)] == [
        20, 40, 80, 160,
    ]  # fmt: skip
    assert model.conv1.kernel_size == (3, 3)
    assert model.conv1.stride == (1, 1)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters()) == 1_094_750
    again = build_model(ModelSettings("resnet18", (20,)), (3, 32, 32), 10, seed=0)
    other = build_model(ModelSettings("resnet18", (20,)), (3, 32, 32), 10, seed=1)
    assert torch.equal(model.conv1.weight, again.conv1.weight)
    assert not torch.equal(model.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (ModelSettings("conv", (3, 4)), (1, 28, 28), r"model\.hidden: got \(3, 4\); conv needs"),
        (ModelSettings("conv", (3, 4, 5)), (1, 8, 8), "conv needs images of at least 16 x 16"),
        (ModelSettings("conv", (3, 4, 5)), (64,), "conv needs images of at least 16 x 16"),
        (ModelSettings("conv", (3, 4, 5), batch_norm=True), (1, 28, 28), "conv has no such option"),
        (ModelSettings("resnet18", (20, 40)), (3, 32, 32), "resnet18 needs one number"),
        (ModelSettings("resnet18", (20,), dropout=0.5), (3, 32, 32), r"model\.dropout: got 0\.5"),
        (ModelSettings("resnet18", (20,), batch_norm=True), (3, 32, 32), r"model\.batch_norm"),
    ],
)
def test_settings_that_a_network_does_not_have_are_refused(model, shape, words):
    with pytest.raises(ArgumentError, match=words):
        build_model(model, shape, 10, seed=0)


def test_unknown_model_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean mlp"):
        build_model(ModelSettings(name="mpl"), (1, 8, 8), 10, seed=0)


def test_no_hidden_layer_is_refused():
    with pytest.raises(ArgumentError, match=r"model\.hidden"):
        build_model(ModelSettings(hidden=()), (1, 8, 8), 10, seed=0)
