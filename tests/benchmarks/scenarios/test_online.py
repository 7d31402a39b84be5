"""Online: every image once, in small parts with true borders."""

import pytest
import torch

from benchmarks.scenarios import noisy, online, permuted, split
from clcore.errors import ArgumentError


@pytest.mark.parametrize("batch_size", [1, 7, 10, 80, 500])
def test_each_image_is_in_exactly_one_part(data, batch_size):
    whole = split(data)
    stream = online(whole, batch_size)
    rows = torch.cat([part.train.indices for part in stream])
    assert torch.equal(rows.sort().values, torch.arange(160))
    assert [part.index for part in stream] == list(range(len(stream)))
    for old in whole:
        parts = [part for part in stream if part.parent == old.index]
        assert all(len(part) == batch_size for part in parts[:-1])
        assert [part.is_first_part for part in parts] == [True] + [False] * (len(parts) - 1)
        assert [part.is_last_part for part in parts] == [False] * (len(parts) - 1) + [True]
        assert all(part.test is old.test and part.task == old.task for part in parts)
        assert all(part.classes_here == old.classes_here for part in parts)
    assert [part.parent for part in stream.evaluation] == [0, 1]
    assert stream.evaluation[1].test_x is stream.experiences[-1].test_x


def test_a_small_last_part_may_be_dropped(data):
    assert [len(part) for part in online(split(data), 30)] == [30, 30, 20] * 2
    dropped = online(split(data), 30, drop_last=True)
    assert [len(part) for part in dropped] == [30] * 4
    assert [part.is_last_part for part in dropped] == [False, True] * 2
    with pytest.raises(ArgumentError, match="only 80 training images"):
        online(split(data), 81, drop_last=True)


def test_order_is_shuffled_by_seed_or_kept(data):
    def rows(**arguments):
        return torch.cat([e.train.indices for e in online(split(data), **arguments)]).tolist()

    kept = torch.cat([e.train.indices for e in split(data)]).tolist()
    assert rows(shuffle=False) == kept
    assert rows() == rows() != kept
    assert rows(seed=1) != rows()


def test_parts_are_built_through_the_transform_of_their_experience(data):
    whole = noisy(permuted(data, 2), labels=0.5, images=0.5)
    for part in online(whole, 16):
        old = whole.experiences[part.parent]
        places = {row: place for place, row in enumerate(old.train.indices.tolist())}
        positions = torch.tensor([places[row] for row in part.train.indices.tolist()])
        assert torch.equal(part.train_x, old.train_x[positions])
        assert torch.equal(part.train_y, old.train_y[positions])
        assert torch.equal(part.train.true_y, old.train.true_y[positions])


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
def test_wrong_batch_sizes_are_refused(data, batch_size):
    with pytest.raises(ArgumentError, match="batch_size must be a whole number of at least 1"):
        online(split(data), batch_size)
