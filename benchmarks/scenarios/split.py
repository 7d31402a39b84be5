"""Split: each experience brings new classes (class-incremental).

With task labels given to the learner, it is task-incremental.

Source: Zenke, Poole, Ganguli, "Continual learning through synaptic intelligence", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.datasets import ImageData
from benchmarks.scenarios._base import Scenario
from benchmarks.scenarios._checks import class_groups, class_incremental, generator_of


def split(
    data: ImageData,
    classes_per_experience: int = 2,
    *,
    class_order: str | Sequence[int] = "natural",
    seed: int = 0,
) -> Scenario:
    """Split a data set by class.

    Args:
        data: The data set.
        classes_per_experience: Classes in each experience; must divide the number of classes.
        class_order: `"natural"` (0, 1, 2, ...), `"shuffled"` by `seed`, or a list that holds every
            class once. Labels keep their values.
        seed: Seed of the shuffle.

    Returns:
        The scenario: each training image is in exactly one experience, which is tested on the test
        images of its classes. Task labels count the experiences.

    Raises:
        ArgumentError: If the classes cannot be dealt out so.
    """
    groups = class_groups(data, classes_per_experience, class_order, generator_of(seed))
    train = [torch.isin(data.train_y, torch.tensor(g)).nonzero().flatten() for g in groups]
    return class_incremental(data, f"split {data.name}", groups, train)
