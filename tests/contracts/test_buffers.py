"""What every buffer holds, whatever its admission rule. New buffers are picked up by themselves."""

import pytest
import torch
from buffer_cases import CASES, KINDS, feed, make, numbers, rows, shown

from clcore.errors import ArgumentError


@pytest.fixture(params=CASES, ids=shown)
def case(request):
    return request.param


def fills(case):
    """Whether the options let the memory be filled by any stream that is long enough."""
    options = case[1]
    return options.get("lend", True) and "total_classes" not in options


def balances(case):
    """Whether every class is sure of a share."""
    rule = {"class": "class", **case[1]}
    draws = ("ReservoirBuffer", "BalancedReservoirBuffer")  # a rare class may not be drawn
    # or not be worth a slot
    values = ("ASERBuffer", "GSSBuffer", "LossAwareReservoirBuffer", "OCSBuffer")
    return case[0] not in draws + values and rule.get("quota", "class") == "class" == rule.get(
        "groups", "class"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_kept_whole_once_and_without_a_hole(case, kind):
    buffer, admitted = make(case, 40), 0
    for start in range(0, 400, 50):
        x, y, task, columns = rows(kind, start, 50, case)
        admitted += int((buffer.add(x, y, task, **columns) >= 0).sum())
    held = buffer.all()
    kept = numbers(held.x)
    assert len(set(kept)) == len(kept) == len(buffer) <= 40
    _, y, task, _ = rows(kind, 0, 400, case)
    assert torch.equal(held.y, y[kept])
    assert torch.equal(held.task, task[kept])
    assert buffer.store.born.tolist() == kept
    assert held.x.dtype == rows(kind, 0, 1, case)[0].dtype
    assert buffer.seen == 400
    if "recent" in case[1]:  # some rows enter later than they are added
        assert buffer.replaced >= admitted - len(buffer)
    else:
        assert buffer.replaced == admitted - len(buffer)
    if fills(case):
        assert len(buffer) == 40


def test_add_says_where_each_row_went(case):
    buffer = make(case, 30)
    for start in range(0, 200, 25):
        x, y, task, columns = rows("vectors", start, 25, case)
        slots = buffer.add(x, y, task, **columns)
        assert slots.shape == (25,)
        assert slots.dtype == torch.int64
        taken = slots[slots >= 0]
        assert len(taken.unique()) == len(taken)
        assert torch.equal(buffer.store.x[taken], x[slots >= 0])
        for name, column in columns.items():
            assert torch.equal(buffer.store.extra[name][taken], column[slots >= 0])


def test_everything_is_kept_while_there_is_room(case):
    buffer = make(case, 64)
    x, y, task, columns = rows("vectors", 0, 5, case)
    assert (buffer.add(x, y, task, **columns) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_small_classes_leave_no_hole(case, kind):
    if not fills(case):
        return
    buffer = make(case, 50)
    x, _, _, columns = rows(kind, 0, 203, case)
    y = torch.zeros(203, dtype=torch.int64)
    y[[3, 90, 150]] = torch.tensor([1, 2, 2])
    buffer.add(x, y, y, **columns)
    assert len(buffer) == 50
    if balances(case):
        assert buffer.class_counts() == {0: 47, 1: 1, 2: 2}


def test_classes_one_after_the_other(case):
    buffer = make(case, 30)
    for label in range(5):
        x, _, _, columns = rows("vectors", 100 * label, 100, case)
        y = torch.full((100,), label)
        for part in torch.arange(100).split(10):
            buffer.add(x[part], y[part], 0, **{k: v[part] for k, v in columns.items()})
    counts = buffer.class_counts()
    assert sum(counts.values()) == len(buffer) <= 30
    if balances(case):
        assert set(counts) == set(range(5))


@pytest.mark.parametrize("kind", KINDS)
def test_budget_in_bytes(case, kind):
    buffer = make(case, max_bytes=6000)
    assert buffer.capacity is None
    assert buffer.nbytes == 0
    feed(buffer, kind, 0, 600, case)
    assert buffer.nbytes <= 6000
    assert buffer.nbytes + buffer.nbytes / buffer.capacity > 6000
    if fills(case):
        assert len(buffer) == buffer.capacity


def test_too_few_bytes(case):
    x, y, task, columns = rows("vectors", 0, 4, case)
    with pytest.raises(ArgumentError, match="max_bytes: got 8, but one exemplar takes"):
        make(case, max_bytes=8).add(x, y, task, **columns)


def test_resize(case):
    buffer = make(case, 40)
    feed(buffer, "vectors", 0, 300, case)
    before = numbers(buffer.all().x)
    buffer.resize(None, 12)
    after = numbers(buffer.all().x)
    assert set(after) <= set(before)
    assert len(after) == len(set(after)) == min(12, len(after))
    assert buffer.capacity == buffer.max_size == 12
    if fills(case):
        assert len(after) == 12
    feed(buffer, "vectors", 300, 60, case)
    assert len(buffer) <= 12
    buffer.resize(None, 50)
    assert len(buffer) <= 12
    feed(buffer, "vectors", 360, 300, case)
    kept = numbers(buffer.all().x)
    assert len(set(kept)) == len(kept) <= 50
    if fills(case):
        assert len(kept) == 50
    buffer.resize(None, 50)
    assert numbers(buffer.all().x) == kept


def test_resize_before_the_first_row(case):
    buffer = make(case, max_bytes=10_000)
    buffer.resize(None, 7)
    feed(buffer, "vectors", 0, 100, case)
    assert len(buffer) <= 7


@pytest.mark.parametrize("sizes", [(None, None), (3, 4), (0, None), (True, None), (2.5, None)])
def test_a_wrong_budget_is_refused(case, sizes):
    with pytest.raises(ArgumentError, match="max_size"):
        make(case, sizes[0], max_bytes=sizes[1])


def test_extra_columns_stay_with_their_rows(case):
    buffer = make(case, 20)
    for start in range(0, 100, 20):
        x, y, task, columns = rows("vectors", start, 20, case)
        buffer.add(x, y, task, logits=x[:, :1] * 2, **columns)
    drawn = buffer.sample(11)
    assert torch.equal(drawn.columns["logits"], drawn.x[:, :1] * 2)
    assert len(drawn) == 11 or len(buffer) < 11
