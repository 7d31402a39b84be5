"""How far a sample is from the boundary of its predicted class: the DeepFool radius.

Source: Moosavi-Dezfooli et al. 2016 (DeepFool); as a score: Ducoffe and Precioso 2018.
Formula: with y the predicted class, repeat r ← r + |f_l − f_y| / ‖w_l‖² · w_l, where w_k =
    ∇(f_k − f_y) at x + (1 + η) r and l is the class of smallest |f_k − f_y| / ‖w_k‖, until the
    prediction at x + (1 + η) r is not y. The distance is ‖r‖, which for a linear model is exact.
Differences from reference codes: all samples of a batch walk at once; the smallest ratio is kept
    as it is found (some copies step towards the last class tried).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError

Spend = Callable[[int, int], None]


@dataclass(frozen=True)
class Boundary:
    """How `boundary_distances` are made.

    Args:
        steps: Steps after which a sample that still keeps its class stops; its distance is then
            the length walked so far.
        overshoot: η: how much further than the boundary a step lands.
        classes: How many classes of highest logits, the predicted one among them, are tried.
    """

    steps: int = 50
    overshoot: float = 0.02
    classes: int = 10

    def __post_init__(self) -> None:
        whole_number("steps", self.steps, least=1)
        whole_number("classes", self.classes, least=2)
        if not 0 <= self.overshoot < float("inf"):
            raise ArgumentError(f"overshoot must not be negative, not {self.overshoot!r}")

    def distances(
        self, x: Tensor, logits: Tensor, run: Callable[[Tensor, Tensor], Tensor], spend: Spend
    ) -> Tensor:
        """Walk all samples of a batch to the boundary.

        Args:
            x: `[n, ...]`: what goes into the model, real-valued.
            logits: `[n, C]`: what came out.
            run: `run(x, rows)`: logits of changed inputs of some rows, with a graph to `x`.
            spend: Told the samples sent forward and backward.

        Returns:
            `[n]`. A sample on which no class's logit depends gets the largest finite number.

        Raises:
            ArgumentError: If the inputs are not real numbers or there are no two classes.
        """
        if not x.is_floating_point():
            raise ArgumentError(f"boundary_distances need real-valued inputs, not {x.dtype}")
        if logits.ndim != 2 or logits.shape[1] < 2:
            shape = tuple(logits.shape)
            raise ArgumentError(f"boundary_distances need logits of two classes, not {shape}")
        tried = logits.topk(min(self.classes, logits.shape[1]), dim=1).indices
        walked = torch.zeros_like(x)
        stuck = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        rows = torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            if len(rows) == 0:
                break
            with torch.enable_grad():
                leaf = (x[rows] + (1 + self.overshoot) * walked[rows]).requires_grad_()
                # A copy: the model may begin with an operation in place.
                outputs = run(leaf.clone(), rows)
                here = outputs.detach().argmax(dim=1) == tried[rows, 0]
                spend(len(rows), 0)
                if not bool(here.any()):
                    break
                step, still = _nearest(leaf, outputs, tried[rows])
                spend(0, len(rows) * (tried.shape[1] - 1))
            walked[rows[here]] += step[here]
            stuck[rows[here & ~still]] = True
            rows = rows[here & still]
        lengths = walked.flatten(1).norm(dim=1)
        result: Tensor = lengths.masked_fill(stuck, torch.finfo(lengths.dtype).max)
        return result


def _nearest(leaf: Tensor, outputs: Tensor, tried: Tensor) -> tuple[Tensor, Tensor]:
    """Return the step to the nearest class's boundary, and whether there is one."""
    own = outputs.gather(1, tried[:, :1])
    shape = (-1,) + (1,) * (leaf.ndim - 1)
    best = torch.full((len(leaf),), torch.inf, dtype=leaf.dtype, device=leaf.device)
    step = torch.zeros_like(leaf)
    last = tried.shape[1] - 1
    for place in range(1, last + 1):
        gaps = (outputs.gather(1, tried[:, place : place + 1]) - own).squeeze(1)
        (slopes,) = torch.autograd.grad(gaps.sum(), leaf, retain_graph=place < last)
        lengths = slopes.flatten(1).norm(dim=1)
        ratios = (gaps.detach().abs().to(leaf.dtype) / lengths).nan_to_num(torch.inf, torch.inf)
        nearer = ratios < best
        best = torch.where(nearer, ratios, best)
        unit = slopes / lengths.clamp_min(torch.finfo(leaf.dtype).tiny).view(shape)
        step = torch.where(nearer.view(shape), unit * ratios.view(shape), step)
    return torch.nan_to_num(step, 0.0), torch.isfinite(best)
