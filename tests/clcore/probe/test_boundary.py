"""DeepFool distances: exact for linear models, the right class, and the end of the walk."""

import pytest
import torch
from torch import nn

from clcore import ArgumentError, Probe
from clcore.probe.boundary import Boundary

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def linear(classes=5):
    torch.manual_seed(0)
    return nn.Linear(6, classes).double()


def distances(model, x=X, **options):
    probe = Probe(model, boundary=Boundary(**options), batch_size=16)
    return probe.signals(["boundary_distances"], x)["boundary_distances"]


def exact(model, x=X):
    """Return the distance to the nearest hyperplane between the predicted and another class."""
    logits, weight = model(x).detach(), model.weight.detach()
    rows = []
    for z in logits:
        y = int(z.argmax())
        others = [c for c in range(len(z)) if c != y]
        rows.append(min(float((z[y] - z[c]) / (weight[y] - weight[c]).norm()) for c in others))
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("classes", [2, 5])
def test_a_linear_model_is_solved_exactly(classes):
    model = linear(classes)
    torch.testing.assert_close(distances(model), exact(model))


def test_the_nearest_class_is_tried_wherever_it_stands():
    # The copies with the running minimum never updated step towards the last class.
    model = nn.Linear(2, 3, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0], [0.9, 0.5], [-1.0, 0.0]]))
    x = torch.tensor([[1.0, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(distances(model, x), exact(model, x))


def test_a_step_flips_the_prediction_of_a_curved_model():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    found = distances(model)
    margins = model(X).topk(2, dim=1).values
    close = (margins[:, 0] - margins[:, 1]).argsort()
    assert bool((found > 0).all())
    assert float(found[close[:5]].mean()) < float(found[close[-5:]].mean())


def test_fewer_classes_never_bring_the_boundary_nearer():
    model = linear()
    assert bool((distances(model, classes=2) >= distances(model) - 1e-9).all())


def test_a_model_that_ignores_its_input_has_no_boundary():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([1.0, 0.0], dtype=x.dtype) + 0 * x[:, :2]

    found = distances(Constant())
    assert bool((found == torch.finfo(torch.float64).max).all())


def test_cost_and_purity():
    model = nn.Sequential(nn.Linear(6, 4), nn.Dropout(), nn.Linear(4, 3)).double().train()
    probe = Probe(model)
    probe.signals(["boundary_distances"], X)
    assert probe.cost.backward_passes >= 2 * len(X)
    assert probe.cost.forward_passes >= 2 * len(X)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


def test_what_has_no_boundary_is_refused():
    with pytest.raises(ArgumentError, match="two classes"):
        distances(nn.Linear(6, 1).double())
    with pytest.raises(ArgumentError, match="real-valued"):
        Probe(nn.Embedding(5, 3)).signals(["boundary_distances"], torch.arange(5))


@pytest.mark.parametrize("options", [{"steps": 0}, {"classes": 1}, {"overshoot": -0.1}])
def test_wrong_options(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        Boundary(**options)
