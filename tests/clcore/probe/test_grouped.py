"""Products with groups of gradients, against gradients multiplied out by autograd in float64."""

import copy

import pytest
import torch
from torch import nn

from clcore import Probe
from clcore.errors import ArgumentError
from clcore.probe.grouped import reduced


class Shared(nn.Module):
    """An embedding whose weight is the last layer's too, and a layer that runs twice."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.middle = nn.Linear(5, 5)
        self.last = nn.Linear(5, 11, bias=False)
        self.last.weight = self.embedding.weight

    def forward(self, x):
        h = self.embedding(x)
        return self.last(self.middle(torch.tanh(self.middle(h))).mean(1))


MODELS = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 4)),
    "no bias": lambda: nn.Sequential(nn.Linear(6, 7, bias=False), nn.Tanh(), nn.Linear(7, 4)),
    "convolution": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(36, 4)
    ),
    "tokens": Shared,
}  # fmt: skip


def data(kind, n):
    generator = torch.Generator().manual_seed(3)
    y = torch.randint(0, 4, (n,), generator=generator)
    if kind == "tokens":
        return torch.randint(0, 11, (n, 6), generator=generator), y
    shape = (2, 3, 3) if kind == "convolution" else (6,)
    return torch.randn(n, *shape, generator=generator), y


def multiplied_out(model, x, y):
    double = copy.deepcopy(model).double().eval()
    x = x.double() if x.is_floating_point() else x
    rows = []
    for i in range(len(x)):
        loss = nn.functional.cross_entropy(double(x[i : i + 1]), y[i : i + 1])
        rows.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, double.parameters())])
        )
    return torch.stack(rows)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("sizes", [[4, 4, 4], [5, 5, 2], [1, 3, 3, 1], [6]])
@pytest.mark.parametrize("batch_size", [256, 5])
def test_products_with_groups(kind, sizes, batch_size):
    torch.manual_seed(0)
    model, singles = MODELS[kind](), 3
    x, y = data(kind, singles + sum(sizes))
    found = Probe(model, batch_size=batch_size).gradient_products_with_groups(x, y, sizes)
    gradients = multiplied_out(model, x, y)
    means = torch.stack([part.mean(0) for part in gradients[singles:].split(sizes)])
    single = gradients[:singles]
    expected = (
        single @ means.T,
        single.square().sum(1),
        means.square().sum(1),
        single.mean(0).square().sum(),
    )
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-6)
    each, mean = found.cosines()
    one = nn.functional.cosine_similarity(single[:, None], means[None], dim=2)
    torch.testing.assert_close(each.double(), one, rtol=1e-4, atol=1e-5)
    both = nn.functional.cosine_similarity(single.mean(0)[None], means)
    torch.testing.assert_close(mean.double(), both, rtol=1e-4, atol=1e-5)


def test_what_is_reduced_from_all_products_is_the_same():
    model = MODELS["mlp"]()
    x, y = data("mlp", 12)
    probe = Probe(model)
    found = probe.gradient_products_with_groups(x, y, [4, 4, 2])
    other = reduced(probe.gradient_products(x, y), 2, [4, 4, 2])
    for mine, theirs in zip(found, other, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_an_all_zero_gradient_has_cosine_zero():
    model = nn.Linear(6, 1, bias=False)
    x = torch.zeros(4, 6)
    x[0], x[3] = 1, 2
    probe = Probe(model, loss=lambda z, y: z.squeeze(1) * (y + 1))
    each, mean = probe.gradient_products_with_groups(x, torch.zeros(4).long(), [1, 1]).cosines()
    assert each[0].tolist() == pytest.approx([0, 1])
    assert each[1].tolist() == [0, 0]
    assert mean.tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize("sizes", [[], [12], [13], [3, 0]])
def test_sizes_that_do_not_fit(sizes):
    x, y = data("mlp", 12)
    with pytest.raises(ArgumentError, match="sizes"):
        Probe(MODELS["mlp"]()).gradient_products_with_groups(x, y, sizes)


def test_what_is_kept_between_calls_follows_the_model():
    model = MODELS["mlp"]()
    x, y = data("mlp", 5)
    probe = Probe(model)
    probe.gradient_products(x, y)
    for change in (
        lambda: model[0].weight.requires_grad_(False),
        lambda: setattr(model[0], "bias", nn.Parameter(torch.ones(7))),
        lambda: model.__setitem__(2, nn.Linear(7, 6)),
        lambda: model.append(nn.Linear(6, 4)),
        lambda: model[0].weight.requires_grad_(True),
    ):
        change()
        expected = Probe(model).gradient_products(x, y)
        assert torch.equal(probe.gradient_products(x, y), expected)


def test_only_the_first_call_asks_what_one_sample_sees():
    model = MODELS["mlp"]()
    x, y = data("mlp", 5)
    probe = Probe(model)
    spent = []
    for _ in range(3):
        before = probe.cost
        probe.gradient_products(x, y)
        spent.append((probe.cost - before).forward_passes)
    assert spent == [6, 5, 5]
    copy.deepcopy(probe).gradient_products(x, y)


def test_no_graph_is_kept():
    model = MODELS["mlp"]()
    x, y = data("mlp", 5)
    probe = Probe(model)
    probe.gradient_products(x, y)
    assert probe._runner.differentiation.recording.calls == []
