"""Blurry: each experience has its main classes, and some images of all the others.

Source: Bang, Kim, Yoo, Ha, Choi, "Rainbow memory: continual learning with a memory of diverse
samples", CVPR 2021 (Blurry-M: M % of an experience's images are of other experiences' classes).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.datasets import ImageData
from benchmarks.scenarios._base import Scenario
from benchmarks.scenarios._checks import (
    class_groups,
    class_incremental,
    generator_of,
    share,
)
from clcore.errors import ArgumentError


def blurry(
    data: ImageData,
    classes_per_experience: int = 2,
    *,
    minority: float = 0.1,
    class_order: str | Sequence[int] = "natural",
    seed: int = 0,
) -> Scenario:
    """Split a data set by class with blurred borders.

    Args:
        data: The data set.
        classes_per_experience: Main classes of each experience; must divide the number of classes,
            and leave at least two experiences.
        minority: Share of each class's images that goes to the other experiences, dealt out
            evenly among them (M / 100). With classes of equal size it is the share of other
            classes in each experience.
        class_order: As for `split`.
        seed: Seed of the shuffle and of the choice of images.

    Returns:
        The scenario: each training image is in exactly one experience, which is tested on the test
        images of its main classes, its `classes_here`.

    Raises:
        ArgumentError: If an argument is out of range.
    """
    leaving = share("minority", minority)
    generator = generator_of(seed)
    groups = class_groups(data, classes_per_experience, class_order, generator)
    if len(groups) < 2:
        raise ArgumentError(
            f"classes_per_experience is {classes_per_experience}, which leaves one experience; "
            "a blurry scenario needs two"
        )
    received: list[list[Tensor]] = [[] for _ in groups]
    # Where the next image goes that leaves home: turns go on from class to class, so that the
    # experiences stay level whatever the counts are.
    turn = 0
    for home, group in enumerate(groups):
        others = [index for index in range(len(groups)) if index != home]
        for label in group:
            rows = (data.train_y == label).nonzero().flatten()
            rows = rows[torch.randperm(len(rows), generator=generator)]
            away = round(leaving * len(rows))
            received[home].append(rows[away:])
            for place, index in enumerate(others):
                offset = (place - turn) % len(others)
                received[index].append(rows[:away][offset :: len(others)])
            turn = (turn + away) % len(others)
    train = [torch.cat(parts).sort().values for parts in received]
    return class_incremental(data, f"blurry {data.name}", groups, train)
