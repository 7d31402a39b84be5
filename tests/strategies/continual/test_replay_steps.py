"""Several steps on each mini-batch, and steps of their own on the exemplars."""

import pytest
import torch
from torch import nn

from buffers import ReservoirBuffer
from clcore.errors import ArgumentError
from strategies import FastStream, Replay


def normal(x):
    return (x.float() / 255 - 0.5) / 0.5


def gss_loop(model, parts, memory, *, batch, size, passes):
    """Aljundi et al. 2019: `passes` times a step on the batch and one on exemplars; then update."""
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    model.train()
    for x, y in parts:
        torch.empty((), dtype=torch.int64).random_()
        seed = int(torch.empty((), dtype=torch.int64).random_())
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
        for rows in order.split(batch):
            for _ in range(passes):
                optimizer.zero_grad()
                loss(model(normal(x[rows])), y[rows]).backward()
                optimizer.step()
                if len(memory):
                    drawn = memory.sample(size)
                    optimizer.zero_grad()
                    loss(model(normal(drawn.x)), drawn.y).backward()
                    optimizer.step()
            memory.add(x[rows], y[rows])


@pytest.mark.parametrize("passes", [1, 3])
def test_separate_steps_and_passes_are_the_loop_written_out(kit, passes):
    x, y = kit.images(120, 4)
    parts = [(x[torch.isin(y, torch.tensor(c))], y[torch.isin(y, torch.tensor(c))])
             for c in ([0, 1], [2, 3])]  # fmt: skip
    model, memory = kit.mlp(), ReservoirBuffer(15, seed=4)
    torch.manual_seed(3)
    gss_loop(model, parts, memory, batch=10, size=7, passes=passes)

    ours, buffer = kit.mlp(), ReservoirBuffer(15, seed=4)
    replay = Replay(buffer, 7, update="iteration", separate=True, fast=FastStream(passes=passes))
    strategy = kit.naive(ours, [replay], optimizer=kit.sgd(ours))
    torch.manual_seed(3)
    for experience in kit.new_stream(60, 2).train_stream:
        strategy.train(experience, eval_streams=[])
    torch.testing.assert_close(kit.weights_of(ours), kit.weights_of(model))
    assert torch.equal(buffer.store.y, memory.store.y)
    assert buffer.seen == memory.seen == 120
    # All but the first batch's first steps had exemplars to draw.
    assert replay.rows_beside == 7 * passes * (12 - 1)


def test_exemplar_weights_reach_the_separate_step(kit):
    x, y = kit.images(20, 4)
    buffer = ReservoirBuffer(20, transform=normal)
    buffer.add(x, y, weight=torch.arange(1.0, 21.0))
    model = kit.mlp()
    before = kit.mlp()
    drawn = ReservoirBuffer(20, transform=normal)
    drawn.add(x, y, weight=torch.arange(1.0, 21.0))
    held = drawn.sample(10)

    optimizer = kit.sgd(before)
    losses = nn.functional.cross_entropy(before(held.x), held.y, reduction="none")
    ((losses * held.weight).sum() / held.weight.sum()).backward()
    optimizer.step()

    class NoStream(nn.CrossEntropyLoss):
        """The stream's own step changes nothing, so that only the exemplars' shows."""

    replay = Replay(buffer, 10, separate=True)
    strategy = kit.naive(model, [replay], optimizer=kit.sgd(model), criterion=NoStream())
    strategy.mbatch, strategy.replayed = [normal(x[:2]), y[:2]], None
    replay.before_training_iteration(strategy)
    replay.after_training_iteration(strategy)
    torch.testing.assert_close(kit.weights_of(model), kit.weights_of(before))


def test_passes_need_tables(kit):
    class Odd(FastStream):
        def __init__(self):
            super().__init__(passes=2, max_bytes=1)

    strategy = kit.naive(plugins=[Replay(ReservoirBuffer(5), fast=Odd())])
    with pytest.raises(ArgumentError, match="passes: 2 steps on each mini-batch need the stream"):
        strategy.train(kit.new_stream().train_stream[0], eval_streams=[])


@pytest.mark.parametrize("passes", [0, True, 1.5])
def test_wrong_passes(passes):
    with pytest.raises(ArgumentError, match="passes: got"):
        FastStream(passes=passes)


def test_evaluation_sees_each_batch_once(kit):
    stream = kit.new_stream()
    strategy = kit.naive(plugins=[FastStream(passes=3)])
    strategy.train(stream.train_stream[0], eval_streams=[])
    seen = []
    forward = strategy.forward
    strategy.forward = lambda: seen.append(len(strategy.mb_y)) or forward()
    strategy.eval(stream.test_stream[0])
    assert sum(seen) == 10
