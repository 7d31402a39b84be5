"""A density over important latents, learned by a normalising flow: the flow of FIS-GAN.

Source: Yi et al., "FIS-GAN: GAN with flow-based importance sampling", 2019; the flow is Durkan et
al., "Neural spline flows", NeurIPS 2019, by zuko. Formulas and defaults: `importance.py`.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import zuko
from torch import Tensor, nn

from clcore.checks import require_finite, whole_number
from clcore.errors import ArgumentError


class LatentFlow(nn.Module):
    """Draws normal latents by importance from a learned density, with importance weights.

    For a prior uniform on [−1, 1] use `torch.erf(latents / 2**0.5)`: the weights are the same. Its
    `state_dict` holds the optimiser and the randomness too, so that it goes on exactly.

    Args:
        size: Numbers of a latent.
        uniform_share: λ, above 0 and at most 1: the share that is drawn from the prior.
        bandwidth: τ: standard deviation of the Gaussian around each latent.
        transforms: Layers of the flow.
        hidden: Widths of the networks in each layer.
        learning_rate: Of Adam.
        seed: Of the flow's parameters and of all that is drawn.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> flow = LatentFlow(2)
        >>> latents, weights = flow.draw(64)
        >>> latents.shape, float(weights.max()) <= 10.001
        (torch.Size([64, 2]), True)
    """

    def __init__(
        self,
        size: int,
        *,
        uniform_share: float = 0.1,
        bandwidth: float = 0.1,
        transforms: int = 3,
        hidden: tuple[int, ...] = (64, 64),
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < uniform_share <= 1:
            raise ArgumentError(
                f"uniform_share must be above 0 and at most 1, not {uniform_share!r}"
            )
        if not 0 <= bandwidth < math.inf:
            raise ArgumentError(f"bandwidth must be at least 0, not {bandwidth!r}")
        self.size = whole_number("size", size, least=1)
        self.uniform_share, self.bandwidth = float(uniform_share), float(bandwidth)
        with torch.random.fork_rng():
            torch.manual_seed(whole_number("seed", seed))
            self.flow: Any = zuko.flows.NSF(
                self.size, transforms=transforms, hidden_features=hidden
            )
        self._optimizer = torch.optim.Adam(self.flow.parameters(), learning_rate)
        self._noise = torch.Generator().manual_seed(seed)

    def fit(self, latents: Tensor, importance: Tensor, steps: int = 1) -> float:
        """Move the density towards the importance of some latents.

        Args:
            latents: `[n, size]`, drawn from the prior.
            importance: `[n]`, none negative, not all zero: see `latent_importance`.
            steps: Of Adam.

        Returns:
            The weighted negative log-likelihood at the last step.

        Raises:
            ArgumentError: If the shapes differ, or an importance is negative or all are zero.
            SignalError: If an importance is NaN or infinite.
        """
        require_finite("importance", importance)
        if (
            latents.ndim != 2
            or latents.shape[1] != self.size
            or importance.shape != latents.shape[:1]
        ):
            raise ArgumentError(
                f"latents and importance must be [n, {self.size}] and [n], not "
                f"{tuple(latents.shape)} and {tuple(importance.shape)}"
            )
        total = float(importance.sum())
        if not total > 0 or float(importance.min()) < 0:
            raise ArgumentError("importance must not be negative or all zero")
        shares, value = importance.detach() / total, math.nan
        for _ in range(whole_number("steps", steps, least=1)):
            around = latents.detach() + self.bandwidth * self._normal(len(latents)).to(latents)
            loss = -(shares * self.flow().log_prob(around)).sum()
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            value = float(loss.detach())
        return value

    @torch.no_grad()
    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw latents and weigh them.

        Args:
            n: How many.

        Returns:
            Latents `[n, size]`, and weights prior/q `[n]`: at most 1/λ, of mean 1 on average.
        """
        count = whole_number("n", n, least=1)
        normal = self._normal(count)
        plain = torch.rand(count, generator=self._noise) < self.uniform_share
        device = next(self.flow.parameters()).device
        normal, plain = normal.to(device), plain.to(device)
        latents = torch.where(plain.unsqueeze(1), normal, self.flow().transform.inv(normal))
        return latents, self.weights(latents)

    @torch.no_grad()
    def weights(self, latents: Tensor) -> Tensor:
        """Return prior/q of latents `[n, size]`: `[n]`."""
        prior = -0.5 * (latents.square().sum(dim=1) + self.size * math.log(2 * math.pi))
        flow = self.flow().log_prob(latents) + math.log1p(-min(self.uniform_share, 1 - 1e-12))
        return (prior - torch.logaddexp(flow, prior + math.log(self.uniform_share))).exp()

    def get_extra_state(self) -> dict[str, Any]:
        """Return what the next steps and draws depend on beside the parameters."""
        return {
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "noise": self._noise.get_state(),
        }

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` returned."""
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._noise.set_state(state["noise"])

    def _normal(self, count: int) -> Tensor:
        return torch.randn(count, self.size, generator=self._noise)
