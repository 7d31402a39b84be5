"""Follows rows down the tree of subsets and concatenations that an Avalanche data set is.

This is the one module that looks inside Avalanche's data sets (`FlatData`).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from avalanche.benchmarks.utils.classification_dataset import lookup
from avalanche.benchmarks.utils.data import AvalancheDataset, _FlatDataWithTransform
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.flat_data import (
    ConstantSequence,
    FlatData,
    LazyIndices,
    LazyRange,
)
from avalanche.benchmarks.utils.transform_groups import EmptyTransformGroups
from avalanche.benchmarks.utils.transforms import (
    MultiParamCompose,
    MultiParamTransform,
    MultiParamTransformCallable,
)
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from buffers.leaves import Indices, own_steps
from buffers.transforms import Step, flatten


class Held(NamedTuple):
    """A transform of x on the way up, and whether Avalanche holds it frozen."""

    step: Step
    frozen: bool


@dataclass(frozen=True)
class Part:
    """Some rows of one leaf: where they lie there, where they go, and what is applied to them.

    Attributes:
        leaf: The data set at the bottom.
        leaf_rows: Its rows, `[m]`.
        positions: Their places in the data set at the top, `[m]`.
        train: Transforms of x when training, in the order of application.
        evaluate: Transforms of x when evaluating.
        changes_label: Whether a transform of y is among them.
        joint: Whether a transform of (x, y) together is among them.
    """

    leaf: Any
    leaf_rows: Indices
    positions: Indices
    train: tuple[Held, ...]
    evaluate: tuple[Held, ...]
    changes_label: bool = False
    joint: bool = False

    @property
    def in_order(self) -> bool:
        """Whether the positions rise one by one."""
        last = len(self.positions) - 1
        return bool(self.positions[last] - self.positions[0] == last) and (
            last < 2 or bool((self.positions[1:] > self.positions[:-1]).all())
        )


_OWN = object()
"""In place of a transform group: the next node's current one."""


class _Path(NamedTuple):
    """What was met between the top and here; `group` where one transform group is given."""

    train: tuple[Held, ...] = ()
    evaluate: tuple[Held, ...] = ()
    group: Any = None
    changes_label: bool = False
    joint: bool = False


def parts_of(dataset: Any, size: int) -> list[Part]:
    """Find the leaves that a data set's rows come from.

    Args:
        dataset: An `AvalancheDataset`, or any data set.
        size: Its length.

    Returns:
        One part for each leaf and way of transforming it.
    """
    top = dataset._flat_data if isinstance(dataset, AvalancheDataset) else dataset
    everything = np.arange(size)
    return _merged(_walk(top, everything, everything, _Path()))


def attribute_values(attribute: Any, size: int) -> Tensor:
    """The values of a data attribute, read for all rows at once.

    Args:
        attribute: A `DataAttribute`, or a sequence of numbers or tensors.
        size: Its length.

    Returns:
        `[size, ...]`.
    """
    if isinstance(attribute, DataAttribute):
        attribute = attribute.data
    everything = np.arange(size)
    if isinstance(attribute, ConstantSequence) or not isinstance(attribute, FlatData):
        return _values(attribute, everything)
    parts = _merged(_walk(attribute, everything, everything, _Path()))
    if len(parts) == 1 and parts[0].in_order:
        return _values(parts[0].leaf, parts[0].leaf_rows)
    pieces = torch.cat([_values(part.leaf, part.leaf_rows) for part in parts])
    order = np.argsort(np.concatenate([part.positions for part in parts]), kind="stable")
    return pieces[torch.from_numpy(order)]


def _values(sequence: Any, rows: Indices) -> Tensor:
    """Items of a sequence; converts the whole of it only when that is cheap."""
    if isinstance(sequence, Tensor):
        return sequence[torch.from_numpy(rows)].cpu()
    if isinstance(sequence, np.ndarray):
        return torch.from_numpy(sequence[rows])
    if isinstance(sequence, ConstantSequence):
        first = torch.as_tensor(sequence[0])
        return first.expand(len(rows), *first.shape).clone()
    items = _items(sequence, rows)
    if isinstance(items[0], Tensor):
        return torch.stack(items)
    # By way of NumPy, which is twice as fast at it.
    return torch.from_numpy(np.array(items))


def _items(sequence: Any, rows: Indices) -> list[Any]:
    if len(rows) > 1 and isinstance(sequence, list | tuple):
        return list(operator.itemgetter(*rows.tolist())(sequence))
    return [sequence[row] for row in rows.tolist()]


def _lookup(indices: Any, rows: Indices) -> Indices:
    """Entries of a list of indices, in whatever form Avalanche or torch keeps it."""
    if isinstance(indices, LazyRange):
        return rows + int(indices._start + indices._offset)
    if isinstance(indices, LazyIndices):
        indices._to_eager()
        indices = indices._eager_list
    if isinstance(indices, range):
        return rows * indices.step + indices.start
    if isinstance(indices, np.ndarray):
        return indices[rows].astype(np.int64, copy=False)
    return _values(indices, rows).numpy().astype(np.int64, copy=False)


def _walk(node: Any, rows: Indices, positions: Indices, path: _Path) -> list[Part]:
    if isinstance(node, AvalancheDataset):
        node = node._flat_data
    elif isinstance(node, DataAttribute):
        node = node.data
    if isinstance(node, Subset):
        rows = _lookup(node.indices, rows)
        return _walk(node.dataset, rows, positions, _down(node, node.dataset, path))
    if isinstance(node, ConcatDataset):
        return _branches(node, node.datasets, node.cumulative_sizes, rows, positions, path)
    if not isinstance(node, FlatData):
        own = tuple(Held(step, frozen=False) for step in flatten(own_steps(node)))
        train, evaluate = own + path.train, own + path.evaluate
        return [Part(node, rows, positions, train, evaluate, path.changes_label, path.joint)]
    if isinstance(node, _FlatDataWithTransform):
        if path.group == _OWN:
            path = path._replace(group=node._transform_groups.current_group)
        path = _with_steps(node, path)
    if node._indices is not None:
        rows = _lookup(node._indices, rows)
    return _branches(node, node._datasets, node._cumulative_sizes, rows, positions, path)


def _branches(
    node: Any,
    children: Sequence[Any],
    ends: Sequence[int],
    rows: Indices,
    positions: Indices,
    path: _Path,
) -> list[Part]:
    if len(children) == 1:
        return _walk(children[0], rows, positions, _down(node, children[0], path))
    bounds = np.asarray(ends)
    which = np.searchsorted(bounds, rows, side="right")
    parts: list[Part] = []
    for index in np.unique(which):
        mine = which == index
        start = 0 if index == 0 else bounds[index - 1]
        child = children[index]
        parts += _walk(child, rows[mine] - start, positions[mine], _down(node, child, path))
    return parts


def _down(node: Any, child: Any, path: _Path) -> _Path:
    """Only transform nodes hand the wanted group down, and only to their own kind.

    Anything else asks the child for plain items, to which the child's current group applies.
    """
    if isinstance(node, _FlatDataWithTransform) and isinstance(child, _FlatDataWithTransform):
        return path
    return path._replace(group=_OWN)


def _with_steps(node: Any, path: _Path) -> _Path:
    train, changes, joint = _steps(node, path.group or "train")
    evaluate, changes_too, joint_too = _steps(node, path.group or "eval")
    return path._replace(
        train=train + path.train,
        evaluate=evaluate + path.evaluate,
        changes_label=path.changes_label or changes or changes_too,
        joint=path.joint or joint or joint_too,
    )


def _steps(node: Any, group: str) -> tuple[tuple[Held, ...], bool, bool]:
    """Transforms of one level, the frozen ones first (Avalanche applies them first)."""
    steps: list[Held] = []
    changes_label = joint = False
    for groups, frozen in (
        (node._frozen_transform_groups, True),
        (node._transform_groups, False),
    ):
        if groups is None or isinstance(groups, EmptyTransformGroups):
            continue
        transform = groups[group]
        if transform is None:
            continue
        joint = joint or _is_joint(transform)
        if isinstance(transform, MultiParamTransform):
            changes_label = changes_label or any(
                step is not None and not _is_class_mapping(step)
                for step in transform.flat_transforms(1)
            )
        steps += [Held(step, frozen) for step in flatten([transform])]
    return tuple(steps), changes_label, joint


def _is_class_mapping(step: Any) -> bool:
    """Avalanche's own renaming of classes, which it has applied to `targets` as well."""
    return isinstance(step, functools.partial) and step.func is lookup


def _is_joint(transform: Any) -> bool:
    if isinstance(transform, MultiParamCompose):
        return any(
            _is_joint(step) if isinstance(step, MultiParamTransform) else most != 1
            for step, (_, most) in zip(transform.transforms, transform.param_def, strict=True)
        )
    return isinstance(transform, MultiParamTransformCallable) and transform.max_params != 1


def _merged(parts: list[Part]) -> list[Part]:
    """Join parts that read the same leaf through the same steps."""
    merged: dict[tuple[Any, ...], list[Part]] = {}
    for part in parts:
        key = (
            id(part.leaf),
            tuple((id(held.step), held.frozen) for held in part.train),
            tuple((id(held.step), held.frozen) for held in part.evaluate),
        )
        merged.setdefault(key, []).append(part)
    return [_joined(group) for group in merged.values()]


def _joined(parts: list[Part]) -> Part:
    first = parts[0]
    if len(parts) == 1:
        return first
    return Part(
        first.leaf,
        np.concatenate([part.leaf_rows for part in parts]),
        np.concatenate([part.positions for part in parts]),
        first.train,
        first.evaluate,
        any(part.changes_label for part in parts),
        any(part.joint for part in parts),
    )
