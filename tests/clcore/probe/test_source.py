"""Reading labels and tasks from data sets of several kinds."""

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

from clcore import ArgumentError, Pool, Probe
from clcore.probe.source import column_of


class Items(Dataset):
    """Items `(x, y, t)`; counts how often one is read."""

    def __init__(self, rows=5, columns=3):
        self.rows, self.columns, self.reads = rows, columns, 0

    def __len__(self):
        return self.rows

    def __getitem__(self, row):
        self.reads += 1
        item = (torch.full((4,), float(row)), row % 2, 7)[: self.columns]
        return item if self.columns > 1 else item[0]


class WithTargets(Items):
    """Has the attributes of torchvision and Avalanche."""

    def __init__(self):
        super().__init__()
        self.targets = [row % 2 for row in range(5)]
        self.targets_task_labels = torch.full((5,), 7)


def test_columns_by_attribute_are_not_read_from_items():
    data = WithTargets()
    assert column_of(data, 1).tolist() == [0, 1, 0, 1, 0]
    assert column_of(data, 2).tolist() == [7] * 5
    assert column_of(Subset(data, [1, 3]), 1).tolist() == [1, 1]
    assert data.reads == 0


def test_columns_from_items():
    assert column_of(Items(), 1).tolist() == [0, 1, 0, 1, 0]
    assert column_of(Items(), 2).tolist() == [7] * 5
    assert column_of(Items(columns=2), 2) is None
    assert column_of(Items(columns=1), 1) is None
    assert column_of(Items(rows=0), 1) is None
    assert column_of(torch.ones(3), 1) is None
    assert column_of(TensorDataset(torch.ones(3), torch.arange(3)), 1).tolist() == [0, 1, 2]
    assert column_of(Subset(TensorDataset(torch.ones(3)), [0]), 1) is None


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_pools_of_items(columns):
    pool = Pool.of(Items(columns=columns), Probe(nn.Linear(4, 2), batch_size=2))
    assert len(pool) == 5
    assert pool.signal("features")[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert (pool.labels is None) == (columns == 1)
    assert pool.subset([3, 1]).signal("features")[:, 0].tolist() == [3, 1]


def test_given_labels_take_the_place_of_the_data_sets():
    pool = Pool.of(Items(), Probe(nn.Linear(4, 2)), labels=torch.ones(5).long())
    assert pool.labels.tolist() == [1] * 5
    with pytest.raises(ArgumentError, match="labels has 2 rows"):
        Pool.of(Items(), Probe(nn.Linear(4, 2)), labels=[0, 1])
    with pytest.raises(ArgumentError, match="task has 2 rows"):
        Pool.of(Items(), Probe(nn.Linear(4, 2)), task=[0, 1])
