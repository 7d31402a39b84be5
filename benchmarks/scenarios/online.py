"""Online: the stream comes in small batches, each seen once.

Source: Aljundi et al., "Online continual learning with maximal interfered retrieval", NeurIPS 2019;
Avalanche's `split_online_stream`, whose `is_last_subexp` is never true where the size divides the
experience; ours marks the last part always.
"""

from __future__ import annotations

import torch

from benchmarks.scenarios._base import Experience, Scenario
from benchmarks.scenarios._checks import generator_of, uncut
from clcore.checks import whole_number
from clcore.errors import ArgumentError


def online(
    scenario: Scenario,
    batch_size: int = 10,
    *,
    shuffle: bool = True,
    drop_last: bool = False,
    seed: int = 0,
) -> Scenario:
    """Cut every experience into batches, each an experience of its own.

    Args:
        scenario: Any scenario that is not cut yet.
        batch_size: Training images in each part; the last part of an experience may have fewer.
        shuffle: Put the images of each experience into random order first.
        drop_last: Leave out a last part that is smaller.
        seed: Seed of the shuffle.

    Returns:
        The scenario in parts: `parent` names the experience that a part belongs to,
        `is_first_part` and `is_last_part` its borders; `evaluation` has one entry a parent.

    Raises:
        ArgumentError: If an argument is out of range, or `drop_last` leaves an experience empty.
    """
    uncut(scenario, "online")
    size = whole_number("batch_size", batch_size, least=1)
    generator = generator_of(seed)
    parts: list[Experience] = []
    for old in scenario:
        count = len(old.train)
        order = torch.randperm(count, generator=generator) if shuffle else torch.arange(count)
        chunks = list(torch.split(order, size))
        if drop_last and len(chunks[-1]) < size:
            chunks.pop()
        if not chunks:
            raise ArgumentError(
                f"batch_size is {size} and drop_last is set, but experience {old.index} has only "
                f"{count} training images"
            )
        first = len(parts)
        parts.extend(
            Experience(
                index=first + place,
                task=old.task,
                train=old.train.take(chunk),
                test=old.test,
                classes_here=old.classes_here,
                parent=old.index,
                is_first_part=place == 0,
                is_last_part=place == len(chunks) - 1,
            )
            for place, chunk in enumerate(chunks)
        )
    return Scenario(
        f"online {scenario.name}", tuple(parts), scenario.class_names, scenario.mean, scenario.std
    )
