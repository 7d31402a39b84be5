"""`open_rows` against Avalanche's own item-by-item loading."""

import functools
import logging

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark, split_online_stream
from avalanche.benchmarks.utils import (
    DataAttribute,
    concat_datasets,
    make_avalanche_dataset,
)
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
    _taskaware_classification_subset,
)
from avalanche.benchmarks.utils.transform_groups import DefaultTransformGroups, TransformGroups
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset
from torchvision import datasets as tv
from torchvision import transforms as v1

from buffers.stream import open_rows
from clcore.errors import ArgumentError


class Mnist(tv.MNIST):
    """torchvision's MNIST with made-up data."""

    def __init__(self, n, transform=None, side=6):
        tv.VisionDataset.__init__(self, ".", transform=transform)
        self.data = torch.randint(0, 256, (n, side, side), dtype=torch.uint8)
        self.targets = torch.arange(n) % 5


class Cifar(tv.CIFAR10):
    """torchvision's CIFAR-10 with made-up data."""

    def __init__(self, n, transform=None):
        tv.VisionDataset.__init__(self, ".", transform=transform)
        self.data = np.random.default_rng(n).integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
        self.targets = [i % 5 for i in range(n)]


class Svhn(tv.SVHN):
    """torchvision's SVHN with made-up data."""

    def __init__(self, n, transform=None):
        tv.VisionDataset.__init__(self, ".", transform=transform)
        self.data = np.random.default_rng(n).integers(0, 256, (n, 3, 6, 6), dtype=np.uint8)
        self.labels = np.arange(n) % 5
        self.targets = self.labels.tolist()


class Loader(tv.VisionDataset):
    """A torchvision data set that makes its pictures one by one."""

    def __init__(self, n, transform=None):
        super().__init__(".", transform=transform)
        self.targets = [i % 5 for i in range(n)]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        picture = Image.fromarray(np.full((6, 6), 7 * index % 256, dtype=np.uint8))
        if self.transform is not None:
            picture = self.transform(picture)
        return picture, self.targets[index]


class OverriddenMnist(Mnist):
    """Gives other items than its `data` suggest, so it must be read item by item."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return (ImageOps.invert(x) if isinstance(x, Image.Image) else 1 - x), y


class Plain(Dataset):
    """A plain data set of tensors."""

    def __init__(self, n):
        self.x = torch.rand(n, 1, 6, 6)
        self.targets = [i % 5 for i in range(n)]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.x[index], self.targets[index]


def tensors(n, transform=None):
    assert transform is None
    data = TensorDataset(torch.rand(n, 1, 6, 6), torch.arange(n) % 5)
    data.targets = (torch.arange(n) % 5).tolist()
    return data


def invert(x):
    return ImageOps.invert(x) if isinstance(x, Image.Image) else 1 - x


class Shift:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x + self.by


def to_tensor(x):
    return x if isinstance(x, torch.Tensor) else v1.functional.to_tensor(x)


def labelled(data, groups=None, frozen=None):
    attributes = [
        DataAttribute(list(data.targets), "targets"),
        DataAttribute([i % 3 for i in range(len(data))], "targets_task_labels", True),
    ]
    return make_avalanche_dataset(
        data, data_attributes=attributes, transform_groups=groups, frozen_transform_groups=frozen
    )


LEAVES = {
    "mnist": Mnist,
    "cifar": Cifar,
    "svhn": Svhn,
    "loader": Loader,
    "overridden": OverriddenMnist,
    "mnist with a transform": functools.partial(Mnist, transform=v1.ToTensor()),
    "loader with a transform": functools.partial(Loader, transform=v1.ToTensor()),
    "tensors": tensors,
    "plain": Plain,
}
TRAIN = v1.Compose([to_tensor, Shift(1.0)])
EVALUATE = v1.Compose([to_tensor, v1.Normalize((0.5,), (0.25,))])


@pytest.mark.parametrize("name", LEAVES)
def test_every_kind_of_leaf_reads_as_it_loads(check, name):
    data = labelled(LEAVES[name](11), TransformGroups({"train": TRAIN, "eval": EVALUATE}))
    rows = check(data)
    assert rows.attributes == ("targets_task_labels",)
    check(data.subset([5, 2, 2, 9]))


@pytest.mark.parametrize("name", ["mnist", "cifar", "svhn", "loader", "overridden"])
def test_pictures_stay_bytes(name):
    rows = open_rows(labelled(LEAVES[name](4), TransformGroups({"train": TRAIN})))
    assert rows.raw().dtype == torch.uint8
    assert rows.raw().shape[2:] == (6, 6)


@st.composite
def trees(draw, depth=3):
    """Random subsets, concatenations and transform levels over random leaves."""
    name = draw(st.sampled_from(sorted(LEAVES)))
    data = labelled(LEAVES[name](draw(st.integers(1, 8))))
    for _ in range(draw(st.integers(0, depth))):
        kind = draw(st.sampled_from(["subset", "torch subset", "transform", "frozen", "join"]))
        indices = draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=9))
        if kind == "subset":
            data = data.subset(indices)
        elif kind == "torch subset":
            targets = [data.targets[i] for i in indices]
            data = make_avalanche_dataset(
                Subset(data.with_transforms(draw(st.sampled_from(["train", "eval"]))), indices),
                data_attributes=[DataAttribute(targets, "targets")],
            )
        elif kind == "transform":
            data = make_avalanche_dataset(
                data, transform_groups=TransformGroups({"train": invert, "eval": None})
            )
        elif kind == "frozen":
            data = make_avalanche_dataset(
                data, frozen_transform_groups=DefaultTransformGroups((invert, None))
            )
        else:
            data = data.concat(data.subset(indices))
    return make_avalanche_dataset(
        data, transform_groups=TransformGroups({"train": TRAIN, "eval": EVALUATE})
    )


@settings(max_examples=150, deadline=None)
@given(trees())
def test_random_trees_read_as_they_load(check, data):
    check(data)


@settings(max_examples=60, deadline=None)
@given(st.lists(trees(depth=2), min_size=2, max_size=3))
def test_joined_trees_read_as_they_load(one_by_one, parts):
    joined = concat_datasets(parts)
    shapes = {tuple(joined.eval()[i][0].shape) for i in range(len(joined))}
    if len(shapes) > 1:
        with pytest.raises(ArgumentError, match="differ in shape"):
            open_rows(joined).raw()
        return
    rows = open_rows(joined)
    evaluated = rows.evaluate(rows.raw())
    assert torch.allclose(evaluated, one_by_one(joined.eval()).to(evaluated.dtype))
    assert rows.labels.tolist() == list(joined.targets)


def test_torch_concatenations_and_subsets_are_walked(check):
    joined = ConcatDataset([Mnist(4), Subset(Mnist(5), [4, 0]), Mnist(3)])
    joined.targets = [0, 1, 2, 3, 4, 0, 0, 1, 2]
    data = make_avalanche_dataset(
        joined,
        data_attributes=[DataAttribute(joined.targets, "targets")],
        transform_groups=TransformGroups({"train": TRAIN, "eval": EVALUATE}),
    )
    check(data)
    check(data.subset([8, 5, 5, 0]))


def test_frozen_transforms_are_applied_on_reading_and_leave_the_pipelines(check):
    frozen = make_avalanche_dataset(
        labelled(Mnist(5)), frozen_transform_groups=DefaultTransformGroups((invert, None))
    )
    data = make_avalanche_dataset(
        frozen, transform_groups=TransformGroups({"train": TRAIN, "eval": EVALUATE})
    )
    rows = check(data)
    assert rows.raw().dtype == torch.uint8
    assert rows.train.steps == TRAIN.transforms
    plain = open_rows(labelled(Mnist(5), TransformGroups({"train": TRAIN, "eval": EVALUATE})))
    assert rows.train == plain.train
    assert rows.evaluate == plain.evaluate


def test_freezing_an_augmentation_does_not_draw_it_once_for_all():
    train = v1.Compose([v1.ToTensor(), v1.RandomCrop(5)])
    data = labelled(Mnist(5), TransformGroups({"train": train, "eval": v1.ToTensor()}))
    rows = open_rows(data.freeze_transforms())
    assert rows.raw().dtype == torch.uint8
    assert rows.train.steps == train.transforms


def test_different_transforms_in_one_experience_are_stored_as_evaluated(check, caplog):
    a = labelled(Mnist(4), TransformGroups({"train": TRAIN, "eval": EVALUATE}))
    b = labelled(Mnist(3), TransformGroups({"train": TRAIN, "eval": v1.ToTensor()}))
    with caplog.at_level(logging.WARNING):
        rows = check(a.concat(b), train=False)
    assert "different transforms" in caplog.text
    assert rows.raw().dtype == torch.float32
    assert not rows.train.steps


def test_equal_transforms_made_anew_are_no_difference(check):
    def part():
        groups = {"train": v1.Compose([v1.ToTensor(), v1.Normalize((0.5,), (0.2,))])}
        return labelled(Mnist(3), TransformGroups(groups))

    rows = check(part().concat(part()))
    assert rows.raw().dtype == torch.uint8


def test_class_renaming_is_followed(check):
    data = _make_taskaware_classification_dataset(Mnist(10), task_labels=2, transform=to_tensor)
    renamed = _taskaware_classification_subset(data, [7, 3, 1], class_mapping=[4, 3, 2, 1, 0])
    rows = check(renamed)
    assert rows.labels.tolist() == [2, 1, 3]
    assert rows.tasks.tolist() == [2, 2, 2]


def test_labels_are_what_the_model_is_trained_on():
    # Avalanche's `targets` are not told of a target transform.
    groups = TransformGroups({"train": (to_tensor, Shift(10)), "eval": (to_tensor, Shift(10))})
    rows = open_rows(labelled(Mnist(4), groups))
    assert rows.labels.tolist() == [10, 11, 12, 13]


def test_a_label_that_is_a_tensor_is_noticed():
    assert open_rows(labelled(tensors(3))).label_type == torch.int64
    assert open_rows(labelled(Mnist(3))).label_type is None


@pytest.mark.parametrize("task_labels", [False, True])
def test_pictures_are_read_at_once_and_not_item_by_item(task_labels, monkeypatch):
    benchmark = nc_benchmark(
        Mnist(300), Mnist(10), 5, seed=0, task_labels=task_labels, train_transform=TRAIN
    )

    def loaded(*_):
        raise AssertionError("an item was loaded")

    monkeypatch.setattr(tv.MNIST, "__getitem__", loaded)
    dataset = benchmark.train_stream[2].dataset
    assert open_rows(dataset).raw().shape == (len(dataset), 1, 6, 6)
    stream = split_online_stream(benchmark.train_stream, 10)
    small = next(iter(stream)).dataset
    assert open_rows(small).raw(torch.tensor([3])).shape == (1, 1, 6, 6)
