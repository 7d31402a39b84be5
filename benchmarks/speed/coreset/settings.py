"""Settings of the group `coreset-training`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class CoresetTrainingSettings:
    """What is measured, and on how much.

    Attributes:
        parts: Any of `overhead`, `selectors` and `gradients`.
        rounds: Timed epochs of each way in `overhead`.
        batch_sizes: Of `overhead`.
        epoch_rows: Rows of an epoch in `overhead`.
        repeats: Timed selections of each selector in `selectors`, and draws of random rows in both
            tables on Covertype.
        share: How large a part of the rows is chosen, in both tables.
        table_rows: Rows of Covertype in `selectors`: the first of a random order; None for all.
        convex_rows: Training rows of Covertype in `gradients`; None for the suite's.
        gradmatch_picks: Picks of GradMatch on single rows in `gradients`.
        seed: Of what is drawn.
    """

    parts: tuple[Literal["overhead", "selectors", "gradients"], ...] = (
        "overhead",
        "selectors",
        "gradients",
    )
    rounds: Count = 140
    batch_sizes: tuple[Count, ...] = (128, 32)
    epoch_rows: Count = 6000
    repeats: Count = 3
    share: Share = 0.1
    table_rows: Count | None = None
    convex_rows: Count | None = None
    gradmatch_picks: Count = 500
    seed: Annotated[int, Field(ge=0)] = 0
