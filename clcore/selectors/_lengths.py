"""Distances of gradients from one row to another, pair by pair, for certificates.

Distances that a search computes by expansion in single precision may come out too short by a part
in a thousand; what is certified is computed again here, directly and in double precision.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NUMBERS = 2**22
"""Numbers of a block: 32 MiB of float64."""


def lengths_to(
    first: Tensor, second: Tensor | None, others: Tensor, *, bias: bool = True
) -> Tensor:
    """Compute ‖g_i − g(others_i)‖ for every row i.

    Args:
        first: The gradients `[n, d]`; or, with `second`, the gradients for the logits `[n, C]`.
        second: The inputs of the last layer `[n, d]`: g_i = first_i ⊗ [second_i, 1]; or None.
        others: int64 `[n]`, a row for each row.
        bias: Whether the last layer has a bias, the 1 above.

    Returns:
        float64 `[n]`.
    """
    n, wide = first.shape[0], first.shape[1] + (0 if second is None else second.shape[1])
    lengths = torch.empty(n, dtype=torch.float64, device=first.device)
    block = max(1, _NUMBERS // max(1, wide))
    for start in range(0, n, block):
        here = slice(start, start + block)
        left, there = first[here].double(), first[others[here]].double()
        if second is None:
            lengths[here] = (left - there).norm(dim=1)
            continue
        inputs, others_inputs = second[here].double(), second[others[here]].double()
        # e ⊗ h − e' ⊗ h' = (e − e') ⊗ h + e' ⊗ (h − h'): no difference of large squares.
        apart, moved = left - there, inputs - others_inputs
        squared = apart.square().sum(1) * (inputs.square().sum(1) + bias)
        squared += there.square().sum(1) * moved.square().sum(1)
        squared += 2 * (apart * there).sum(1) * (inputs * moved).sum(1)
        lengths[here] = squared.clamp_min(0).sqrt()
    return lengths
