"""Images by row number, and the plain order of batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset, TensorDataset

from clcore.errors import ArgumentError, SignalError
from strategies.generative.image_rows import ImageRows, ShuffledBatches

CPU = torch.device("cpu")
X, Y = torch.arange(24.0).reshape(12, 2), torch.arange(12) % 3


class Items:
    """A map-style data set."""

    def __init__(self, labelled=True, noisy=False):
        self.labelled, self.noisy = labelled, noisy

    def __len__(self):
        return 12

    def __getitem__(self, row):
        x = X[row] + (torch.rand(2) if self.noisy else 0)
        return (x, int(Y[row])) if self.labelled else x


FORMS = {
    "tensor": (X, False),
    "tensors": (TensorDataset(X, Y), True),
    "one tensor": (TensorDataset(X), False),
    "subset": (Subset(TensorDataset(torch.cat([-X, X]), torch.cat([Y, Y])), range(12, 24)), True),
    "subset of a subset": (
        Subset(Subset(TensorDataset(torch.cat([-X, X])), range(23, 3, -1)), range(11, -1, -1)),
        False,
    ),
    "items": (Items(), True),
    "items alone": (Items(labelled=False), False),
    "subset of items": (Subset(Items(), range(12)), True),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_every_form(form):
    data, labelled = FORMS[form]
    rows = ImageRows(data, CPU)
    assert len(rows) == 12
    assert rows.shape == (2,)
    assert rows.labelled is labelled
    which = torch.tensor([7, 0, 7, 11])
    assert torch.equal(rows.read(which), X[which])
    if labelled:
        images, labels = rows.read_labelled(which)
        assert torch.equal(images, X[which])
        assert torch.equal(labels, Y[which])
    else:
        with pytest.raises(ArgumentError, match="a label for each row"):
            rows.read_labelled(which)


def test_transforms_see_batches_and_a_look_moves_no_randomness():
    shapes, before = [], torch.get_rng_state()

    def transform(x):
        shapes.append(tuple(x.shape))
        return x + torch.rand_like(x)

    rows = ImageRows(Items(noisy=True), CPU, transform)
    assert torch.equal(torch.get_rng_state(), before)
    rows.read(torch.arange(5))
    assert shapes == [(1, 2), (5, 2)]
    assert not torch.equal(torch.get_rng_state(), before)


def test_what_is_no_data_is_refused():
    with pytest.raises(ArgumentError, match="data must be a tensor"):
        ImageRows(DataLoader(X), CPU)
    with pytest.raises(ArgumentError, match="data has no rows"):
        ImageRows(X[:0], CPU)
    with pytest.raises(ArgumentError, match=r"floating-point numbers.*torch.int64"):
        ImageRows(TensorDataset(Y), CPU)
    with pytest.raises(ArgumentError, match="must be tensors, not int"):
        ImageRows([1, 2, 3], CPU)
    with pytest.raises(SignalError, match="'data' holds NaN"):
        ImageRows(torch.full((3, 2), float("nan")), CPU)


@given(rows=st.integers(1, 40), batch=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_a_pass_offers_each_row_at_most_once(rows, batch, seed):
    if batch > rows:
        with pytest.raises(ArgumentError, match="larger than the data"):
            ShuffledBatches(rows, batch, seed)
        return
    batches, again = ShuffledBatches(rows, batch, seed), ShuffledBatches(rows, batch, seed)
    each = rows // batch
    for turn in range(2):
        taken = torch.cat([batches.batch(turn * each + place) for place in range(each)])
        assert len(taken) == each * batch == len(taken.unique())
        assert 0 <= int(taken.min()) <= int(taken.max()) < rows
    # A function of the number alone: asked out of order it is the same.
    for number in (2 * each - 1, 0, each):
        assert torch.equal(again.batch(number), batches.batch(number))


def test_passes_and_seeds_differ():
    batches = ShuffledBatches(100, 100, seed=0)
    assert not torch.equal(batches.batch(0), batches.batch(1))
    assert not torch.equal(batches.batch(0), ShuffledBatches(100, 100, seed=1).batch(0))
