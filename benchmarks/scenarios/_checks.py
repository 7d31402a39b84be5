"""What the scenarios check and draw alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.datasets import ImageData
from benchmarks.scenarios._base import Experience, Rows, RowTransform, Scenario
from clcore.checks import whole_number
from clcore.errors import ArgumentError


def generator_of(seed: int) -> torch.Generator:
    """A generator of our own, so that the global one stays as it is.

    Raises:
        ArgumentError: If the seed is not a whole number of at least 0.
    """
    return torch.Generator().manual_seed(whole_number("seed", seed))


def share(name: str, value: float, *, above: bool = False) -> float:
    """Check a fraction.

    Args:
        name: The argument's name, for the message.
        value: What was given.
        above: Whether 0 is refused.

    Returns:
        The value.

    Raises:
        ArgumentError: If it is not a number from 0 to 1.
    """
    low = "above 0" if above else "0"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(f"{name} must be a number from {low} to 1, not {value!r}")
    if math.isnan(value) or not 0 <= value <= 1 or (above and value == 0):
        raise ArgumentError(f"{name} is {value}; allowed is {low} to 1")
    return float(value)


def uncut(scenario: Scenario, function: str) -> Scenario:
    """Refuse a scenario that is already cut into batches.

    Raises:
        ArgumentError: If it is.
    """
    if len(scenario.evaluation) != len(scenario.experiences):
        raise ArgumentError(
            f"{function} takes whole experiences, but {scenario.name} is already cut into batches; "
            "call online last"
        )
    return scenario


def class_sequence(
    classes: int, class_order: str | Sequence[int], generator: torch.Generator
) -> list[int]:
    """Put the classes in order.

    Args:
        classes: How many there are.
        class_order: `"natural"`, `"shuffled"`, or every class once in the order wanted.
        generator: Used for `"shuffled"`.

    Returns:
        Each class once.

    Raises:
        ArgumentError: If the order is something else.
    """
    if not isinstance(class_order, str):
        labels = [int(label) for label in class_order]
        if sorted(labels) != list(range(classes)):
            raise ArgumentError(
                f"class_order is {labels}; it must hold each of 0 to {classes - 1} once"
            )
        return labels
    if class_order == "natural":
        return list(range(classes))
    if class_order == "shuffled":
        drawn: list[int] = torch.randperm(classes, generator=generator).tolist()
        return drawn
    raise ArgumentError(
        f"class_order is {class_order!r}; allowed are 'natural', 'shuffled' and a list"
    )


def class_groups(
    data: ImageData,
    classes_per_experience: int,
    class_order: str | Sequence[int],
    generator: torch.Generator,
) -> list[tuple[int, ...]]:
    """Deal the classes out to experiences.

    Args:
        data: The data set.
        classes_per_experience: Classes in each; must divide the number of classes.
        class_order: `"natural"`, `"shuffled"`, or every class once in the order wanted.
        generator: Used for `"shuffled"`.

    Returns:
        The classes of each experience, in order.

    Raises:
        ArgumentError: If the classes cannot be dealt out so.
    """
    classes = len(data.classes)
    size = whole_number("classes_per_experience", classes_per_experience, least=1)
    if classes % size:
        allowed = [number for number in range(1, classes + 1) if classes % number == 0]
        raise ArgumentError(
            f"classes_per_experience is {size}, which does not divide the {classes} classes of "
            f"{data.name}; allowed are {allowed}"
        )
    labels = class_sequence(classes, class_order, generator)
    return [tuple(labels[start : start + size]) for start in range(0, classes, size)]


def class_incremental(
    data: ImageData, name: str, groups: Sequence[tuple[int, ...]], train: Sequence[Tensor]
) -> Scenario:
    """A scenario whose experiences are tested on groups of classes.

    Args:
        data: The data set.
        name: Name of the scenario.
        groups: The classes of each experience.
        train: Training rows of each experience, int64.

    Returns:
        The scenario; experience `i` has task label `i`.
    """
    experiences = []
    for index, (group, rows) in enumerate(zip(groups, train, strict=True)):
        y = data.train_y[rows]
        test_rows = torch.isin(data.test_y, torch.tensor(group)).nonzero().flatten()
        test_y = data.test_y[test_rows]
        experiences.append(
            Experience(
                index=index,
                task=index,
                train=Rows(data.train_x, rows, y, y),
                test=Rows(data.test_x, test_rows, test_y, test_y),
                classes_here=group,
                parent=index,
            )
        )
    return Scenario(name, tuple(experiences), data.classes, data.mean, data.std)


def domain_incremental(
    data: ImageData, name: str, transforms: Sequence[RowTransform | None]
) -> Scenario:
    """A scenario whose experiences hold the whole data set, each seen through another transform.

    Args:
        data: The data set.
        name: Name of the scenario.
        transforms: One `RowTransform` or None an experience, used on training and test images.

    Returns:
        The scenario; experience `i` has task label `i`.
    """
    train_rows, test_rows = torch.arange(len(data.train_y)), torch.arange(len(data.test_y))
    experiences = tuple(
        Experience(
            index=index,
            task=index,
            train=Rows(data.train_x, train_rows, data.train_y, data.train_y, transform),
            test=Rows(data.test_x, test_rows, data.test_y, data.test_y, transform),
            classes_here=tuple(range(len(data.classes))),
            parent=index,
        )
        for index, transform in enumerate(transforms)
    )
    return Scenario(name, experiences, data.classes, data.mean, data.std)


def random_part(rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw `size` of the rows without replacement, kept in their order."""
    chosen = torch.randperm(len(rows), generator=generator)[:size]
    return rows[chosen.sort().values]
