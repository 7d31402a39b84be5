"""The greedy coreset memory: task by task, and by merge-reduce over the chunks of a stream."""

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from buffers.greedy_coreset import GreedyCoresetBuffer
from clcore import Pool
from clcore.errors import ArgumentError, FormatError
from clcore.selectors.greedy_coreset import GreedyCoreset


def chunk(start, n, classes=3):
    """Rows that carry their number in the stream."""
    number = torch.arange(start, start + n)
    y = (number * 7919 + number // 3) % classes
    x = torch.stack((number.float(), (number * 1.7).sin() + y, (number * 0.3).cos() - y), 1)
    return x, y


def stream(buffer, sizes):
    start = 0
    for size in sizes:
        buffer.add(*chunk(start, size))
        start += size
    return buffer


# -- tasks ---------------------------------------------------------------------------------------


def test_a_task_is_the_choice_of_the_selector():
    buffer = GreedyCoresetBuffer(12, seed=4)
    x, y = chunk(0, 90)
    buffer.add(x, y, 0)
    generator = torch.Generator().manual_seed(4)
    coreset = GreedyCoreset().select(Pool(features=x, labels=y), 12, generator=generator)
    order = buffer.store.extra["rank"].argsort()
    assert torch.equal(buffer.store.x[order], x[coreset.indices])
    assert torch.allclose(buffer.store.weight[order], coreset.weights.float())


def test_old_tasks_keep_their_prefix_and_weights_sum_to_the_rows_seen():
    buffer = GreedyCoresetBuffer(24)
    buffer.add(*chunk(0, 90), 0)
    ranked = buffer.store.born[buffer.store.extra["rank"].argsort()].tolist()
    for task in (1, 2):
        before = buffer.cost.distance_evaluations
        buffer.add(*chunk(90 * task, 90), task)
        # Only the new task chooses.
        assert buffer.cost.distance_evaluations - before <= 90 * 90
    assert buffer.task_counts() == {0: 8, 1: 8, 2: 8}
    old = buffer.store.task == 0
    assert set(buffer.store.born[old].tolist()) == set(ranked[:8])
    for task in range(3):
        weight = buffer.store.weight[buffer.store.task == task]
        assert float(weight.sum()) == pytest.approx(90, rel=1e-5)


def test_the_reference_preset_throws_weights_away():
    buffer = GreedyCoresetBuffer(12, preset="reference")
    buffer.add(*chunk(0, 90), 0)
    buffer.add(*chunk(90, 90), 1)
    assert not buffer.weighted
    assert bool((buffer.store.weight[: len(buffer)] == 1).all())


def test_what_stays_whole_keeps_its_weight():
    buffer = GreedyCoresetBuffer(40)
    buffer.add(*chunk(0, 30), 0)
    assert bool((buffer.store.weight[:30] == 1).all())
    assert len(buffer) == 30


def test_the_selector_can_be_replaced():
    method = GreedyCoreset(kernel="rbf", regularisation=1e-4, candidates=None)
    buffer = GreedyCoresetBuffer(9, selector=method, quota="class")
    buffer.add(*chunk(0, 60))
    assert buffer.selector is method
    assert buffer.class_counts() == {0: 3, 1: 3, 2: 3}


def test_experiences_are_the_tasks_of_a_stream_without_task_labels():
    parts = []
    for number in range(3):
        x, y = chunk(50 * number, 40)
        data = TensorDataset(x, y)
        data.targets = y
        parts.append(as_classification_dataset(data))
    buffer = GreedyCoresetBuffer(12)
    for experience in benchmark_from_datasets(train=parts, test=parts).train_stream:
        buffer.post_adapt(None, experience)
    assert torch.bincount(buffer.store.x[:, 0].long() // 50).tolist() == [4, 4, 4]
    assert torch.bincount(buffer.stored_tasks()).tolist() == [4, 4, 4]


# -- streaming -----------------------------------------------------------------------------------


def reference_slots(sizes, most):
    """The slots after each chunk: [rows, chunks] of each, by the rule of the paper's code."""
    slots = []
    for size in sizes:
        slots.append([size, 1])
        if len(slots) > most:
            place = len(slots) - 2
            if most > 1 and not slots[-2][1] < slots[-3][1]:
                lowest = -1
                for i in range(1, len(slots)):
                    if slots[i - 1][1] == slots[i][1] and (lowest == -1 or slots[i][1] < lowest):
                        place, lowest = i - 1, slots[i][1]
            rows, chunks = slots.pop(place + 1)
            slots[place] = [slots[place][0] + rows, slots[place][1] + chunks]
        yield [list(slot) for slot in slots]


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=14),
    most=st.integers(1, 5),
    capacity=st.integers(5, 24),
)
def test_slots_are_merged_as_in_the_paper_and_stand_for_what_they_saw(sizes, most, capacity):
    buffer = GreedyCoresetBuffer(capacity, streaming=True, slots=most)
    start = 0
    for size, expected in zip(sizes, reference_slots(sizes, most), strict=True):
        buffer.add(*chunk(start, size))
        start += size
        assert len(buffer) == min(capacity, start)
        numbers = buffer.slot_numbers()
        assert sorted(set(numbers.tolist())) == list(range(len(expected)))
        first = 0
        for number, (rows, _) in enumerate(expected):
            mine = numbers == number
            assert float(buffer.store.weight[: len(buffer)][mine].sum()) == pytest.approx(
                rows, rel=1e-4
            )
            born = buffer.store.born[mine]
            assert first <= int(born.min()) <= int(born.max()) < first + rows
            first += rows


def test_with_one_slot_it_is_a_coreset_of_memory_and_chunk():
    buffer = stream(GreedyCoresetBuffer(10, streaming=True, slots=1, seed=2), [40])
    held, weight = buffer.store.born.clone(), buffer.store.weight.clone()
    order = buffer.store.extra["rank"].argsort()
    x, y = chunk(0, 70)
    rows = torch.cat((held[order], torch.arange(40, 70)))
    weights = torch.cat((weight[order], torch.ones(30)))
    pool = Pool(features=x[rows], labels=y[rows], weights=weights)
    generator = torch.Generator()
    generator.set_state(buffer.generator.get_state())
    expected = buffer.selector.select(pool, 10, generator=generator)
    buffer.add(*chunk(40, 30))
    assert set(buffer.store.born.tolist()) == set(rows[expected.indices].tolist())
    by_row = dict(zip(buffer.store.born.tolist(), buffer.store.weight.tolist(), strict=True))
    for row, value in zip(rows[expected.indices].tolist(), expected.weights.tolist(), strict=True):
        assert by_row[row] == pytest.approx(value, rel=1e-5)


def test_the_reference_preset_shares_a_slot_out_evenly():
    buffer = stream(GreedyCoresetBuffer(12, streaming=True, slots=3, preset="reference"), [20] * 6)
    numbers = buffer.slot_numbers()
    for number in range(3):
        weight = buffer.store.weight[numbers == number]
        assert float(weight.max() - weight.min()) < 1e-5
    assert float(buffer.store.weight.sum()) == pytest.approx(120)


def test_a_smaller_budget_keeps_the_first_of_each_slot():
    buffer = stream(GreedyCoresetBuffer(30, streaming=True, slots=5), [25] * 7)
    rank = dict(zip(buffer.store.born.tolist(), buffer.store.extra["rank"].tolist(), strict=True))
    totals = torch.bincount(buffer.slot_numbers(), weights=buffer.store.weight)
    buffer.resize(None, 10)
    assert torch.bincount(buffer.slot_numbers()).tolist() == [2] * 5
    assert all(rank[row] < 2 for row in buffer.store.born.tolist())
    after = torch.bincount(buffer.slot_numbers(), weights=buffer.store.weight[:10])
    assert torch.allclose(after, totals, rtol=1e-4)
    buffer.resize(None, 3)
    start = 175
    for _ in range(4):
        buffer.add(*chunk(start, 25))
        start += 25
        assert len(buffer) == 3
        assert int(buffer.slot_numbers().max()) <= 2
    buffer.resize(None, 50)
    buffer.add(*chunk(start, 100))
    assert len(buffer) == 50


def test_streaming_goes_on_where_it_was(tmp_path):
    buffer = stream(GreedyCoresetBuffer(20, streaming=True, slots=4), [15] * 7)
    buffer.save(tmp_path / "memory.safetensors")
    other = GreedyCoresetBuffer(5, streaming=True, slots=4).load(tmp_path / "memory.safetensors")
    assert torch.equal(other.slot_numbers(), buffer.slot_numbers())
    for one in (buffer, other):
        for start in (105, 120, 135):
            one.add(*chunk(start, 15))
    assert torch.equal(other.store.x, buffer.store.x)
    assert torch.equal(other.store.weight, buffer.store.weight)
    assert torch.equal(other.slot_numbers(), buffer.slot_numbers())
    with pytest.raises(FormatError, match="streaming=True, this one streaming=False"):
        GreedyCoresetBuffer(20).load(tmp_path / "memory.safetensors")


def test_a_refused_chunk_changes_nothing():
    buffer = stream(GreedyCoresetBuffer(12, streaming=True, slots=2, features=None), [])
    x, y = chunk(0, 20)
    buffer.add(x, y, features=x)
    before, slots = buffer.state_dict(), buffer.slot_numbers()
    with pytest.raises(ArgumentError, match="features"):
        buffer.add(x, y)
    bad = x.clone()
    bad[3, 0] = torch.nan
    with pytest.raises(ValueError, match="features"):
        buffer.add(x, y, features=bad)
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name])
    assert before["rule"] == buffer.state_dict()["rule"]
    assert torch.equal(slots, buffer.slot_numbers())


@pytest.mark.parametrize(
    "options",
    [
        {"quota": "row"},
        {"reselect": "some"},
        {"streaming": 1},
        {"slots": 0},
        {"preset": "mine"},
        {"selector": "greedy-coreset"},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        GreedyCoresetBuffer(10, **options)


def test_without_streaming_there_are_no_slots():
    with pytest.raises(ArgumentError, match="streaming=True has slots"):
        GreedyCoresetBuffer(10).slot_numbers()
