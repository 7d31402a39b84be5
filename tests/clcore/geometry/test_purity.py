"""The radius of pure balls against a search over all radii."""

import pytest
import torch

from clcore.geometry import Points
from clcore.geometry.purity import nearest_other, pure_radius


@pytest.mark.parametrize("purity", [0.5, 0.9, 0.95, 1.0])
def test_it_is_the_largest_radius_that_is_pure_enough(purity):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 3, generator=generator, dtype=torch.float64)
    labels = (x[:, 0] > 0).long()
    away = torch.cdist(x, x)
    other = labels.unsqueeze(1) != labels

    def pure(radius):
        return float((~(other & (away <= radius)).any(dim=1)).double().mean())

    radius = pure_radius(Points(x), labels, purity)
    assert pure(radius) >= purity
    ends = away.masked_fill(~other, torch.inf).min(dim=1).values
    torch.testing.assert_close(nearest_other(Points(x), labels), ends, atol=1e-6, rtol=1e-6)
    next_end = float(ends[ends > radius].min())
    assert pure(next_end) < purity


def test_one_label_or_copies():
    x = torch.tensor([[0.0], [1.0], [4.0]])
    assert pure_radius(Points(x), torch.zeros(3, dtype=torch.int64), 0.95) >= 4
    assert pure_radius(Points(torch.zeros(4, 2)), torch.tensor([0, 1, 0, 1]), 0.95) > 0
