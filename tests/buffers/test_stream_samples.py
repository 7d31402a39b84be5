"""`open_rows` on what samples may hold: columns, odd samples, what is refused or left unread."""

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils import (
    AvalancheDataset,
    DataAttribute,
    as_classification_dataset,
    make_avalanche_dataset,
)
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from avalanche.benchmarks.utils.transform_groups import TransformGroups
from PIL import Image
from torch.utils.data import Dataset
from torchvision import transforms as v1

from buffers.stream import open_rows
from clcore.errors import ArgumentError


class Plain(Dataset):
    """A plain data set of tensors."""

    def __init__(self, n):
        self.x = torch.rand(n, 1, 6, 6)
        self.targets = [i % 5 for i in range(n)]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.x[index], self.targets[index]


def labelled(data):
    attributes = [
        DataAttribute(list(data.targets), "targets"),
        DataAttribute([i % 3 for i in range(len(data))], "targets_task_labels", True),
    ]
    return make_avalanche_dataset(data, data_attributes=attributes)


def test_other_attributes_become_columns_in_the_stream_order():
    data = make_avalanche_dataset(
        labelled(Plain(6)),
        data_attributes=[
            DataAttribute(torch.arange(6) / 2, "difficulty", use_in_getitem=True),
            DataAttribute([torch.full((2,), i) for i in range(6)], "outputs", use_in_getitem=True),
            DataAttribute(list("abcdef"), "note"),
        ],
    )
    rows = open_rows(data.subset([4, 1]))
    assert rows.attributes == ("targets_task_labels", "difficulty", "outputs")
    assert rows.columns["difficulty"].tolist() == [2.0, 0.5]
    assert rows.columns["outputs"].tolist() == [[4, 4], [1, 1]]


def test_constant_attributes():
    data = make_avalanche_dataset(
        Plain(4),
        data_attributes=[
            DataAttribute(ConstantSequence(3, 4), "targets"),
            DataAttribute(ConstantSequence(1, 4), "targets_task_labels", use_in_getitem=True),
        ],
    )
    joined = data.concat(data.subset([0]))
    assert open_rows(joined).labels.tolist() == [3] * 5
    assert open_rows(joined).tasks.tolist() == [1] * 5


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (AvalancheDataset([]), "holds no samples"),
        (AvalancheDataset([Plain(3)]), "no `targets`"),
        (
            make_avalanche_dataset(
                Plain(2), data_attributes=[DataAttribute([0.5, 1.5], "targets")]
            ),
            "integer class labels",
        ),
        (
            make_avalanche_dataset(
                labelled(Plain(2)),
                data_attributes=[DataAttribute(["a", "b"], "note", use_in_getitem=True)],
            ),
            "`note`",
        ),
    ],
)
def test_what_can_not_be_kept_is_refused_at_the_door(dataset, message):
    with pytest.raises(ArgumentError, match=message):
        open_rows(dataset)


class Odd(Dataset):
    """Samples that no buffer can keep."""

    def __init__(self, values):
        self.values, self.targets = values, [0] * len(values)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index], 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([torch.zeros(2), torch.zeros(3)], "differ in shape"),
        (["word", "words"], "of type str"),
        ([Image.new("P", (2, 2))] * 2, "mode 'P'"),
    ],
)
def test_samples_that_make_no_tensor_are_refused(values, message):
    with pytest.raises(ArgumentError, match=message):
        open_rows(as_classification_dataset(Odd(values))).raw()


@pytest.mark.parametrize(
    "values",
    [[1.5, 2.5], [np.float32(3), np.float32(4)], [np.arange(3), np.arange(3)], [7, 8]],
    ids=["floats", "numpy scalars", "arrays", "token numbers"],
)
def test_numbers_and_arrays_are_kept(values):
    raw = open_rows(as_classification_dataset(Odd(values))).raw()
    assert np.array_equal(raw.numpy(), np.stack(values))


def test_arrays_go_through_to_tensor_as_arrays(check):
    pictures = list(np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8))
    data = make_avalanche_dataset(
        Odd(pictures),
        data_attributes=[DataAttribute([0] * 4, "targets")],
        transform_groups=TransformGroups({"train": v1.ToTensor()}),
    )
    assert check(data).raw().shape == (4, 5, 6, 3)


class Counting(Plain):
    """Counts the items that are loaded."""

    loaded = 0

    def __getitem__(self, index):
        type(self).loaded += 1
        return super().__getitem__(index)


def test_only_the_rows_asked_for_are_read():
    Counting.loaded = 0
    rows = open_rows(labelled(Counting(500)).subset(range(100, 400)))
    rows.raw(torch.tensor([4, 7]))
    # One more, to learn what its items are.
    assert Counting.loaded == 3
