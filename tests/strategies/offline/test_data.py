import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
)

from clcore.errors import ArgumentError
from strategies.offline.data import MapData, TensorData, training_data


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.ones(2), 0


class Shuffling(Dataset):
    """Gives another item at each read."""

    def __init__(self, x, y):
        self.x, self.y, self.targets = x, y, y
        self.generator = torch.Generator().manual_seed(1)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        other = int(torch.randint(len(self.x), (), generator=self.generator))
        return self.x[other], self.y[other]


def test_tensors_are_read_as_they_lie(kit):
    x, y = kit.blobs(20)
    rows = torch.tensor([3, 1, 19, 0, 7])
    forms = [
        (x, y),
        (x.numpy(), y.numpy()),
        TensorDataset(x, y),
        Subset(TensorDataset(torch.cat([x, x]), torch.cat([y, y])), range(20)),
    ]
    for form in forms:
        data = training_data(form)
        assert isinstance(data, TensorData)
        assert torch.equal(data.labels, y)
        batches = list(data.batches(rows, 2))
        assert [len(numbers) for numbers, _, _ in batches] == [2, 2, 1]
        assert torch.equal(torch.cat([b[1] for b in batches]), x[rows])
        assert torch.equal(torch.cat([b[2] for b in batches]), y[rows])


def test_a_data_set_is_read_by_row_in_order(kit):
    x, y = kit.blobs(20)
    data = training_data(kit.Pairs(x, y))
    assert isinstance(data, MapData)
    for rows in (torch.tensor([3, 1, 19, 0, 7]), torch.tensor([4, 2])):
        batches = list(data.batches(rows, 2))
        assert torch.equal(torch.cat([b[0] for b in batches]), rows)
        assert torch.equal(torch.cat([b[1] for b in batches]), x[rows])
        assert torch.equal(torch.cat([b[2] for b in batches]), y[rows])


def test_looking_at_a_data_set_leaves_random_states_alone(kit):
    class Noisy(kit.Pairs):
        def __getitem__(self, row):
            return self.x[row] + torch.rand(4), int(self.y[row])

    before = torch.get_rng_state()
    training_data(Noisy(*kit.blobs()))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", [np.int64, int, torch.tensor])
def test_labels_of_any_whole_kind(kit, kind):
    x, y = kit.blobs(9)
    items = [(x[row], kind(int(y[row]))) for row in range(9)]
    assert torch.equal(training_data(items).labels, y)


def test_targets_that_are_no_labels(kit):
    x, y = kit.blobs(9)
    assert training_data((x, y.float())).labels is None
    data = training_data([(x[row], float(y[row])) for row in range(9)])
    assert data.labels is None
    assert torch.equal(data.for_probe[3], x[3])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Endless(), "Endless is not: a subset can be chosen of numbered rows only"),
        (DataLoader([(torch.ones(1), 0)]), "not a DataLoader"),
        (RandomSampler(range(3)), "not a sampler"),
        (3, "which int is not"),
        ((torch.ones(3, 2),), "two tensors, .x, y., not 1"),
        ((torch.ones(3, 2), torch.ones(4)), r"shapes \(3, 2\) and \(4,\)"),
        ((torch.ones(0, 2), torch.ones(0)), "no rows"),
        ([], "no rows"),
        ([(torch.ones(1), 0, 2)], "pairs .x, y., not tuple of 3"),
        ([torch.ones(1)], "not Tensor"),
    ],
)
def test_data_that_is_refused(data, said):
    with pytest.raises(ArgumentError, match=said):
        training_data(data)


def test_a_data_set_that_shuffles_is_caught(kit):
    trainer = kit.trainer("random", data=Shuffling(*kit.blobs()), loss=nn.CrossEntropyLoss())
    with pytest.raises(ArgumentError, match="data changes between reads: item"):
        trainer.fit(1)
