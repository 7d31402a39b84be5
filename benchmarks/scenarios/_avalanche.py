"""A scenario as an Avalanche 0.6 benchmark, with rows as Avalanche users have them.

Avalanche's own constructors are not used where they take a seed: they seed the global generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from avalanche.benchmarks import CLScenario, benchmark_from_datasets, with_classes_timeline
from avalanche.benchmarks.scenarios.generic_scenario import EagerCLStream
from avalanche.benchmarks.scenarios.online import OnlineCLExperience
from avalanche.benchmarks.scenarios.task_aware import with_task_labels
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.benchmarks.utils.classification_dataset import (
    ClassificationDataset,
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from avalanche.benchmarks.utils.transform_groups import TransformGroups
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.scenarios._base import Rows, Scenario
from buffers.leaves import LeafKind

_TIMELINE = (
    "classes_in_this_experience",
    "previous_classes",
    "classes_seen_so_far",
    "future_classes",
)
Transforms = Sequence[Callable[[Tensor], Any]]


class RowsDataset(Dataset[tuple[Tensor, int]]):
    """`Rows` as a PyTorch data set of (uint8 image `[c, h, w]`, label).

    Attributes:
        rows: The rows; `rows.x` builds all the images at once.
        targets: The labels, as Avalanche wants them.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.targets: list[int] = rows.y.tolist()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.rows.image(position), self.targets[position]

    kind = LeafKind("tensor", None)

    def raw_rows(self, positions: Tensor) -> Tensor:
        """Several images at once, uint8 `[m, c, h, w]`: buffers and the fast path ask for them."""
        return self.rows.take(positions).x


class Chain:
    """Transforms one after the other; a class, so that data loader processes can pickle it."""

    def __init__(self, steps: Transforms) -> None:
        self.steps = tuple(steps)

    def flat_transforms(self, position: int) -> list[Any]:
        """The steps, for who applies them to batches (Avalanche's own name for this)."""
        return list(self.steps) if position == 0 else []

    def __call__(self, image: Tensor) -> Any:
        """Apply the steps in order."""
        result: Any = image
        for step in self.steps:
            result = step(result)
        return result


def build_benchmark(
    scenario: Scenario, task_labels: bool, train: Transforms, evaluate: Transforms
) -> CLScenario:
    """Build the benchmark; see `Scenario.to_avalanche`.

    Args:
        scenario: Whole or cut into batches.
        task_labels: Whether rows and experiences carry task labels.
        train: Steps from a uint8 image to what training rows hold.
        evaluate: The same for evaluation.

    Returns:
        The benchmark, its experiences knowing their classes (and tasks).
    """
    groups = {"train": _transform(train), "eval": _transform(evaluate)}
    parents = scenario.evaluation
    cut = len(parents) != len(scenario.experiences)
    train_sets = [
        _dataset(rows, parent.task, task_labels, groups)
        for rows, parent in zip(_parent_rows(scenario), parents, strict=True)
    ]
    test_sets = [_dataset(e.test, e.task, task_labels, groups) for e in parents]
    benchmark = with_classes_timeline(benchmark_from_datasets(train=train_sets, test=test_sets))
    if task_labels:
        benchmark = with_task_labels(benchmark)
    for stream in benchmark.streams.values():
        for experience in stream:
            # Multi-head models index with these; the decorator leaves sets.
            for name in _TIMELINE:
                setattr(experience, name, sorted(getattr(experience, name)))
    if cut:
        stream = _online_stream(scenario, benchmark.streams["train"], task_labels)
        benchmark = CLScenario([stream, benchmark.streams["test"]])
    # Metrics and iCaRL look these up; the deprecated constructors used to set them.
    benchmark.n_classes = scenario.classes
    benchmark.n_experiences = len(scenario.experiences)
    benchmark.n_classes_per_exp = [len(parent.classes_here) for parent in parents]
    appearing = (label for parent in parents for label in parent.classes_here)
    benchmark.classes_order = list(dict.fromkeys(appearing))
    for stream in benchmark.streams.values():
        stream.benchmark = benchmark
        for experience in stream:
            experience.benchmark = benchmark
    return benchmark


def _transform(steps: Transforms) -> Callable[[Tensor], Any] | None:
    if not steps:
        return None
    return steps[0] if len(steps) == 1 else Chain(steps)


def _dataset(
    rows: Rows, task: int, task_labels: bool, groups: dict[str, Callable[[Tensor], Any] | None]
) -> AvalancheDataset:
    images = RowsDataset(rows)
    targets = DataAttribute(images.targets, "targets")
    if not task_labels:
        return ClassificationDataset(
            [images], data_attributes=[targets], transform_groups=TransformGroups(groups)
        )
    tasks = DataAttribute(
        ConstantSequence(task, len(rows)), "targets_task_labels", use_in_getitem=True
    )
    return TaskAwareSupervisedClassificationDataset(
        [images], data_attributes=[targets, tasks], transform_groups=TransformGroups(groups)
    )


def _parent_rows(scenario: Scenario) -> list[Rows]:
    """The training rows of each parent, its parts in order."""
    parts: dict[int, list[Rows]] = {}
    for experience in scenario.experiences:
        parts.setdefault(experience.parent, []).append(experience.train)
    return [_join(rows) for rows in parts.values()]


def _join(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    y = torch.cat([rows.y for rows in parts])
    clean = all(rows.true_y is rows.y for rows in parts)
    true_y = y if clean else torch.cat([rows.true_y for rows in parts])
    indices = torch.cat([rows.indices for rows in parts])
    return Rows(first.source, indices, y, true_y, first.transform)


def _online_stream(scenario: Scenario, parents: EagerCLStream, task_labels: bool) -> EagerCLStream:
    """Cut the parents' experiences as the scenario says.

    What Avalanche's own splitter strips (classes, task labels) is put back, so that multi-head
    models can be trained online, and the last part is marked whatever the sizes.
    """
    lengths: dict[int, int] = {}
    for part in scenario.experiences:
        lengths[part.parent] = lengths.get(part.parent, 0) + 1
    experiences = []
    start = 0
    for part in scenario.experiences:
        origin = parents[part.parent]
        start = 0 if part.is_first_part else start
        stop = start + len(part.train)
        experience = OnlineCLExperience(
            dataset=origin.dataset.subset(list(range(start, stop))),
            origin_experience=origin,
            is_first_subexp=part.is_first_part,
            is_last_subexp=part.is_last_part,
            sub_stream_length=lengths[part.parent],
            # Who has task labels knows the borders.
            access_task_boundaries=task_labels,
        )
        start = stop
        # The head needs all classes of the parent, not only those of these few rows.
        for name in _TIMELINE:
            setattr(experience, name, getattr(origin, name))
        if task_labels:
            experience.task_label = part.task
            experience.task_labels = [part.task]
        experiences.append(experience)
    return EagerCLStream("train", experiences)
