"""What chosen rows span, against projections in double precision."""

import copy

import pytest
import torch

from clcore import NotEnoughMemoryError
from clcore.geometry.factored import FactoredPoints
from clcore.geometry.spanned import Spanned


def unspanned(gradients, rows, ridge):
    """‖g‖² + ridge − c (G + ridge)⁻¹ cᵀ for every row; infinite where nothing is left."""
    whole = gradients.square().sum(dim=1) + ridge
    cross = gradients @ gradients[rows].t()
    gram = gradients[rows] @ gradients[rows].t() + ridge * torch.eye(len(rows)).double()
    left = whole - (cross * torch.linalg.solve(gram, cross.t()).t()).sum(dim=1)
    return torch.where(left > 1e-9 * whole, left, torch.inf)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_follows_rows_that_come_and_go(ridge, kind):
    generator = torch.Generator().manual_seed(0)
    errors = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    features = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    inputs = torch.cat([features, torch.ones(30, 1)], dim=1)
    gradients = torch.einsum("nc,nd->ncd", errors, inputs).reshape(30, -1)
    spanned = Spanned(FactoredPoints(errors.to(kind), features.to(kind)), ridge)
    near = 2e-3 if kind == torch.float32 else 1e-8
    for chosen in ([4], [4, 9], [4, 9, 20, 1], [4, 20, 1], [4, 20, 1, 7], [8], [], [2, 3]):
        rows = torch.tensor(chosen, dtype=torch.int64)
        gram = gradients[rows] @ gradients[rows].t() + ridge * torch.eye(len(rows)).double()
        factor = torch.linalg.cholesky(gram) if chosen else gram
        spanned.follow(rows, factor)
        expected = unspanned(gradients, rows, ridge)
        assert torch.allclose(spanned.left.double(), expected, rtol=near, atol=near)
        again = copy.deepcopy(spanned)
        again.follow(rows, factor)
        assert torch.allclose(again.left.double(), expected, rtol=near, atol=near)
        if ridge == 0:
            assert bool(torch.isinf(spanned.left[rows]).all())
    assert spanned.follow(rows, factor) == 0


def test_says_what_does_not_fit(monkeypatch):
    monkeypatch.setattr("clcore.memory.available_bytes", lambda device: 1000)
    spanned = Spanned(FactoredPoints(torch.ones(50, 2).double()), 0.0)
    with pytest.raises(NotEnoughMemoryError, match="look_ahead=False"):
        spanned.follow(torch.tensor([0]), torch.ones(1, 1).double())
