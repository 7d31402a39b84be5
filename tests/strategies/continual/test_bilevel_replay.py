import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from buffers import GreedyCoresetBuffer, ReservoirBuffer, SelectorBuffer
from clcore.errors import ArgumentError
from strategies import BilevelReplay
from strategies.continual.bilevel_replay import sum_of_means


def test_one_step_is_the_formula(kit):
    x, y = kit.images(40, 4)
    inputs = (x.float() / 255 - 0.5) / 0.5
    tasks = torch.tensor([0, 0, 1, 1, 1])
    buffer = ReservoirBuffer(5, transform=kit.pipeline())
    weight = torch.tensor([1.0, 3.0, 2.0, 2.0, 1.0])
    buffer.add(x[:5], y[:5], tasks, weight=weight)
    ours, theirs = kit.mlp(), kit.mlp()
    optimizer = kit.sgd(theirs)
    loss = nn.functional.cross_entropy(theirs(inputs[10:20]), y[10:20])
    held = nn.functional.cross_entropy(theirs(inputs[:5]), y[:5], reduction="none")
    for task in (0, 1):
        w = weight[tasks == task]
        loss = loss + 0.7 * (w * held[tasks == task]).sum() / w.sum()
    loss.backward()
    optimizer.step()

    plugin = BilevelReplay(buffer, beta=0.7)
    strategy = kit.naive(ours, [plugin], optimizer=kit.sgd(ours), size=10)
    one = kit.dataset(x[10:20], y[10:20])
    from avalanche.benchmarks import benchmark_from_datasets

    strategy.train(benchmark_from_datasets(train=[one]).train_stream[0], eval_streams=[])
    torch.testing.assert_close(kit.weights_of(ours), kit.weights_of(theirs))
    assert plugin.rows_beside == 5


def test_experiences_are_the_tasks_of_a_stream_without_labels(kit):
    buffer = SelectorBuffer("random", 12, quota="task")
    strategy = kit.naive(plugins=[BilevelReplay(buffer, beta=1.0, fast=True)])
    for experience in kit.new_stream().train_stream:
        strategy.train(experience, eval_streams=[])
    assert buffer.stored_tasks().bincount().tolist() == [4, 4, 4]
    assert buffer.task_counts() == {0: 12}


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.data())
def test_sum_of_means(data):
    size = data.draw(st.integers(1, 8))
    groups = data.draw(st.lists(st.integers(3, 5), min_size=size, max_size=size))
    weights = data.draw(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=size, max_size=size))
    losses = torch.arange(1.0, size + 1)
    expected = 0.0
    for group in set(groups):
        rows = [i for i in range(size) if groups[i] == group]
        total = sum(weights[i] for i in rows)
        expected += sum(weights[i] * float(losses[i]) for i in rows) / total if total else 0.0
    ours = sum_of_means(losses, torch.tensor(weights), torch.tensor(groups))
    assert float(ours) == pytest.approx(expected)


@pytest.mark.parametrize("groups", ["memory", "slot"])
@pytest.mark.parametrize("slots", [None, 1, 2])
def test_the_means_of_a_stream_in_chunks(kit, groups, slots):
    """A reservoir is one mean; a slot's mean counts as often as it stands for chunks."""
    x, y = kit.images(60, 4)
    if slots is None:
        buffer = ReservoirBuffer(8, transform=kit.pipeline())
    else:
        buffer = GreedyCoresetBuffer(8, streaming=True, slots=slots, transform=kit.pipeline())
    for start in range(0, 30, 10):  # in two slots: chunks 0 and 1 together, then chunk 2
        buffer.add(x[start : start + 10], y[start : start + 10], start // 10)
    drawn = buffer.all()
    ours, theirs = kit.mlp(), kit.mlp()
    optimizer = kit.sgd(theirs)
    loss = nn.functional.cross_entropy(theirs((x[40:50].float() / 255 - 0.5) / 0.5), y[40:50])
    held = nn.functional.cross_entropy(theirs(drawn.x), drawn.y, reduction="none")
    apart = groups == "slot" and slots is not None
    numbers = buffer.slot_numbers() if apart else torch.zeros(8, dtype=torch.int64)
    chunks = {None: [1], 1: [3], 2: [2, 1]}[slots if apart else None]
    assert int(numbers.max()) == len(chunks) - 1
    for number, count in enumerate(chunks):
        w = drawn.weight[numbers == number]
        loss = loss + 0.3 * count * (w * held[numbers == number]).sum() / w.sum()
    loss.backward()
    optimizer.step()

    plugin = BilevelReplay(buffer, beta=0.3, groups=groups)
    strategy = kit.naive(ours, [plugin], optimizer=kit.sgd(ours), size=10)
    from avalanche.benchmarks import benchmark_from_datasets

    one = kit.dataset(x[40:50], y[40:50])
    strategy.train(benchmark_from_datasets(train=[one]).train_stream[0], eval_streams=[])
    torch.testing.assert_close(kit.weights_of(ours), kit.weights_of(theirs))


def test_a_coreset_of_tasks_has_no_slots(kit):
    buffer = GreedyCoresetBuffer(8, transform=kit.pipeline())
    x, y = kit.images(20, 4)
    buffer.add(x, y)
    with pytest.raises(ArgumentError, match="slot_chunks: a buffer with streaming=True has slots"):
        buffer.slot_chunks()
    numbers, factors = BilevelReplay(buffer, groups="slot")._grouping()
    assert (numbers.tolist(), factors) == ([0] * 8, None)


def test_unknown_groups():
    with pytest.raises(ArgumentError, match="groups: got 'class'; it is one of task, memory, slot"):
        BilevelReplay(ReservoirBuffer(5), groups="class")


@pytest.mark.parametrize("beta", [-1, True, "much", float("nan"), float("inf")])
def test_wrong_beta(beta):
    with pytest.raises(ArgumentError, match="beta: got"):
        BilevelReplay(ReservoirBuffer(5), beta=beta)


def test_a_criterion_without_single_losses_is_refused(kit):
    buffer = ReservoirBuffer(5)

    def criterion(output, y):
        return nn.functional.cross_entropy(output, y)

    strategy = kit.naive(plugins=[BilevelReplay(buffer)], criterion=criterion)
    stream = kit.new_stream().train_stream
    strategy.train(stream[0], eval_streams=[])
    with pytest.raises(ArgumentError, match="gives no loss for each sample"):
        strategy.train(stream[1], eval_streams=[])
