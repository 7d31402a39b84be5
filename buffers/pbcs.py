"""PBCS memory: exemplars kept with probabilities that are learned around trained models.

Source: Zhou, Pi, Zhang, Lin, Chen & Zhang, "Probabilistic bilevel coreset selection", ICML 2022,
its continual-learning experiments. The choice itself is `clcore`'s selector `pbcs`:

    min over s in [0, 1]ⁿ, Σ s ≤ k, of  E_{m ~ Bernoulli(s)}[L(θ*(m))],   by policy gradient,

with θ*(m) trained on the masked rows and L its loss on all of them.

Defaults: `preset="quick"`, the one that a CPU can afford; `"paper"` takes 3 million training steps
a task. `quota="task"`, as in the paper, where each task gives M / t exemplars: the models that
judge a mask are classifiers and need the classes of a task together, so a quota for each class is
not on offer; `balanced=True` gives the classes of a task even shares all the same. At most 1000
rows of a task are candidates (the paper's number), drawn at random; more where the task's share is
above half of that. `proxy="last_layer"`: the models are softmax regression on the features of the
learner (or of a probe, or a column `features`); `"whole_network"`: an MLP with 100 hidden units on
the samples themselves. Tasks without new rows keep their first exemplars (`reselect="new"`), those
of largest probability. Exemplars have no weights.

Differs from other codes: the authors released none for continual learning; see the selector for
what their summarisation code does.

Expected: 2000 rows of MNIST pixels as one task, M = 100, an MLP (784-256-10) trained on the memory
alone, 5 seeds: 77.6 ± 1.4, random rows with even shares 76.5 ± 1.6; 3.3 s of one core. For wrong
labels and imbalanced classes see the selector's numbers.
"""

from __future__ import annotations

from typing import Literal

import torch

from buffers.class_shares import (
    ProxyKind,
    check_joint_options,
    class_shares,
    in_class_order,
    resolved_proxy,
    with_enough,
)
from buffers.consolidating import Reselect
from buffers.incoming import Transform
from buffers.selection import SelectorBuffer
from clcore import Coreset, Pool, Probe
from clcore.checks import whole_number
from clcore.selectors.pbcs import PBCS

_HIDDEN = 100


class PBCSBuffer(SelectorBuffer):
    """Keeps exemplars whose probabilities of being kept are learned by policy gradient.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        preset: `"quick"` or `"paper"`: sets those of the next three options that are None.
        draws: Masks in each round (selector).
        rounds: Steps on the probabilities (selector).
        inner_steps: Training steps of the models in each round (selector).
        proxy: What the models are trained on: `"last_layer"`, softmax regression on features, or
            `"whole_network"`, an MLP on the samples. None: the former.
        candidates: The most rows of a task that are considered; None for all.
        balanced: Whether the classes of a task get even shares.
        quota: Whether the budget is shared among each `"task"` (each experience, where the stream
            has no task labels), or (None) not.
        reselect: Which tasks choose again: those with `"new"` rows, or `"all"`.
        probe: Computes the features for `proxy="last_layer"`; without one they are taken from a
            column `features` given to `add`, or from the model of the strategy in `post_adapt`.

    Raises:
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> buffer = PBCSBuffer(20, rounds=10, proxy="whole_network")
        >>> _ = buffer.add(torch.rand(500, 8), torch.arange(500) % 5)
        >>> buffer.class_counts()
        {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        preset: Literal["quick", "paper"] = "quick",
        draws: int | None = None,
        rounds: int | None = None,
        inner_steps: int | None = None,
        proxy: ProxyKind | None = None,
        candidates: int | None = 1000,
        balanced: bool = True,
        quota: Literal["task"] | None = "task",
        reselect: Reselect = "new",
        probe: Probe | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        proxy = resolved_proxy(proxy, probe, default="last_layer")
        check_joint_options(quota, balanced)
        super().__init__(
            PBCS(
                preset=preset,
                draws=draws,
                rounds=rounds,
                inner_steps=inner_steps,
                hidden=_HIDDEN if proxy == "whole_network" else 0,
            ),
            max_size,
            quota=quota,
            reselect=reselect,
            probe=probe,
            features="input" if proxy == "whole_network" else None,
            max_bytes=max_bytes,
            seed=seed,
            device=device,
            transform=transform,
        )
        if candidates is not None:
            whole_number("candidates", candidates, least=1)
        self.balanced, self.candidates = balanced, candidates

    def choose(self, pool: Pool, k: int) -> Coreset:
        """Choose among a random part of the rows; see `ConsolidatingBuffer.choose`."""
        assert pool.labels is not None  # a memory's rows always have them
        labels = pool.labels.cpu()
        if k == len(pool):
            coreset = super().choose(pool, k)
            return in_class_order(coreset, labels) if self.balanced else coreset
        shares = class_shares(labels, k) if self.balanced else None
        rows = torch.arange(len(pool))
        most = len(pool) if self.candidates is None else max(self.candidates, 2 * k)
        if len(pool) > most:
            order = torch.randperm(len(pool), generator=self.generator)
            rows = order[:most]
            if shares is not None:
                rows = with_enough(rows, order[most:], labels, shares)
        part = pool.subset(rows.to(pool.device))
        coreset = self.selector.select(part, k, quotas=shares, generator=self.generator)
        coreset = Coreset.of(rows[coreset.indices.cpu()], report=coreset.report)
        return in_class_order(coreset, labels) if self.balanced else coreset
