"""Rainbow: from every label a spread of rows, from those a model is sure of to those it is not.

Source: Bang, Kim, Yoo, Ha and Choi, "Rainbow memory: continual learning with a memory of diverse
samples", CVPR 2021, section 4.1.

Formula: with the classes ŷ_1 … ŷ_K that the model names for K perturbed views of a row,

    u = 1 − (votes of the most named class) / K,

and, for each label on its own, its N_c rows sorted by u, k_c of them at even distances. O(n K C)
time, O(n) memory beside the signal.

Defaults: the signal `perturbed_logits` `[n, K, C]` (`clcore.probe.Perturbation`; K = 12 augmented
views for the authors). Each label has the same k_c, what a small one can't give going to the others
and what can't be divided to the first; quotas come first. `spread="whole"`: the range is cut
into k_c parts of even size, and the row in the middle of each is taken. u has K values at the most
and most rows share u = 0: `ties="random"` orders equal rows at random, `"confidence"` by the mean
probability of the most named class, surest first, which is not random and spreads the picks among
equal rows too. Picks come label by label in turn, coarse before fine (van der Corput's order), so
that their prefixes cover the range as well, though they are not the picks for a smaller k. Without
labels the pool is one. Rows in `given` are no candidates. `gains` are u.

Differences from reference codes: the authors' takes every ⌊N_c / k_c⌋-th row from the easiest on
and stops after k_c: up to half of the range, the hard end, is never used. That is `spread="step"`.
It orders ties by the sort routine, draws the classes of the first task at random (an option of
`buffers.RainbowBuffer`), and fills what is left over by random rows.

Expected numbers: 100 of 1,000 MNIST rows by 12 views (`buffers.augmentation.RandomViews`) of an MLP
after 5 epochs on them: a quarter of the rows has u = 0. Test accuracy of an MLP 784-100-10 trained
on the picks, mean ± deviation of 5 seeds: 76.3 ± 1.8, no more than random picks with even shares
(76.3 ± 1.4); with `spread="step"` or `ties="confidence"` 76.2 ± 1.9. With 30 % wrong labels 55.3 ±
4.9 against 52.5 ± 3.2, and 30.0 of the picks are wrong (31.8). 0.3 CPU seconds, views included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.errors import SignalError
from clcore.pool import Pool
from clcore.quotas import Allowance, fair_shares
from clcore.randomness import permutation
from clcore.ranking import BLOCK_NUMBERS, one_of, rows_by
from clcore.selector import Selector

Spread = Literal["whole", "step"]


@dataclass(frozen=True)
class Rainbow(Selector):
    """Rows of every degree of uncertainty, for each label on its own.

    Args:
        spread: Over the `"whole"` range of uncertainty, or by a whole-numbered `"step"` from the
            easiest row on, as in the authors' code.
        ties: Rows of equal uncertainty are in `"random"` order, or the one of highest
            `"confidence"` first.
    """

    spread: Spread = "whole"
    ties: Literal["random", "confidence"] = "random"

    signals: ClassVar[tuple[str, ...]] = ("perturbed_logits",)
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("spread", self.spread, ("whole", "step"))
        one_of("ties", self.ties, ("random", "confidence"))
        # What the base class promises depends on the option: say so on the instance.
        object.__setattr__(self, "randomised", self.ties == "random")

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        uncertainty, confidence = vote_uncertainty(pool.signal("perturbed_logits"))
        if self.ties == "random":
            first = permutation(len(pool), generator, pool.device)
        else:
            first = torch.argsort(confidence, descending=True, stable=True)
        easy_first = first[torch.argsort(uncertainty[first], stable=True)]
        labels = torch.zeros(len(pool), dtype=torch.int64, device=pool.device)
        labels = labels if pool.labels is None else pool.labels
        is_open, parts = allowance.open, allowance.parts()
        lists: list[Tensor] = []
        shares = fair_shares(k, [capacity for _, capacity in parts])
        for (rows, _), share in zip(parts, shares, strict=True):
            inside = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
            inside[rows] = True
            candidates = easy_first[(inside & is_open)[easy_first]]
            ranked = [candidates[places] for places in rows_by(labels[candidates])]
            counts = fair_shares(share, [len(rank) for rank in ranked])
            lists += [
                rank[spread_places(len(rank), count, self.spread).to(rank.device)]
                for rank, count in zip(ranked, counts, strict=True)
            ]
        turns = torch.cat([torch.arange(len(rank)) for rank in lists])
        picks = torch.cat(lists)[torch.argsort(turns, stable=True).to(pool.device)]
        return Coreset.of(picks, gains=uncertainty[picks])


def vote_uncertainty(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Measure how much the views of each row disagree.

    Args:
        logits: `[n, K, C]`: one row of logits for each view.

    Returns:
        1 − the share of the views that name the most named class (of equal ones the lowest), and
        the mean probability of that class over all views; both float64 `[n]`.

    Raises:
        SignalError: If the logits have another shape, or no class.
    """
    if logits.ndim != 3 or 0 in logits.shape[1:]:
        raise SignalError(
            "signal 'perturbed_logits' must hold logits [views, classes] for each row, not "
            f"{tuple(logits.shape[1:])}"
        )
    views, classes = logits.shape[1:]
    uncertainty, confidence = [], []
    for block in torch.split(logits, max(1, BLOCK_NUMBERS // (views * classes))):
        named = block.argmax(dim=2)
        votes = torch.zeros(len(block), classes, dtype=torch.float64, device=block.device)
        votes.scatter_add_(1, named, torch.ones_like(named, dtype=torch.float64))
        most, winner = votes.max(dim=1, keepdim=True)
        chances = block.to(torch.float64).softmax(dim=2).mean(dim=1)
        uncertainty.append(1 - most.squeeze(1) / views)
        confidence.append(chances.gather(1, winner).squeeze(1))
    return torch.cat(uncertainty), torch.cat(confidence)


def spread_places(rows: int, count: int, spread: Spread) -> Tensor:
    """Return places in a sorted list, at even distances, coarse before fine.

    Args:
        rows: Length of the list.
        count: How many places, at most `rows`.
        spread: The middles of `count` even parts of the list (`"whole"`), or every
            ⌊rows/count⌋-th place from 0 on (`"step"`).

    Returns:
        int64 `[count]` on the CPU, each place once.
    """
    numbers = torch.arange(count)
    if count == 0:
        return numbers
    places = (2 * numbers + 1) * rows // (2 * count)
    if spread == "step":
        places = numbers * (rows // count)
    return places[torch.argsort(_reversed_bits(numbers, count.bit_length()), stable=True)]


def _reversed_bits(numbers: Tensor, bits: int) -> Tensor:
    turned = torch.zeros_like(numbers)
    for bit in range(bits):
        turned |= ((numbers >> bit) & 1) << (bits - 1 - bit)
    return turned
