"""The view of a store behaves as the data set of the stream that filled it."""

import pickle
import sys

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils import DataAttribute, concat_datasets, make_avalanche_dataset
from avalanche.benchmarks.utils.classification_dataset import (
    ClassificationDataset,
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.benchmarks.utils.data_loader import ReplayDataLoader, TaskBalancedDataLoader
from avalanche.benchmarks.utils.ffcv_support.ffcv_components import has_ffcv_support
from avalanche.benchmarks.utils.transform_groups import TransformGroups
from PIL import Image
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision import datasets as tv
from torchvision import transforms as v1

from buffers.presentation import Presentation, StoreRows
from buffers.reservoir import ReservoirBuffer
from buffers.store import ExemplarStore
from buffers.stream import open_rows
from buffers.view import view_of


class Mnist(tv.MNIST):
    """torchvision's MNIST with made-up data: pixel (0, 0) of row i is i."""

    def __init__(self, n):
        tv.VisionDataset.__init__(self, ".")
        self.data = torch.randint(0, 256, (n, 6, 6), dtype=torch.uint8)
        self.data[:, 0, 0] = torch.arange(n)
        self.targets = torch.arange(n) % 4


TRAIN = v1.Compose([v1.ToTensor(), v1.Normalize((0.5,), (0.2,))])
EVALUATE = v1.ToTensor()
GROUPS = {"train": TRAIN, "eval": EVALUATE}


def stream(n=30, *, tasks=True, groups=None, data=None):
    data = Mnist(n) if data is None else data
    attributes = [DataAttribute(torch.as_tensor(data.targets).tolist(), "targets")]
    kind = ClassificationDataset
    if tasks:
        values = [i % 3 for i in range(len(data))]
        attributes.append(DataAttribute(values, "targets_task_labels", use_in_getitem=True))
        kind = TaskAwareSupervisedClassificationDataset
    return kind(
        [data],
        data_attributes=attributes,
        transform_groups=TransformGroups(GROUPS if groups is None else groups),
    )


def filled(dataset, size=None):
    """A buffer that holds the whole data set, in order."""
    buffer = ReservoirBuffer(size or len(dataset))
    buffer.update_from_dataset(dataset)
    return buffer


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return type(a) is type(b) and a == b


def same_items(view, dataset):
    assert len(view) == len(dataset)
    for position in range(len(view)):
        ours, theirs = view[position], list(dataset[position])
        assert len(ours) == len(theirs)
        assert all(map(equal, ours, theirs))


@pytest.mark.parametrize("tasks", [True, False])
@pytest.mark.parametrize("group", ["train", "eval"])
def test_samples_are_those_of_the_stream(tasks, group):
    data = stream(tasks=tasks)
    view = filled(data).buffer
    same_items(view.with_transforms(group), data.with_transforms(group))
    same_items(view.eval().train(), data.train())
    assert list(view.targets) == list(data.targets)
    assert hasattr(view, "task_set") == tasks


def test_samples_of_a_stream_of_tensors_have_tensor_labels():
    tensors = TensorDataset(torch.rand(9, 2), torch.arange(9) % 3)
    tensors.targets = (torch.arange(9) % 3).tolist()
    data = stream(data=tensors, groups={})
    same_items(filled(data).buffer, data)
    loader = ReplayDataLoader(data, filled(data).buffer, batch_size=3, batch_size_mem=3)
    assert [part.shape for part in next(iter(loader))] == [(6, 2), (6,), (6,)]


def test_samples_without_transforms_are_the_stream_s_own_objects():
    data = stream(groups={})
    picture, label, task = filled(data).buffer[3]
    assert isinstance(picture, Image.Image)
    assert np.array_equal(np.array(picture), np.array(data[3][0]))
    assert (label, task) == (3, 0)


def test_several_at_once_are_as_one_by_one():
    view = filled(stream()).buffer
    for ours, theirs in zip(view.__getitems__([4, 0, 4]), [view[4], view[0], view[4]], strict=True):
        assert all(map(equal, ours, theirs))
    x, y, t = next(iter(DataLoader(view, batch_size=5)))
    assert x.shape == (5, 1, 6, 6)
    assert y.tolist() == [0, 1, 2, 3, 0]
    assert t.tolist() == [0, 1, 2, 0, 1]


def test_reading_all_again_and_again_transforms_the_memory_once():
    calls = []

    class Count:
        batched = True

        def __call__(self, x):
            calls.append(len(x))
            return x.float()

    tensors = TensorDataset(torch.randint(0, 9, (20, 2)), torch.zeros(20))
    tensors.targets = [0] * 20
    buffer = filled(stream(data=tensors, groups={"train": Count()}))
    view = buffer.buffer
    for _ in range(3):
        first = [view[i][0] for i in range(20)]
    assert calls == [1, 1, 1, 1, 1, 1, 20]
    buffer.store.x.zero_()
    buffer.store.version += 1
    assert not any(view[i][0].any() for i in range(20))
    assert any(x.any() for x in first)


def test_random_transforms_are_drawn_at_each_reading():
    groups = {"train": v1.Compose([v1.RandomCrop(6, padding=3), v1.ToTensor()]), "eval": EVALUATE}
    view = filled(stream(groups=groups)).buffer
    assert len({view[7][0].numpy().tobytes() for _ in range(30)}) > 5
    batch = torch.stack([sample[0] for sample in view.__getitems__([7] * 30)])
    assert len({x.numpy().tobytes() for x in batch}) > 5
    assert len({view.eval()[7][0].numpy().tobytes() for _ in range(5)}) == 1


@pytest.mark.parametrize("indices", [[3, 1, 3], torch.tensor([3, 1, 3]), range(4)])
def test_subsets_are_views_in_the_same_group(indices):
    data = stream()
    view = filled(data).buffer.eval()
    same_items(view.subset(indices), data.eval().subset([int(i) for i in indices]))
    assert len(view.subset([])) == 0
    assert view.subset(indices)._reader is not None


def test_other_operations_of_avalanche_data_sets():
    data = stream()
    view = filled(data).buffer
    same_items(view.concat(data.subset([2])), data.concat(data.subset([2])))
    same_items(concat_datasets([data, view]), data.concat(data))
    same_items(concat_datasets([view, view]), data.concat(data))
    same_items(view.freeze_transforms().eval(), data.freeze_transforms().eval())
    replaced = data.replace_current_transform_group(EVALUATE)
    same_items(view.replace_current_transform_group(EVALUATE), replaced)
    same_items(
        view.remove_current_transform_group().eval(), data.remove_current_transform_group().eval()
    )
    renamed = view.update_data_attribute("targets_task_labels", [7] * len(view))
    assert renamed[0][2] == 7
    for task, part in view.task_set.items():
        same_items(part, data.task_set[task])
    wrapped = make_avalanche_dataset(Subset(view, [5, 6]))
    assert torch.equal(wrapped[1][0], data[6][0])
    with pytest.raises(IndexError):
        view[len(view)]
    assert view[-1][1] == data[len(data) - 1][1]
    assert hash(view) == id(view)


def test_a_view_can_be_opened_as_a_stream():
    data = stream()
    rows = open_rows(filled(data).buffer)
    assert rows.raw().dtype == torch.uint8
    assert torch.equal(rows.raw(), open_rows(data).raw())
    assert rows.tasks.tolist() == open_rows(data).tasks.tolist()
    second = filled(filled(data).buffer)
    same_items(second.buffer, data)


def test_columns_follow_the_labels():
    store = ExemplarStore(3)
    logits = torch.rand(3, 5)
    store.put(
        torch.arange(3),
        torch.rand(3, 2),
        torch.tensor([[1, 4, 0], [2, 5, 1], [3, 6, 2]]),
        columns={"logits": logits, "score": torch.tensor([1.0, 2.0, 3.0])},
    )
    look = Presentation(attributes=("score", "targets_task_labels", "logits", "targets"))
    view = view_of(store, torch.tensor([2, 0]), look)
    x, y, score, task, outputs, label = view[0]
    assert (y, score, task, label) == (3, 3.0, 6, 3)
    assert torch.equal(outputs, logits[2])
    assert torch.equal(view.logits[1], logits[0])
    assert list(view.score) == [3.0, 1.0]
    assert [type(part) for part in view.concat(view)[0]] == [
        type(part) for part in (x, y, score, task, outputs, label)
    ]


def test_arrays_come_back_as_arrays():
    store = ExemplarStore(1)
    store.put(torch.tensor([0]), torch.rand(1, 4), torch.zeros(1, 3, dtype=torch.int64))
    leaf = StoreRows(store, torch.tensor([0]), "array", None)
    assert leaf[0][0].shape == (4,)
    assert type(leaf[0][0]).__name__ == "ndarray"


def test_loaders_of_avalanche_take_it():
    data = stream()
    view = filled(data).buffer
    batches = list(TaskBalancedDataLoader(view, batch_size=6))
    assert all(sorted(t.tolist()) == [0, 0, 1, 1, 2, 2] for *_, t in batches)
    loader = ReplayDataLoader(data, view, batch_size=5, batch_size_mem=3, shuffle=True)
    assert [len(y) for _, y, _ in loader] == [8] * 6
    balanced = ReplayDataLoader(
        data, view, batch_size=5, batch_size_mem=6, task_balanced_dataloader=True
    )
    assert next(iter(balanced))[2][5:].sort().values.tolist() == [0, 0, 1, 1, 2, 2]


def test_loader_processes_take_it():
    loader = DataLoader(filled(stream()).buffer, batch_size=10, num_workers=1)
    assert torch.cat([y for _, y, _ in loader]).tolist() == (torch.arange(30) % 4).tolist()
    view = pickle.loads(pickle.dumps(filled(stream()).buffer))
    assert view[5][1] == 1


def test_the_search_for_ffcv_data_reads_no_row():
    data = stream(10, groups={}).subset(range(10))
    counts = []
    for size in (100, 4000):
        buffer = ReservoirBuffer(size)
        buffer.add(torch.zeros(size, 2), torch.zeros(size, dtype=torch.int64))
        buffer.adopt(data)
        view = buffer.buffer
        calls = _python_calls(lambda view=view: has_ffcv_support([data, view]))
        assert has_ffcv_support([data, view]) is False
        counts.append(calls)
    assert counts[0] == counts[1] < 300


def _python_calls(run):
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count
