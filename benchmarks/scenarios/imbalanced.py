"""Imbalanced: one experience or some classes with far more data, or classes with a long tail.

Sources: one dominant task: Aljundi, Lin, Goujaud, Bengio, "Gradient based sample selection for
online continual learning", NeurIPS 2019 (2,000 images against 200). Long tail: Cui, Jia, Lin, Song,
Belongie, "Class-balanced loss based on effective number of samples", CVPR 2019, in the form of Cao,
Wei, Gaidon, Arechiga, Ma, "Learning imbalanced datasets with label-distribution-aware margin loss",
NeurIPS 2019: class `c` of `C` has `n_max * mu ** (c / (C - 1))` images. Some classes whole, the
others thinned: Yoon, Madaan, Yang, Hwang, "Online coreset selection for rehearsal-based continual
learning", ICLR 2022 (classes 0 and 5 against a tenth of the others).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.scenarios._base import Scenario, with_train
from benchmarks.scenarios._checks import class_sequence, generator_of, random_part, share, uncut
from clcore.checks import whole_number
from clcore.errors import ArgumentError


def imbalanced(
    scenario: Scenario,
    dominant: int = 0,
    ratio: float = 0.1,
    *,
    largest: int | None = None,
    seed: int = 0,
) -> Scenario:
    """Thin out all experiences but one; tests stay whole.

    Args:
        scenario: Any scenario that is not cut into batches.
        dominant: Position of the experience that keeps its data; negative ones count from the end.
        ratio: Size of the others against the dominant one's, above 0 and up to 1. At least one
            image is kept.
        largest: Training images of the dominant experience. None: all; then each of the others
            keeps `ratio` of its own.
        seed: Seed of the draw.

    Returns:
        The imbalanced scenario.

    Raises:
        ArgumentError: If an argument is out of range.
    """
    uncut(scenario, "imbalanced")
    count = len(scenario)
    if isinstance(dominant, bool) or not -count <= dominant < count:
        raise ArgumentError(f"dominant is {dominant!r}; allowed are {-count} to {count - 1}")
    kept = share("ratio", ratio, above=True)
    if largest is not None:
        whole_number("largest", largest, least=1)
    generator = generator_of(seed)
    train = []
    for old in scenario:
        size = largest or len(old.train)
        if old.index != dominant % count:
            size = max(1, round(size * kept))
        train.append(old.train.take(random_part(torch.arange(len(old.train)), size, generator)))
    return with_train(scenario, f"imbalanced {scenario.name}", train)


def thinned(
    scenario: Scenario, keep: Sequence[int] = (0, 5), ratio: float = 0.1, *, seed: int = 0
) -> Scenario:
    """Thin out all classes but some, in every experience; tests stay whole.

    Args:
        scenario: Any scenario that is not cut into batches.
        keep: Classes that keep all their data.
        ratio: Share of each other class that stays, above 0 and up to 1; at least one image.
        seed: Seed of the draw.

    Returns:
        The imbalanced scenario.

    Raises:
        ArgumentError: If an argument is out of range.
    """
    uncut(scenario, "thinned")
    kept = share("ratio", ratio, above=True)
    whole = [whole_number("keep: each class", label) for label in keep]
    if not whole or max(whole) >= scenario.classes:
        raise ArgumentError(
            f"keep is {list(keep)}; some of the classes 0 to {scenario.classes - 1} are needed"
        )
    generator = generator_of(seed)
    train = []
    for old in scenario:
        parts = []
        for label in sorted(old.class_counts):
            rows = (old.train.y == label).nonzero().flatten()
            size = len(rows) if label in whole else max(1, round(len(rows) * kept))
            parts.append(random_part(rows, size, generator))
        train.append(old.train.take(torch.cat(parts).sort().values))
    return with_train(scenario, f"thinned {scenario.name}", train)


def long_tailed(
    scenario: Scenario,
    ratio: float = 0.01,
    *,
    class_order: str | Sequence[int] = "natural",
    largest: int | None = None,
    seed: int = 0,
) -> Scenario:
    """Thin out the classes along an exponential; tests stay balanced.

    Args:
        scenario: Any scenario that is not cut into batches.
        ratio: Size of the rarest class against the most frequent one's (the paper's mu), above 0
            and up to 1. At least one image is kept of each class.
        class_order: From the most frequent class to the rarest: `"natural"` (0, 1, 2, ...),
            `"shuffled"` by `seed`, or a list that holds every class once.
        largest: Training images of the most frequent class in an experience that has it (the
            paper's n_max). None: the smallest number that any class has in an experience that is
            about it, so that every class can meet its share exactly.
        seed: Seed of the draw and of the shuffle.

    Returns:
        The long-tailed scenario: in each experience, the class of rank `c` keeps
        `round(largest * ratio ** (c / (C - 1)))` images, or all that it has if these are fewer.

    Raises:
        ArgumentError: If an argument is out of range.
    """
    uncut(scenario, "long_tailed")
    mu = share("ratio", ratio, above=True)
    generator = generator_of(seed)
    order = class_sequence(scenario.classes, class_order, generator)
    rank = {label: position for position, label in enumerate(order)}
    if largest is None:
        most = min(old.class_counts.get(label, 0) for old in scenario for label in old.classes_here)
    else:
        most = whole_number("largest", largest, least=1)
    steps = max(1, scenario.classes - 1)
    train = []
    for old in scenario:
        parts = []
        for label in sorted(old.class_counts):
            rows = (old.train.y == label).nonzero().flatten()
            size = max(1, round(most * mu ** (rank[label] / steps)))
            parts.append(random_part(rows, size, generator))
        train.append(old.train.take(torch.cat(parts).sort().values))
    return with_train(scenario, f"long-tailed {scenario.name}", train)
