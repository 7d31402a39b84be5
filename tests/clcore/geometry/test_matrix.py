"""Signals as matrices."""

import pytest
import torch

from clcore.geometry import as_matrix, normalised


@pytest.mark.parametrize(
    ("signal", "shape", "kind"),
    [
        (torch.zeros(3, 2, 2, dtype=torch.uint8), (3, 4), torch.float32),
        (torch.zeros(3, dtype=torch.float64), (3, 1), torch.float64),
        (torch.zeros(3, 2, dtype=torch.bfloat16), (3, 2), torch.float32),
        (torch.zeros(4, 3).t(), (3, 4), torch.float32),
        (torch.zeros(0, 5), (0, 1), torch.float32),
    ],
)
def test_as_matrix(signal, shape, kind):
    matrix = as_matrix(signal)
    assert matrix.shape == shape
    assert matrix.dtype == kind
    assert matrix.is_contiguous()


def test_normalised_keeps_zero_rows():
    matrix = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert torch.allclose(normalised(matrix), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    assert matrix[0, 0] == 3
