"""Herding memory (iCaRL): exemplars whose mean follows the mean of their class.

Source: Rebuffi et al. 2017, "iCaRL: Incremental Classifier and Representation Learning", algorithms
4 (choose) and 5 (reduce). Features φ of the current model, scaled to length 1; for each class with
new rows

    p_k = argmin_x ‖ μ − (φ(x) + Σ_{j<k} φ(p_j)) / k ‖,

the exemplars as a priority list, m = M / classes seen of them; classes without new rows keep the
first m of theirs. The choice itself is `clcore`'s selector `herding`.

Defaults: `reselect="new"` (the paper's); `"all"` herds the old classes again among their own
exemplars, with the current model. What M / C leaves over goes to the first classes, and what a
class with few rows can't fill to the others.

Differs from other codes: Avalanche does not normalise and ranks the whole class whatever m is
(quadratic); PyCIL and Mammoth agree on normalised features. A class that comes again is herded from
its exemplars and the new rows together; iCaRL's streams don't repeat classes.

Expected: iCaRL on Split Fashion-MNIST, 200 / 500 / 1000 exemplars: 75.46 / 77.54 / 78.13 (Buzzega
et al. 2020), with its own training; see `docs/benchmarks.md` for ours.
"""

from __future__ import annotations

from typing import Literal

import torch

from buffers.consolidating import Quota, Reselect
from buffers.incoming import Transform
from buffers.selection import SelectorBuffer
from clcore import Probe


class HerdingBuffer(SelectorBuffer):
    """Keeps the exemplars that herding picks for each class.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        quota: Whether the budget is shared among each `"class"`, each `"task"`, each class of each
            task (`"class-and-task"`), or (None) not.
        reselect: Which groups choose again: those with `"new"` rows, or `"all"`.
        probe: Computes the features; without one they are taken from a column `features` given
            to `add`, or from the model of the strategy in `post_adapt`.
        features: `"input"` to use the samples themselves, flattened, as features.

    Raises:
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> buffer = HerdingBuffer(20, features="input")
        >>> _ = buffer.add(torch.rand(500, 8), torch.arange(500) % 5)
        >>> buffer.class_counts()
        {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        quota: Quota | None = "class",
        reselect: Reselect = "new",
        probe: Probe | None = None,
        features: Literal["input"] | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            "herding",
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
