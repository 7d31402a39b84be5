import pickle

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from clcore import Coreset, Pool, select
from clcore.errors import ArgumentError, SignalError
from clcore.weighted_subset import WeightedSubset, weighted_loss

INPUTS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(12) % 3
PAIRS = TensorDataset(INPUTS, TARGETS)


class Rows(Dataset):
    """Samples made by a function, counting what is read."""

    def __init__(self, make, rows=12):
        self.make, self.rows, self.read = make, rows, []

    def __len__(self):
        return self.rows

    def __getitem__(self, row):
        self.read.append(row)
        return self.make(row)


def test_samples_in_pick_order_with_weights_of_mean_one():
    subset = WeightedSubset(PAIRS, [7, 2, 5], weights=[6, 1, 2])
    assert len(subset) == 3
    x, y, weight = subset[0]
    assert torch.equal(x, INPUTS[7])
    assert y == TARGETS[7]
    assert weight.dtype == torch.float32
    assert weight == 2
    assert subset.weights.tolist() == pytest.approx([2, 1 / 3, 2 / 3])
    assert [int(sample[1]) for sample in subset] == TARGETS[[7, 2, 5]].tolist()
    assert subset[-1][2] == subset.weights[2]


def test_weights_as_they_are():
    subset = WeightedSubset(PAIRS, torch.tensor([7, 2]), [6, 0], normalise=None)
    assert subset.weights.tolist() == [6, 0]
    assert WeightedSubset(PAIRS, [1, 2]).weights.tolist() == [1, 1]


def test_a_coreset_brings_its_weights():
    coreset = select("k-means", Pool(features=INPUTS), 4)
    subset = WeightedSubset(PAIRS, coreset, normalise=None)
    assert subset.indices.tolist() == coreset.indices.tolist()
    assert subset.weights.tolist() == coreset.weights.tolist()
    assert subset.weights.sum() == 12
    assert WeightedSubset(PAIRS, coreset, [1, 1, 1, 5]).weights.tolist() == [0.5, 0.5, 0.5, 2.5]


@pytest.mark.parametrize("batched", [False, True])
def test_mappings_and_bare_samples(batched):
    def first(subset):
        return subset.__getitems__([0, 1])[0] if batched else subset[0]

    named = WeightedSubset(Rows(lambda row: {"x": row, "y": -row}), [4, 5])
    assert first(named) == {"x": 4, "y": -4, "weight": torch.tensor(1.0)}
    bare = WeightedSubset(Rows(lambda row: INPUTS[row]), [4, 5])
    x, weight = first(bare)
    assert torch.equal(x, INPUTS[4])
    assert weight == 1
    listed = WeightedSubset(Rows(lambda row: [row, row, row]), [4, 5])
    assert first(listed) == (4, 4, 4, torch.tensor(1.0))
    with pytest.raises(ArgumentError, match="key 'weight' already"):
        first(WeightedSubset(Rows(lambda row: {"weight": 1}), [4, 5]))


def test_the_loader_carries_the_weights_and_reads_nothing_before_it_must():
    rows = Rows(lambda row: (INPUTS[row], TARGETS[row]))
    subset = WeightedSubset(rows, [7, 2, 5], weights=[6, 1, 2])
    loader = subset.loader(2, shuffle=False)
    assert rows.read == []
    batches = list(loader)
    assert torch.equal(batches[0][0], INPUTS[[7, 2]])
    assert torch.equal(torch.cat([weights for *_, weights in batches]), subset.weights)
    assert rows.read == [7, 2, 5]
    named = WeightedSubset(Rows(lambda row: {"x": INPUTS[row]}), [7, 2, 5], weights=[6, 1, 2])
    batch = next(iter(named.loader(3, shuffle=False)))
    assert torch.equal(batch["weight"], subset.weights)


def test_a_dataset_that_reads_many_at_once_is_asked_once():
    asked = []

    class Many(Rows):
        def __getitems__(self, rows):
            asked.append(rows)
            return [self.make(row) for row in rows]

    many = Many(lambda row: (INPUTS[row], TARGETS[row]))
    list(WeightedSubset(many, [7, 2, 5]).loader(2, shuffle=False))
    assert asked == [[7, 2], [5]]
    assert many.read == []


def test_orders_are_seeded_and_can_be_continued():
    subset = WeightedSubset(PAIRS, range(12), weights=range(1, 13))

    def epochs(loader, count):
        return [[w for *_, ws in loader for w in ws.tolist()] for _ in range(count)]

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = epochs(subset.loader(5, seed=1), 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == epochs(subset.loader(5, seed=1), 3)
    assert first != epochs(subset.loader(5, seed=2), 3)
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(subset.weights.tolist())
    generator = torch.Generator().manual_seed(1)
    begun = epochs(subset.loader(5, generator=generator), 1)
    saved = generator.get_state()
    continued = torch.Generator()
    continued.set_state(saved)
    assert begun + epochs(subset.loader(5, generator=continued), 2) == first


def test_the_gradient_of_a_full_batch_is_the_weighted_mean_of_the_gradients():
    coreset = select("k-means", Pool(features=INPUTS), 5)
    model = nn.Linear(3, 3).double()
    criterion = nn.CrossEntropyLoss(reduction="none")
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for row, weight in zip(coreset.indices, coreset.weights, strict=True):
        loss = criterion(model(INPUTS[row : row + 1].double()), TARGETS[row : row + 1])
        (gradient,) = torch.autograd.grad(loss.sum(), model.weight)
        expected += weight * gradient
    expected /= coreset.weights.sum()

    def gradient(batch_size):
        """Average over the batches of an epoch, each as large as its share of the picks."""
        model.zero_grad()
        for x, y, weights in WeightedSubset(PAIRS, coreset).loader(batch_size):
            loss = weighted_loss(criterion(model(x.double()), y), weights)
            (loss * len(y) / len(coreset)).backward()
        return model.weight.grad

    # The weights handed out are float32.
    torch.testing.assert_close(gradient(5), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(gradient(2), expected, rtol=1e-6, atol=1e-7)


def test_weighted_loss_refuses_shapes_that_would_be_multiplied_out():
    for losses, weights in [((4, 1), (4,)), ((4,), (3,)), ((), ()), ((4, 1), (4, 1))]:
        with pytest.raises(ArgumentError, match="one number a sample"):
            weighted_loss(torch.ones(losses), torch.ones(weights))


@pytest.mark.parametrize(
    ("indices", "weights", "error", "said"),
    [
        ([0, 12], None, ArgumentError, "holds 12, which is not one of the rows 0 to 11"),
        ([0, -1], None, ArgumentError, "holds -1"),
        ([0.5], None, ArgumentError, "indices must be integers"),
        ([0, 1], [1.0], ArgumentError, "weights has 1 numbers for 2 indices"),
        ([0, 1], [[1.0], [1.0]], ArgumentError, "one-dimensional"),
        ([0, 1], [1.0, -1.0], ArgumentError, "must not be negative: row 1"),
        ([0, 1], [0.0, 0.0], ArgumentError, "all zero"),
        ([0, 1], [1.0, float("nan")], SignalError, "NaN"),
    ],
)
def test_wrong_rows_and_weights(indices, weights, error, said):
    with pytest.raises(error, match=said):
        WeightedSubset(PAIRS, indices, weights)


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="must have a length"):
        WeightedSubset(iter([1]), [0])
    with pytest.raises(ArgumentError, match="normalise must be 'mean' or None, not 'sum'"):
        WeightedSubset(PAIRS, [0], normalise="sum")
    for size in (0, 2.5):
        with pytest.raises(ArgumentError, match="batch_size must be a whole number"):
            WeightedSubset(PAIRS, [0]).loader(size)


def test_empty_and_pickled_and_subset_of_subset():
    assert len(WeightedSubset(PAIRS, Coreset.of([]))) == 0
    subset = WeightedSubset(PAIRS, [7, 2], [1, 3])
    again = pickle.loads(pickle.dumps(subset))
    assert again[1][2] == 1.5
    assert torch.equal(again[1][0], INPUTS[2])
    assert WeightedSubset(subset, [1])[0][1] == TARGETS[2]
