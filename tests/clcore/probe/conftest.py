"""Per-sample gradients the slow way, for comparison."""

import pytest
import torch
from torch.nn import functional


@pytest.fixture
def loop():
    """Return `loop(model, x, y, parameters=None)`: one gradient a row."""
    return _loop


@pytest.fixture
def assert_close():
    """Return `assert_close(found, expected)`: to twelve digits of the largest number."""
    return _assert_close


def _loop(model, x, y, parameters=None):
    """One gradient a row, by autograd one sample at a time."""
    modes = [module.training for module in model.modules()]
    model.eval()
    wanted = list(model.parameters()) if parameters is None else parameters
    wanted = [p for p in wanted if p.requires_grad]
    rows = []
    for i in range(len(x)):
        loss = functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        grads = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([g.flatten() for g in grads]))
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    return torch.stack(rows)


def _assert_close(found, expected):
    scale = expected.abs().max()
    assert scale > 0
    assert (found - expected).abs().max() < 1e-12 * scale
