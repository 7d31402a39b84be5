"""Parameters whose per-sample gradients have no closed form: listed, or done one by one."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from clcore import ArgumentError, Probe

N = 9
Y = torch.arange(N) % 3


def images(channels=4, *sizes):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, channels, *sizes, generator=generator, dtype=torch.float64)


class Mean(nn.Module):
    """Mean over all but samples and channels."""

    def __init__(self, *dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return x.mean(self.dims)


class Attention(nn.Module):
    """Has a weight of its own, and uses the weights of its output layer by function."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Functional(nn.Module):
    """Uses the weight of a layer once by its forward and once by function."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(functional.linear(self.first(x), self.first.weight)).mean(1)


class Positions(nn.Module):
    """An embedding of places, which are the same for every sample."""

    def __init__(self):
        super().__init__()
        self.places, self.head = nn.Embedding(N, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head((x + self.places(torch.arange(x.shape[1]))).square().mean(1))


class SequenceFirst(nn.Module):
    """Works with time in front of the samples."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.layer(x.transpose(0, 1))).mean(0))


UNCOVERED = {
    "attention": (Attention, "attention.in_proj_weight .MultiheadAttention has no closed form"),
    "functional": (Functional, "first.weight .used outside the forward of its layer"),
    "positions": (Positions, f"places.weight .called with {N} rows for 1 sample"),
    "sequence first": (SequenceFirst, f"layer.weight .called with {N} rows for 1 sample"),
    "lstm": (
        lambda: nn.Sequential(nn.LSTM(4, 3, batch_first=True), First(), Mean(1)),
        "0.weight_ih_l0 .LSTM has no closed form",
    ),
    "own forward": (lambda: nn.Sequential(Doubled(4, 3), Mean(1)), "0.weight .Doubled"),
}


class First(nn.Module):
    """The first of what a layer gives."""

    def forward(self, x):
        return x[0]


class Doubled(nn.Linear):
    """A Linear whose forward is another."""

    def forward(self, x):
        return 2 * super().forward(x)


def uncovered_case(name):
    torch.manual_seed(0)
    model = UNCOVERED[name][0]().double().eval()
    return model, images(N, 4)


@pytest.mark.parametrize("name", UNCOVERED)
def test_parameters_without_closed_form_are_listed_or_done_one_by_one(name, loop, assert_close):
    model, x = uncovered_case(name)
    # As many samples as tokens: no shape tells them apart.
    assert len(x) == x.shape[1]
    gradients = loop(model, x, Y)
    with pytest.raises(ArgumentError, match=f"no closed form.*{UNCOVERED[name][1]}"):
        Probe(model).gradient_products(x, Y)
    slow = Probe(model, uncovered="per-sample", batch_size=5)
    assert_close(slow.gradient_products(x, Y), gradients @ gradients.T)
    assert_close(slow.gradient_squares(x, Y), gradients.square().sum(1))
    assert slow.cost.backward_passes == 4 * N
    for probe in (slow, Probe(model)):
        mean = probe.mean_gradient(x, Y)
        assert_close(probe.gradient_products_with(x, Y, mean), gradients @ gradients.mean(0))


def test_layers_that_mix_samples_are_refused():
    model = nn.Sequential(
        nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3)
    ).double()
    with pytest.raises(ArgumentError, match=r"1\.weight .BatchNorm1d has no closed form.; 1\.bias"):
        Probe(model).gradient_products(images(), Y)


def test_an_input_changed_in_place_afterwards_is_refused():
    class Changed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            x = x * 1
            out = self.layer(x)
            x.zero_()
            return out

    with pytest.raises(ArgumentError, match="changed in place"):
        Probe(Changed().double()).gradient_products(images(), Y)
