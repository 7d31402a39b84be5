"""Top-k training of a generator: it learns from those of its samples that look most real.

Source: Sinha et al., "Top-k training of GANs: improving GAN performance by throwing away bad
samples", NeurIPS 2020.

Formula: in the generator's step only the k samples of highest discriminator score count. k begins
at the batch size B and is multiplied by γ after each epoch, down to ν B:

    k(e) = max(⌊γᵉ B⌋, ⌈ν B⌉).

Defaults: γ = 0.99 and ν = 0.5, those of stylegan2-pytorch; StudioGAN's configurations use γ from
0.75 to 0.999 and ν from 0.5 to 0.75. Whether a high score means real is the loss's to say, so
`higher_is_better` must be given.

Differences from reference codes: StudioGAN's resume compares the saved k instead of setting it, and
rounds down each epoch; here k is a function of the epoch alone, so there is nothing to save.
stylegan2-pytorch takes the lowest scores because there low means real.

Expected numbers: the cost of a call is that of a `topk` of B numbers, some microseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError, SignalError
from strategies.generative.extractors import one_head


def top_k_fakes(
    scores: Tensor, k: int, *, higher_is_better: bool, head: int | None = None
) -> Tensor:
    """Say which samples of a batch the generator learns from.

    Args:
        scores: What the discriminator returned for the fakes: `[b]`, `[b, 1]` or `[b, 1, 1, 1]`. Of
            a discriminator that returns several heads, the tuple, with `head`.
        k: How many; with more than b all are.
        higher_is_better: Whether a high score means real: True for the usual logits and for critics
            of real − fake, False where the discriminator is trained to give low scores to real.
        head: Which output is the score, where there are several.

    Returns:
        int64 `[min(k, b)]`, on the device of the scores, best first; equal scores in the order of
        the batch. Use it as `loss(scores[rows])`: the gradient of the others is then 0.

    Raises:
        ArgumentError: If k is 0, `higher_is_better` is no truth value, or there is more than one
            number a sample.
        SignalError: If a score is NaN or infinite; names the row.

    Example:
        >>> top_k_fakes(torch.tensor([0.1, 3.0, -2.0]), 2, higher_is_better=True)
        tensor([1, 0])
    """
    k = whole_number("k", k, least=1)
    if not isinstance(higher_is_better, bool):
        raise ArgumentError(
            f"higher_is_better must be True or False, not {higher_is_better!r}: does a high score "
            "mean real?"
        )
    values = one_head(scores, head).detach()
    if values.ndim == 0 or values.numel() != len(values):
        raise ArgumentError(
            "scores must be one number a sample, not of shape "
            f"{tuple(values.shape)}: of a discriminator with several heads or patches, take one or "
            "their mean first"
        )
    values = values.reshape(-1).float()
    if not bool(torch.isfinite(values).all()):
        row = int((~torch.isfinite(values)).to(torch.uint8).argmax())
        what = "NaN" if bool(values[row].isnan()) else "infinity"
        raise SignalError(f"signal 'scores' holds {what}, first in row {row}")
    return torch.argsort(values, descending=higher_is_better, stable=True)[:k]


@dataclass(frozen=True)
class TopKSchedule:
    """How many samples count in each epoch.

    Args:
        batch_size: B.
        gamma: γ, above 0 and at most 1: what k is multiplied by after each epoch.
        nu: ν, above 0 and at most 1: the share of the batch that is always kept.

    Raises:
        ArgumentError: If a number is out of range.

    Example:
        >>> schedule = TopKSchedule(64, gamma=0.9, nu=0.5)
        >>> [schedule.k(epoch) for epoch in (0, 1, 5, 100)]
        [64, 57, 37, 32]
    """

    batch_size: int
    gamma: float = 0.99
    nu: float = 0.5

    def __post_init__(self) -> None:
        whole_number("batch_size", self.batch_size, least=1)
        for name, value in (("gamma", self.gamma), ("nu", self.nu)):
            if not isinstance(value, int | float) or not 0 < value <= 1:
                raise ArgumentError(f"{name} must be above 0 and at most 1, not {value!r}")

    @property
    def least(self) -> int:
        """⌈ν B⌉: what k falls to."""
        return math.ceil(round(self.nu * self.batch_size, 9))

    def k(self, epoch: float) -> int:
        """Return k in an epoch.

        Args:
            epoch: From 0. Steps may count as parts of epochs, for a smooth fall.

        Returns:
            Between ⌈ν B⌉ and B.
        """
        if not epoch >= 0:
            raise ArgumentError(f"epoch must be at least 0, not {epoch!r}")
        fallen: float = self.batch_size * self.gamma**epoch
        return max(math.floor(round(fallen, 9)), self.least)

    def epochs_to_least(self) -> float:
        """Return after how many epochs k is at its least; infinite with γ = 1 and ν < 1."""
        if self.least == self.batch_size:
            return 0.0
        if self.gamma == 1:
            return math.inf
        return math.log(self.least / self.batch_size) / math.log(self.gamma)
