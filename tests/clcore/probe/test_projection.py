"""Projected gradients: equal to projecting each sample's own gradient; inner products kept."""

import pytest
import torch
from torch import nn

from clcore import ArgumentError, Probe
from clcore.probe.projection import Projection

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(8, 3, 5, 5, generator=GENERATOR, dtype=torch.float64)
Y = torch.arange(8) % 4


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 4)
    ).double()


def gradients(model, layer):
    """Return the gradients of one layer's parameters, one sample at a time."""
    rows = []
    for x, y in zip(X, Y, strict=True):
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        parts = torch.autograd.grad(loss, list(layer.parameters()))
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


def projected(model, **options):
    probe = Probe(model, projection=Projection(**options), batch_size=3)
    return probe.signals(["projected_gradients"], X, Y)["projected_gradients"]


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
@pytest.mark.parametrize("structure", ["dense", "factored"])
@pytest.mark.parametrize("layer", [0, 3, 5])
def test_inner_products_are_kept(layer, structure, kind):
    model = network()
    exact = gradients(model, model[layer])
    found = projected(
        model, layer=str(layer), dimensions=6000, kind=kind, structure=structure, seed=1
    )
    assert found.shape == (8, 6000)
    gram, sketch = exact @ exact.T, found @ found.T
    scale = float(gram.diagonal().max())
    assert float((gram - sketch).abs().max()) < 0.15 * scale


def test_is_linear_in_the_gradient():
    model = network()
    exact = gradients(model, model[5])
    found = projected(model, dimensions=28)
    # As many coordinates as numbers in the gradient: one matrix must serve all samples.
    solution = torch.linalg.lstsq(exact, found).solution
    torch.testing.assert_close(exact @ solution, found, atol=1e-9, rtol=0)


def test_neither_the_batch_size_nor_a_second_call_changes_it():
    model = network()
    projection = Projection(dimensions=16)
    one, other = (
        Probe(model, projection=projection, batch_size=size).signals(["projected_gradients"], X, Y)[
            "projected_gradients"
        ]
        for size in (8, 3)
    )
    torch.testing.assert_close(one, other)
    assert not torch.allclose(one, projected(model, dimensions=16, seed=1))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": 0}, "dimensions"),
        ({"kind": "sparse"}, "kind must be"),
        ({"structure": "low"}, "structure must be"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        Projection(**options)


def test_a_layer_that_is_not_there():
    with pytest.raises(ArgumentError, match="is not"):
        projected(network(), layer="head")
    with pytest.raises(ArgumentError, match="has no Linear"):
        Probe(nn.Sequential(nn.Flatten()).double()).signals(["projected_gradients"], X, Y)
