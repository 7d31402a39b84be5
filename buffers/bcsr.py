"""BCSR memory: exemplars by bilevel weights on the simplex, from each batch of the stream.

Source: Hao, Ji & Liu, "Bilevel coreset selection in continual learning: a new formulation and
algorithm", NeurIPS 2023. The choice itself is `clcore`'s selector `bcsr`:

    min over w on the simplex of  mean_i l_i(θ*(w)) − λ E_z[Σ of the k largest of w + δz],
    θ*(w) a proxy trained on Σ_i w_i l_i.

As in the paper the rows of a task are gone through in batches of 50, of which 10 are picked, and
the memory's M / t of the task are chosen among the picked, once more by `bcsr`. Here the batches
are cut from what `add` got, in random order; where 10 of 50 are fewer than the task's share, more
are picked of each. `batch_size=None` chooses from all rows at once.

Defaults: `quota="task"`, the paper's: a bilevel choice trains a classifier and needs the classes of
a task together, so a quota for each class is not on offer; `balanced=True` gives the classes of a
task even shares all the same, as the paper's code does at the end of a task. Tasks without new rows
keep their first ones (`reselect="new"`). `proxy="whole_network"`: the proxy is an MLP with 100
hidden units on the samples themselves, as the paper's is a network; `"last_layer"`: it is softmax
regression on the features of the learner (or of a probe, or a column `features`), which is cheaper;
the default where a probe is given. `learning_rate` 0.5, for balanced data: 1 suits imbalanced
classes and 0.25 wrong labels (selector). Weights of a group sum to its rows seen and are equal,
since picks are drawn in proportion to w.

Differs from the authors' code, beside what the selector's module says: there old tasks' exemplars
are those of least loss under the current task's head; here they are a prefix of the choice. The
proxy starts from scratch, not from the learner. `preset="reference"` is the selector's.

Expected: 2000 rows of MNIST as one task, M = 100, an MLP (784-256-10) trained on the memory alone,
5 seeds: 76.5 ± 1.1 (`"last_layer"` on pixels 76.5 ± 1.6), random rows with even shares 76.5 ± 1.6,
so nothing is gained on balanced and clean data. With 40 % random labels: random 46.3 ± 8.9,
`learning_rate` 0.25 68.8 ± 3.5, 0.5 60.7 ± 3.6, 1 50.0 ± 5.6. 1.1 s of one core (0.4 s). For
imbalanced classes see the selector's numbers.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

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
from clcore.errors import ArgumentError
from clcore.selectors.bcsr import BCSR

_HIDDEN = 100


class BCSRBuffer(SelectorBuffer):
    """Keeps exemplars that are chosen by bilevel weights with a smoothed top-k regulariser.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        preset: `"paper"`, or `"reference"` for what the released code does.
        proxy: What the proxy is trained on: `"whole_network"`, an MLP on the samples, or
            `"last_layer"`, softmax regression on features. None: the former unless there is a
            probe.
        learning_rate: Of the proxy (selector); None for the preset's.
        pick: `"sample"` in proportion to the weights, or the `"largest"`.
        batch_size: Rows of which `batch_picks` are chosen first; None for all at once.
        batch_picks: How many of a batch go on to the choice of the task.
        balanced: Whether the classes of a task get even shares.
        quota: Whether the budget is shared among each `"task"` (each experience, where the stream
            has no task labels), or (None) not.
        reselect: Which tasks choose again: those with `"new"` rows, or `"all"`.
        probe: Computes the features for `proxy="last_layer"`; without one they are taken from a
            column `features` given to `add`, or from the model of the strategy in `post_adapt`.

    Raises:
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> buffer = BCSRBuffer(20)
        >>> _ = buffer.add(torch.rand(500, 8), torch.arange(500) % 5)
        >>> buffer.class_counts()
        {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        preset: Literal["paper", "reference"] = "paper",
        proxy: ProxyKind | None = None,
        learning_rate: float | None = None,
        pick: Literal["sample", "largest"] = "sample",
        batch_size: int | None = 50,
        batch_picks: int = 10,
        balanced: bool = True,
        quota: Literal["task"] | None = "task",
        reselect: Reselect = "new",
        probe: Probe | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        proxy = resolved_proxy(proxy, probe, default="whole_network")
        check_joint_options(quota, balanced)
        super().__init__(
            BCSR(
                preset=preset,
                learning_rate=learning_rate,
                pick=pick,
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
        if batch_size is not None:
            whole_number("batch_size", batch_size, least=1)
        whole_number("batch_picks", batch_picks, least=1)
        if batch_size is not None and batch_picks > batch_size:
            raise ArgumentError(
                f"batch_picks: got {batch_picks}; no more than batch_size, {batch_size}"
            )
        self.balanced, self.batch_size, self.batch_picks = balanced, batch_size, batch_picks

    def choose(self, pool: Pool, k: int) -> Coreset:
        """Choose within batches, then among those chosen; see `ConsolidatingBuffer.choose`."""
        assert pool.labels is not None  # a memory's rows always have them
        labels = pool.labels.cpu()
        if k == len(pool):
            coreset = super().choose(pool, k)
            return in_class_order(coreset, labels) if self.balanced else coreset
        shares = class_shares(labels, k) if self.balanced else None
        rows, weights = self._candidates(pool, labels, k, shares)
        part = pool.subset(rows.to(pool.device))
        columns = {name: part.signal(name) for name in self.signals}
        weighted = Pool(labels=part.labels, groups=part.groups, weights=weights, **columns)
        coreset = self.selector.select(weighted, k, quotas=shares, generator=self.generator)
        coreset = Coreset.of(
            rows[coreset.indices.cpu()],
            weights=coreset.weights.cpu(),
            gains=coreset.gains.cpu(),
            report=coreset.report,
        )
        return in_class_order(coreset, labels) if self.balanced else coreset

    def _candidates(
        self, pool: Pool, labels: Tensor, k: int, shares: dict[int, int] | None
    ) -> tuple[Tensor, Tensor]:
        """Choose within each batch; return the rows chosen and what each stands for."""
        rows, size = len(pool), self.batch_size
        held = torch.ones(rows) if pool.weights is None else pool.weights.cpu()
        if size is None or rows <= size:
            return torch.arange(rows), held
        order = torch.randperm(rows, generator=self.generator)
        ratio = max(self.batch_picks / size, k / rows)
        chosen, weights = [], torch.zeros(rows)
        for batch in torch.split(order, size):
            wanted = min(len(batch), int(-(-len(batch) * ratio // 1)))
            part = pool.subset(batch.to(pool.device))
            coreset = self.selector.select(part, wanted, generator=self.generator)
            picks = batch[coreset.indices.cpu()]
            weights[picks] = coreset.weights.cpu().to(weights)
            chosen.append(picks)
        picked = torch.cat(chosen)
        if shares is not None:
            left = torch.ones(rows, dtype=torch.bool)
            left[picked] = False
            more = with_enough(picked, order[left[order]], labels, shares)
            weights[more[len(picked) :]] = held[more[len(picked) :]].to(weights)
            picked = more
        found = weights[picked]
        return picked, found * (held.sum() / found.sum())
