"""Whole-network gradient products against a loop of per-sample autograd, in float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from clcore import ArgumentError, Cost, NotEnoughMemoryError, Probe
from clcore.probe import outer

N = 9


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(channels=4, *sizes, n=N):
    return torch.randn(n, channels, *sizes, generator=generator(), dtype=torch.float64)


def tokens(n=N, length=5, vocabulary=7):
    return torch.randint(vocabulary, (n, length), generator=generator())


class Mean(nn.Module):
    """Mean over all but samples and channels."""

    def __init__(self, *dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return x.mean(self.dims)


class Twice(nn.Module):
    """Calls one layer three times, on what it gave."""

    def __init__(self, layer, after):
        super().__init__()
        self.layer, self.after = layer, after

    def forward(self, x):
        return self.after(self.layer(torch.tanh(self.layer(self.layer(x)))) + x)


class Tied(nn.Module):
    """A language model whose output layer is its embedding; a bias is tied too."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 6, padding_idx=2)
        self.body = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)
        self.norm.bias = self.body.bias
        self.decoder = nn.Linear(6, 7)
        self.decoder.weight = self.embedding.weight

    def forward(self, x):
        hidden = self.norm(functional.relu_(self.body(self.embedding(x))))
        return self.decoder(hidden).mean(1)


class TwoEmbeddings(nn.Module):
    """The same embedding looked up twice, with different lengths."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.embedding(x).mean(1) * self.embedding(x[:, :2]).sum(1))


class Keyword(nn.Module):
    """Calls its layer with a named argument, and another under no_grad."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.unused = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(2, 2)

    def forward(self, x):
        with torch.no_grad():
            x = self.first(x) + x
        return self.second(input=x)


def conv(kind, *arguments, **options):
    return nn.Sequential(kind(*arguments, **options), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))


MODELS = {
    "mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(8, 5, bias=False), nn.LeakyReLU(inplace=True), nn.Linear(5, 3),
    ),
    "sequence": lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3), Mean(1)),
    "long sequence": lambda: nn.Sequential(nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 3), Mean(1)),
    "nested sequence": lambda: nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), Mean(1, 2)
    ),
    "conv1d": lambda: conv(nn.Conv1d, 4, 6, 3, stride=2, padding=1, dilation=2),
    "conv1d circular": lambda: conv(nn.Conv1d, 4, 6, 3, padding=2, padding_mode="circular"),
    "conv2d": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1, bias=False), batch_norm_of(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 6, (1, 3), stride=(2, 1)), nn.GroupNorm(2, 6), nn.ReLU(), Mean(2, 3),
        nn.Linear(6, 3),
    ),
    "conv2d few places": lambda: nn.Sequential(
        nn.Conv2d(4, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16, 3)
    ),
    "conv2d same": lambda: conv(nn.Conv2d, 4, 6, (2, 3), padding="same", dilation=(1, 2)),
    "conv2d groups": lambda: conv(nn.Conv2d, 4, 6, 3, groups=2, padding="valid"),
    "conv2d depthwise": lambda: conv(
        nn.Conv2d, 4, 4, 3, groups=4, padding=1, padding_mode="reflect"
    ),
    "conv3d": lambda: conv(nn.Conv3d, 4, 5, (1, 2, 3), padding=(0, 1, 1), stride=(1, 2, 1)),
    "transposed1d": lambda: conv(nn.ConvTranspose1d, 4, 6, 3, stride=2, padding=1),
    "transposed2d": lambda: conv(
        nn.ConvTranspose2d, 4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2
    ),
    "embedding": lambda: nn.Sequential(
        nn.Embedding(7, 6, padding_idx=0), nn.RMSNorm(6), nn.Linear(6, 3), Mean(1)
    ),
    "large embedding": lambda: nn.Sequential(nn.Embedding(7, 6), nn.Flatten(), nn.Linear(12, 3)),
    "layer norm": lambda: nn.Sequential(
        nn.LayerNorm((4, 5)), nn.Flatten(), nn.Linear(20, 6), nn.LayerNorm(6), nn.Linear(6, 3)
    ),
    "instance norm": lambda: nn.Sequential(
        nn.InstanceNorm2d(4, affine=True), nn.Conv2d(4, 3, 3),
        nn.InstanceNorm2d(3, affine=True, track_running_stats=True), Mean(2, 3),
    ),
    "twice": lambda: Twice(nn.Linear(4, 4), nn.Linear(4, 3)),
    "twice conv": lambda: Twice(
        nn.Conv2d(4, 4, 3, padding=1), nn.Sequential(nn.Flatten(), nn.Linear(144, 3))
    ),
    "tied": Tied,
    "two embeddings": TwoEmbeddings,
    "keyword": Keyword,
}  # fmt: skip
INPUTS = {
    "mlp": lambda: images(),
    "sequence": lambda: images(5, 4),
    "long sequence": lambda: images(30, 4),
    "nested sequence": lambda: images(2, 3, 4),
    "embedding": tokens,
    "large embedding": lambda: tokens(length=2),
    "tied": tokens,
    "two embeddings": tokens,
    "layer norm": lambda: images(4, 5),
    "twice": lambda: images(),
    "keyword": lambda: images(),
    "conv1d": lambda: images(4, 9),
    "conv1d circular": lambda: images(4, 9),
    "transposed1d": lambda: images(4, 5),
    "conv3d": lambda: images(4, 3, 4, 5),
    "conv2d few places": lambda: images(4, 5, 5),
}
Y = torch.arange(N) % 3


def batch_norm_of(channels):
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.normal_(generator=generator(5))
    norm.running_var.uniform_(0.5, 2, generator=generator(6))
    return norm


def case(name):
    torch.manual_seed(1)
    x = INPUTS.get(name, lambda: images(4, 6, 6))()
    model = MODELS[name]().double()
    with torch.no_grad():
        model(x)
        for parameter in model.parameters():
            # Biases and scales that are 0 and 1 would hide mistakes.
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    return model, x


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch_size", [4, 100])
def test_products_equal_those_of_a_loop(name, batch_size, loop, assert_close):
    model, x = case(name)
    gradients = loop(model, x, Y)
    probe = Probe(model, batch_size=batch_size)
    assert_close(probe.gradient_products(x, Y), gradients @ gradients.T)
    others = probe.gradient_products(x[:7], Y[:7], other=(x[5:], Y[5:]))
    assert_close(others, gradients[:7] @ gradients[5:].T)
    assert_close(probe.gradient_squares(x, Y), gradients.square().sum(1))
    mean = probe.mean_gradient(x[2:6], Y[2:6])
    flat = torch.cat([values.flatten() for values in mean.values()])
    assert_close(flat, gradients[2:6].mean(0))
    assert_close(probe.gradient_products_with(x, Y, mean), gradients @ flat)
    assert_close(probe.gradient_products_with(x, Y, list(mean.values())), gradients @ flat)


@pytest.mark.parametrize("name", ["conv2d", "conv2d groups", "sequence", "tied", "two embeddings"])
def test_small_blocks_change_nothing(name, monkeypatch, loop, assert_close):
    monkeypatch.setattr(outer, "BLOCK", 300)
    monkeypatch.setattr("clcore.probe.factors.BLOCK", 300)
    model, x = case(name)
    gradients = loop(model, x, Y)
    probe = Probe(model)
    assert_close(probe.gradient_products(x, Y), gradients @ gradients.T)
    assert_close(probe.gradient_squares(x, Y), gradients.square().sum(1))
    mean = probe.mean_gradient(x, Y)
    assert_close(probe.gradient_products_with(x, Y, mean), gradients @ gradients.mean(0))


@pytest.mark.parametrize("layers", ["0", ["0", "3"], [0, 3]])
def test_layers_and_frozen_parameters(layers, loop, assert_close):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    model[0].bias.requires_grad_(False)
    model[1].requires_grad_(False)
    if isinstance(layers, list):
        layers = [model[place] if isinstance(place, int) else place for place in layers]
    chosen = [model[0].weight, *([] if layers == "0" else model[3].parameters())]
    gradients = loop(model, images(), Y, chosen)
    probe = Probe(model)
    assert_close(probe.gradient_products(images(), Y, layers=layers), gradients @ gradients.T)
    mean = probe.mean_gradient(images(), Y, layers=layers)
    assert len(mean) == len(chosen)
    along = probe.gradient_products_with(images(), Y, mean, layers=layers)
    assert_close(along, gradients @ gradients.mean(0))
    assert not model[0].bias.requires_grad


def test_a_weight_shared_with_a_layer_outside_counts_wholly(loop, assert_close):
    model, x = case("tied")
    gradients = loop(model, x, Y, [model.embedding.weight])
    products = Probe(model).gradient_products(x, Y, layers="embedding")
    assert_close(products, gradients @ gradients.T)


def test_hooks_of_others_see_and_change_what_they_did(loop, assert_close):
    model, x = case("mlp")
    model[1].register_forward_hook(lambda _m, _i, output: output * 3)
    gradients = loop(model, x, Y)
    assert_close(Probe(model).gradient_products(x, Y), gradients @ gradients.T)


def test_nothing_is_left_behind():
    model, x = case("mlp")
    model.train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    gradients = [p.grad for p in model.parameters()]
    state = {name: values.clone() for name, values in model.state_dict().items()}
    random_state = torch.get_rng_state()
    probe = Probe(model)
    probe.gradient_products(x, Y)
    probe.gradient_squares(x, Y)
    probe.gradient_products_with(x, Y, probe.mean_gradient(x, Y))
    with pytest.raises(ArgumentError):
        probe.gradient_products(x)
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient, torch.ones_like(gradient))
    for name, values in model.state_dict().items():
        assert torch.equal(values, state[name])
    for module in model.modules():
        assert not module._forward_hooks


def test_cost_counts_every_pass():
    model, x = case("mlp")
    probe = Probe(model, batch_size=4)
    probe.gradient_products(x, Y)
    # One sample more goes forward alone: that layers see one row a sample is made sure of.
    assert (probe.cost.forward_passes, probe.cost.backward_passes) == (N + 1, N)
    assert probe.cost.seconds > 0


def test_other_losses_datasets_and_precision(assert_close):
    model, x = case("mlp")
    model.eval()
    loss = nn.CrossEntropyLoss(label_smoothing=0.3)
    rows = []
    for i in range(N):
        grads = torch.autograd.grad(loss(model(x[i : i + 1]), Y[i : i + 1]), model.parameters())
        rows.append(torch.cat([g.flatten() for g in grads]))
    expected = torch.stack(rows) @ torch.stack(rows).T
    data = torch.utils.data.TensorDataset(x, Y)
    probe = Probe(model, loss=loss)
    assert_close(probe.gradient_products(data), expected)
    assert_close(probe.gradient_products(data, other=data), expected)
    model.float()
    single = Probe(model, loss=loss).gradient_products(x.float(), Y)
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), expected, rtol=1e-3, atol=1e-5)
    mixed = Probe(model, loss=loss, autocast=torch.bfloat16).gradient_products(x.float(), Y)
    assert mixed.dtype == torch.float32
    assert (mixed - expected).abs().max() < 0.05 * expected.abs().max()


def test_no_samples():
    model, x = case("mlp")
    probe = Probe(model)
    assert probe.gradient_products(x[:0], Y[:0]).shape == (0, 0)
    assert probe.gradient_products(x, Y, other=(x[:0], Y[:0])).shape == (N, 0)
    assert probe.gradient_squares(x[:0], Y[:0]).shape == (0,)
    with pytest.raises(ArgumentError, match="mean gradient of no samples"):
        probe.mean_gradient(x[:0], Y[:0])
    assert Probe(model).cost == Cost()


def test_refusals(monkeypatch):
    model, x = case("mlp")
    probe = Probe(model, batch_size=2)
    with pytest.raises(ArgumentError, match="losses need labels"):
        probe.gradient_products(x)
    with pytest.raises(ArgumentError, match="layers: 'fc' is not in the model"):
        probe.gradient_products(x, Y, layers="fc")
    with pytest.raises(ArgumentError, match="no parameter of layers '3' requires a gradient"):
        probe.gradient_products(x, Y, layers="3")
    with pytest.raises(ArgumentError, match="other must be"):
        probe.gradient_products(x, Y, other=(x, Y, None, None))
    with pytest.raises(ArgumentError, match="direction has 1 tensors where 7 parameters count"):
        probe.gradient_products_with(x, Y, [torch.ones(1)])
    with pytest.raises(ArgumentError, match=r"direction for '1\.weight' must be a tensor of shape"):
        probe.gradient_products_with(x, Y, [torch.ones(1)] * 7)
    with pytest.raises(ArgumentError, match=r"direction and parameters differ: '1\.bias'"):
        probe.gradient_products_with(x, Y, {"1.weight": torch.ones(8, 4)})
    monkeypatch.setattr("clcore.memory.available_bytes", lambda device: 10)
    with pytest.raises(NotEnoughMemoryError, match=r"9 samples needs .* take fewer samples"):
        probe.gradient_products(x, Y)
    model.requires_grad_(False)
    with pytest.raises(ArgumentError, match="no parameter of the model requires a gradient"):
        probe.gradient_products(x, Y)
