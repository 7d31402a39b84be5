"""Reading a data set by `open_rows`, compared with loading it item by item."""

import pytest
import torch
from torchvision.transforms import functional

from buffers.stream import open_rows


def load_one_by_one(dataset):
    items = [dataset[i] for i in range(len(dataset))]
    return torch.stack(
        [x if isinstance(x, torch.Tensor) else functional.pil_to_tensor(x) for x, *_ in items]
    )


def check_reading(dataset, *, train=True):
    rows = open_rows(dataset)
    assert len(rows) == len(dataset)
    assert rows.labels.tolist() == [int(y) for y in dataset.targets]
    assert rows.labels.tolist() == [int(dataset[i][1]) for i in range(len(dataset))]
    if hasattr(dataset, "targets_task_labels"):
        assert rows.tasks.tolist() == list(dataset.targets_task_labels)
    assert torch.equal(rows.evaluate(rows.raw()), load_one_by_one(dataset.eval()))
    assert torch.equal(rows.settled(), load_one_by_one(dataset.eval()))
    if train:
        assert torch.equal(rows.train(rows.raw()), load_one_by_one(dataset.train()))
    some = torch.randperm(len(rows))[:3]
    assert torch.equal(rows.raw(some), rows.raw()[some])
    return rows


@pytest.fixture(scope="session")
def one_by_one():
    """Every sample of a data set, loaded by itself and stacked."""
    return load_one_by_one


@pytest.fixture(scope="session")
def check():
    """Asserts that a data set reads as it loads, and gives its rows."""
    return check_reading
