import torch
from torch import nn
from torch.nn import functional

from benchmarks.models import build_model
from benchmarks.offline.course import weights_of
from benchmarks.offline.data import build_data
from benchmarks.offline.gradients import GradientCheck, mean_gradient
from clcore.coreset import Coreset
from clcore.probe import Probe


def test_mean_gradient_is_that_of_autograd():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    y = torch.arange(12) % 3
    weights = torch.rand(12, generator=generator, dtype=torch.float64)
    layer = nn.Linear(5, 3).double()
    losses = functional.cross_entropy(layer(features), y, reduction="none")
    (losses @ weights / weights.sum()).backward()
    errors = torch.softmax(layer(features), dim=1) - functional.one_hot(y, 3)
    found = mean_gradient(errors.detach(), features, weights)
    assert torch.allclose(found[:, :-1], layer.weight.grad)
    assert torch.allclose(found[:, -1], layer.bias.grad)


def measured(make_suite, coreset, **options):
    suite = make_suite()
    data = build_data(suite, 0)
    model = build_model(suite.model, data.shape, 10, 0)
    return GradientCheck(data).measure(Probe(model), coreset, "random", **options)


def test_all_rows_have_no_error(make_suite):
    found = measured(make_suite, Coreset.of(torch.arange(200).flip(0)))
    assert found["gradient_error"] < 1e-12
    assert found["gradient_norm"] > 0.01
    assert found["error_bound"] is None


def test_weights_count_unless_they_are_set_aside(make_suite):
    weights = torch.linspace(0.1, 3.0, 200)
    coreset = Coreset.of(torch.arange(200), weights=weights)
    assert measured(make_suite, coreset)["gradient_error"] > 1e-4
    assert measured(make_suite, coreset, weighted=False)["gradient_error"] < 1e-12


def test_weights_are_described():
    scaled = torch.tensor([0.5, 0.5, 1.0, 2.0], dtype=torch.float64)
    found = weights_of(scaled)
    assert (found.least, found.greatest) == (0.5, 2.0)
    assert found.effective_rows == 4.0**2 / (0.25 + 0.25 + 1 + 4)
    assert sum(found.counts) == 4
    assert (found.edges[0], found.edges[-1]) == (0.0, 2.0)
