"""Any selector of the engine as a memory.

Source: the common form of herding (Rebuffi et al. 2017), coreset memories (Borsos et al. 2020),
GCR, rainbow memory and others: at the end of an experience, choose M exemplars from memory ∪
experience. With quotas each group is a selection of its own, with its own k: for a greedy selector
the first j of a class's exemplars are then the choice for j.

Weights that the selector defines (how much data each pick stands for) are kept in the store's
weight column, used as the candidates' weights at the next choice, and carried into the loss by
`strategies.Replay`; a group's weights sum to its rows seen. Where a group only keeps its first
exemplars, these take over the weight of the others.

Defaults: `quota="class"`, and every class that has new rows or must give some up chooses again
(`reselect="all"`), with features of the current model. `reselect="new"` costs no pass over the
memory: the other classes keep their first exemplars (if the selector is not greedy, once they have
chosen: what was kept as a whole is in no order).

Expected: see `docs/benchmarks.md` for those that the suites run.
"""

from __future__ import annotations

from typing import Literal

import torch

from buffers.consolidating import ConsolidatingBuffer, Quota, Reselect
from buffers.incoming import Transform
from clcore import Coreset, Pool, Probe, Selector
from clcore.errors import ArgumentError
from clcore.selectors import registry


class SelectorBuffer(ConsolidatingBuffer):
    """Chooses its exemplars with a selector.

    Args:
        selector: A selector of `clcore`, or the name of one (`"k-center"`).
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        quota: Whether the budget is shared among each `"class"`, each `"task"`, each class of each
            task (`"class-and-task"`), or (None) not.
        reselect: Which groups choose again: those with `"new"` rows, the others keeping their
            first ones; or `"all"` that have new rows or must give some up.
        probe: Computes the selector's signals; without one they are taken from columns of that
            name given to `add`, or from the model of the strategy in `post_adapt`.
        features: `"input"` to use the samples themselves, flattened, as features.

    Raises:
        UnknownNameError: There is no selector of that name; suggests the nearest.
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> buffer = SelectorBuffer("random", 20)
        >>> _ = buffer.add(torch.rand(500, 8), torch.arange(500) % 5)
        >>> buffer.class_counts()
        {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}
    """

    def __init__(
        self,
        selector: str | Selector,
        max_size: int | None = None,
        *,
        quota: Quota | None = "class",
        reselect: Reselect = "all",
        probe: Probe | None = None,
        features: Literal["input"] | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            max_size,
            quota=quota,
            reselect=reselect,
            probe=probe,
            features=features,
            max_bytes=max_bytes,
            seed=seed,
            device=device,
            transform=transform,
        )
        if isinstance(selector, str):
            selector = registry.create(selector)
        if not isinstance(selector, Selector):
            raise ArgumentError(
                f"selector: got {selector!r}; the name of a selector or a Selector is needed"
            )
        if selector.stops_early:
            raise ArgumentError(
                f"selector: {selector.name} with these options may stop before the budget is used; "
                "a memory needs one that fills it"
            )
        self.selector = selector

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals that the selector reads."""
        return self.selector.signals

    @property
    def weighted(self) -> bool:
        """Whether the selector defines weights."""
        return self.selector.weighted

    @property
    def ranks_the_whole(self) -> bool:
        """Whether the selector's picks are in an order of which every prefix is a choice."""
        return self.selector.greedy

    def choose(self, pool: Pool, k: int) -> Coreset:
        """Ask the selector; see `ConsolidatingBuffer.choose`."""
        if k == len(pool) and not self.ranks_the_whole:
            # All stay, and their order says nothing about which to drop first.
            return Coreset.of(torch.arange(k), weights=pool.weights)
        return self.selector.select(pool, k, generator=self.generator)
