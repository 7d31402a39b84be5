"""Reading the data sets at the bottom of an experience: many rows at once where they allow it.

torchvision's MNIST, CIFAR and SVHN families and `TensorDataset` hold their rows as one array;
those are indexed directly. Any other data set is asked for its items one by one, torchvision's own
with their transform set aside, so that what is stored is the untransformed row.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import TensorDataset
from torchvision import datasets as tv
from torchvision.datasets.vision import StandardTransform

from buffers.samples import Form, as_tensor, form_of
from buffers.transforms import Step
from clcore.errors import ArgumentError

Indices = NDArray[np.int64]


def _mnist(leaf: Any, rows: Indices) -> Tensor:
    picked: Tensor = leaf.data.index_select(0, torch.from_numpy(rows)).unsqueeze(1)
    return picked


def _cifar(leaf: Any, rows: Indices) -> Tensor:
    return torch.from_numpy(leaf.data[rows]).permute(0, 3, 1, 2).contiguous()


def _svhn(leaf: Any, rows: Indices) -> Tensor:
    return torch.from_numpy(leaf.data[rows])


# Families whose items are PIL images of rows of `data`; their relatives (Fashion-MNIST, KMNIST,
# EMNIST, CIFAR-100) derive from them. One that overrides `__getitem__` is read item by item.
_ARRAYS: tuple[tuple[type[Any], Callable[[Any, Indices], Tensor]], ...] = (
    (tv.MNIST, _mnist),
    (tv.CIFAR10, _cifar),
    (tv.SVHN, _svhn),
)


@dataclass(frozen=True)
class LeafKind:
    """What the items (x, y) of a leaf are.

    Attributes:
        form: What x is.
        label: Type of y where it is a tensor; None where it is a number.
    """

    form: Form
    label: torch.dtype | None


def kind_of(leaf: Any, row: int) -> LeafKind:
    """What the items of a leaf are.

    Args:
        leaf: A data set of (x, y, ...) items.
        row: A row that may be read to find out.
    """
    if _array_reader(leaf) is not None:
        return LeafKind("pil", None)
    if _is_plain_tensors(leaf):
        x, y = leaf.tensors[:2]
        return LeafKind("tensor", y.dtype)
    if hasattr(leaf, "kind"):
        kind: LeafKind = leaf.kind
        return kind
    x, y = _item(_bare(leaf), row)[:2]
    return LeafKind(form_of(x), y.dtype if isinstance(y, Tensor) else None)


def own_steps(leaf: Any) -> tuple[Step, ...]:
    """The transform that a torchvision leaf applies itself, which `read_rows` leaves out."""
    return (leaf.transform,) if _has_standard_transform(leaf) else ()


def read_rows(leaf: Any, rows: Indices) -> Tensor:
    """Untransformed rows of a leaf.

    Args:
        leaf: A data set of (x, y, ...) items.
        rows: Which, `[m]`, at least one.

    Returns:
        `[m, ...]` in the leaf's own type; uint8 `[m, C, H, W]` for images.

    Raises:
        ArgumentError: The rows differ in shape, or are no tensors, arrays, numbers or images.
    """
    reader = _array_reader(leaf)
    if reader is not None:
        return reader(leaf, rows)
    if _is_plain_tensors(leaf):
        picked: Tensor = leaf.tensors[0].index_select(0, torch.from_numpy(rows))
        return picked
    if hasattr(leaf, "raw_rows"):
        raw: Tensor = leaf.raw_rows(torch.from_numpy(rows))
        return raw
    bare = _bare(leaf)
    items = [as_tensor(_item(bare, int(row))[0]) for row in rows]
    shapes = {tuple(item.shape) for item in items}
    if len(shapes) > 1:
        raise ArgumentError(
            f"experience: samples differ in shape ({sorted(shapes)[:3]}); bring them to one shape "
            "in the data set itself (resize or pad) so that a buffer can keep them"
        )
    return torch.stack(items)


def _array_reader(leaf: Any) -> Callable[[Any, Indices], Tensor] | None:
    for family, reader in _ARRAYS:
        if isinstance(leaf, family) and type(leaf).__getitem__ is family.__getitem__:
            return reader
    return None


def _is_plain_tensors(leaf: Any) -> bool:
    return (
        isinstance(leaf, TensorDataset)
        and type(leaf).__getitem__ is TensorDataset.__getitem__
        and len(leaf.tensors) >= 2
    )


def _has_standard_transform(leaf: Any) -> bool:
    return (
        isinstance(leaf, tv.VisionDataset)
        and leaf.transform is not None
        and isinstance(leaf.transforms, StandardTransform)
    )


def _bare(leaf: Any) -> Any:
    """The leaf without its own transform of x."""
    if not _has_standard_transform(leaf):
        return leaf
    bare = copy.copy(leaf)
    bare.transform = None
    target = leaf.target_transform
    bare.transforms = None if target is None else StandardTransform(None, target)
    return bare


def _item(leaf: Any, row: int) -> Any:
    item = leaf[row]
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise ArgumentError(
            f"experience: its data set gives items of type {type(item).__name__}; (x, y) pairs are "
            "needed"
        )
    return item
