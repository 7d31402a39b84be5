"""Adam on a plain tensor, without a parameter group around it."""

from __future__ import annotations

import torch
from torch import Tensor


class Adam:
    """Kingma & Ba's Adam ("Adam: a method for stochastic optimization", ICLR 2015).

    Args:
        rate: The learning rate.
        betas: How slowly the means of slope and squared slope forget.
    """

    def __init__(self, rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.rate, self.betas = rate, betas
        self._steps = 0
        self._mean: Tensor | None = None
        self._square: Tensor | None = None

    def step(self, values: Tensor, slope: Tensor, scale: float = 1.0) -> Tensor:
        """Take one step.

        Args:
            values: Where it starts.
            slope: The gradient there, of the same shape.
            scale: Of the learning rate in this step, for schedules.

        Returns:
            A new tensor.
        """
        if self._mean is None or self._square is None:
            self._mean, self._square = torch.zeros_like(slope), torch.zeros_like(slope)
        one, two = self.betas
        self._steps += 1
        self._mean.lerp_(slope, 1 - one)
        self._square.mul_(two).addcmul_(slope, slope, value=1 - two)
        length = (self._square / (1 - two**self._steps)).sqrt_().add_(1e-8)
        return values - (self.rate * scale / (1 - one**self._steps)) * (self._mean / length)
