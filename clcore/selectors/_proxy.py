"""Small classifiers on features whose derivatives are written out: the proxies of bilevel methods.

A `Proxy` is a multi-layer perceptron with ReLU and cross-entropy; without hidden layers it is
softmax regression. Its parameters are one flat tensor, so that a step of gradient descent, a
Neumann series or conjugate gradients are sums of vectors. A `Point` is the proxy at one value of
its parameters on some rows: one forward pass, from which losses, gradients, Hessian-vector products
and derivatives of every row's loss along a direction follow by matrix products alone, without
autograd and without a loop over rows:

    backward       E = p − onehot(y), weighted by row; back through the layers
    ⟨∇l_i, v⟩      forward differentiation: R{o} along v, then Σ_c E_ic R{o}_ic
    (Σ_i w_i ∇²l_i) v   Pearlmutter's R-operator ("Fast exact multiplication by the Hessian",
                   Neural Computation 1994) on the backward pass; ReLU has no second derivative

Leading dimensions of the parameters are models that are computed at once: parameters `[C, P]` with
rows `[n, d]`, shared, or `[C, n, d]`, each its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clcore.errors import ArgumentError
from clcore.geometry import as_matrix
from clcore.pool import Pool


@dataclass(frozen=True)
class Proxy:
    """The shape of a proxy.

    Args:
        widths: Inputs, hidden units of each layer, classes: at least two numbers.

    Attributes:
        size: P, the number of parameters.
    """

    widths: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of parameters: a matrix and a bias for each layer."""
        return sum((a + 1) * b for a, b in zip(self.widths, self.widths[1:], strict=False))

    def start(self, generator: torch.Generator, like: Tensor) -> Tensor:
        """Draw parameters to start from.

        Args:
            generator: What to draw from; softmax regression starts at zero and draws nothing.
            like: Gives type and device.

        Returns:
            Flat `[P]`: He's normal initialisation, half its variance in the last layer.
        """
        theta = torch.zeros(self.size, dtype=like.dtype, device=like.device)
        if len(self.widths) == 2:
            return theta
        layers = self.layers(theta)
        for depth, (matrix, _) in enumerate(layers):
            drawn = torch.randn(
                matrix.shape, generator=generator, dtype=torch.float64, device=generator.device
            )
            variance = (2 if depth < len(layers) - 1 else 1) / matrix.shape[1]
            matrix.copy_(drawn * math.sqrt(variance))
        return theta

    def layers(self, theta: Tensor) -> list[tuple[Tensor, Tensor]]:
        """View flat parameters as layers.

        Args:
            theta: `[..., P]`.

        Returns:
            Matrix `[..., out, in]` and bias `[..., out]` of each layer, as views.
        """
        views, at = [], 0
        for inputs, outputs in zip(self.widths, self.widths[1:], strict=False):
            shape = (*theta.shape[:-1], outputs, inputs)
            matrix = theta[..., at : at + inputs * outputs].view(shape)
            at += inputs * outputs
            views.append((matrix, theta[..., at : at + outputs]))
            at += outputs
        return views


class Point:
    """A proxy at one value of its parameters, on some rows.

    Args:
        proxy: Its shape.
        theta: Parameters `[..., P]`.
        x: Rows `[n, d]` or `[..., n, d]`.
        y: Classes, int64 `[n]` or `[..., n]`.

    Attributes:
        logits: `[..., n, classes]`.
        losses: Cross-entropy of each row `[..., n]`.
    """

    def __init__(self, proxy: Proxy, theta: Tensor, x: Tensor, y: Tensor) -> None:
        self._layers = proxy.layers(theta)
        self._proxy = proxy
        self._inputs, self.logits = [x], x
        for depth, (matrix, bias) in enumerate(self._layers):
            self.logits = _affine(self._inputs[-1], matrix, bias)
            if depth < len(self._layers) - 1:
                self._inputs.append(self.logits.relu())
        logs = nn.functional.log_softmax(self.logits, dim=-1)
        hot = y.expand(logs.shape[:-1]).unsqueeze(-1)
        self.losses = -logs.gather(-1, hot).squeeze(-1)
        self._chances = logs.exp()
        self._errors = self._chances.scatter_add(-1, hot, torch.full_like(hot, -1).to(logs))

    def gradient(self, weights: Tensor) -> Tensor:
        """Compute Σ_i w_i ∇l_i.

        Args:
            weights: `[n]` or `[..., n]`.

        Returns:
            `[..., P]`.
        """
        back = self._errors * weights.unsqueeze(-1)
        parts: list[Tensor] = []
        for depth in reversed(range(len(self._layers))):
            parts += [back.sum(-2), (back.mT @ self._inputs[depth]).flatten(-2)]
            if depth:
                back = (back @ self._layers[depth][0]) * (self._inputs[depth] > 0)
        return torch.cat(parts[::-1], dim=-1)

    def along(self, direction: Tensor) -> Tensor:
        """Compute ⟨∇l_i, v⟩ for every row.

        Args:
            direction: v, `[..., P]`.

        Returns:
            `[..., n]`.
        """
        return (self._errors * self._moved(direction)[0]).sum(-1)

    def hessian_times(self, direction: Tensor, weights: Tensor) -> Tensor:
        """Compute (Σ_i w_i ∇²l_i) v.

        Args:
            direction: v, `[..., P]`.
            weights: `[n]` or `[..., n]`.

        Returns:
            `[..., P]`.
        """
        moved, moved_inputs = self._moved(direction)
        along = self._proxy.layers(direction)
        back = self._errors * weights.unsqueeze(-1)
        spread = self._chances * moved
        spread = spread - self._chances * spread.sum(-1, keepdim=True)
        moved_back = spread * weights.unsqueeze(-1)
        parts: list[Tensor] = []
        for depth in reversed(range(len(self._layers))):
            matrix, moved_input = moved_back.mT @ self._inputs[depth], moved_inputs[depth]
            if moved_input is not None:
                matrix = matrix + back.mT @ moved_input
            parts += [moved_back.sum(-2), matrix.flatten(-2)]
            if depth:
                open_ = self._inputs[depth] > 0
                moved_back = (moved_back @ self._layers[depth][0] + back @ along[depth][0]) * open_
                back = (back @ self._layers[depth][0]) * open_
        return torch.cat(parts[::-1], dim=-1)

    def _moved(self, direction: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """Differentiate the logits, and the inputs of each layer, along a direction."""
        moved_input: Tensor | None = None
        moved_inputs: list[Tensor | None] = []
        moved = self.logits
        for depth, (matrix, bias) in enumerate(self._proxy.layers(direction)):
            moved_inputs.append(moved_input)
            moved = _affine(self._inputs[depth], matrix, bias)
            if moved_input is not None:
                moved = moved + moved_input @ self._layers[depth][0].mT
            if depth < len(self._layers) - 1:
                moved_input = moved * (self._inputs[depth + 1] > 0)
        return moved, moved_inputs


def proxy_rows(features: Tensor, labels: Tensor, hidden: int) -> tuple[Proxy, Tensor, Tensor]:
    """Bring a pool into the form that one learning rate suits, whatever its units.

    Args:
        features: `[n, ...]`.
        labels: int64 `[n]`, any numbers.
        hidden: Units of the hidden layer; 0 for softmax regression.

    Returns:
        The proxy; rows `[n, d]`, centred and scaled by one number to a mean squared length of d
        (all zero where the rows are equal); classes int64 `[n]`, from 0 on.
    """
    x = as_matrix(features)
    classes, y = torch.unique(labels, return_inverse=True)
    largest = x.abs().amax()
    if float(largest) > 0:
        x = x / largest
    x = x - x.mean(dim=0)
    length = x.square().sum(dim=1).mean().sqrt()
    # What rounding leaves of equal rows is no signal.
    noise = 8 * torch.finfo(x.dtype).eps * math.sqrt(x.shape[1])
    scale = math.sqrt(x.shape[1]) / length
    x = x * scale if float(length) > noise else torch.zeros_like(x)
    middle = (hidden,) if hidden else ()
    return Proxy((x.shape[1], *middle, len(classes))), x, y


def row_shares(pool: Pool, like: Tensor) -> Tensor:
    """Compute how much each row counts in the mean over the pool.

    Args:
        pool: The candidates, with weights or without.
        like: Gives type and device.

    Returns:
        `[n]`, summing to 1; even where no row has weight.
    """
    counts = torch.ones(len(pool)) if pool.weights is None else pool.weights
    counts = counts.to(like)
    total = counts.sum()
    return counts / total if float(total) > 0 else torch.full_like(counts, 1 / len(pool))


def positive_number(name: str, value: Any, *, zero: bool = False) -> None:
    """Check an option that is a finite number above 0, or at least 0.

    Args:
        name: The option's name, for the message.
        value: What was given.
        zero: Whether 0 is allowed.

    Raises:
        ArgumentError: If it is anything else.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (0 < value < math.inf or (zero and value == 0)):
        return
    allowed = "of at least 0" if zero else "above 0"
    raise ArgumentError(f"{name} must be a finite number {allowed}, not {value!r}")


def _affine(rows: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    return rows @ matrix.mT + bias.unsqueeze(-2)
