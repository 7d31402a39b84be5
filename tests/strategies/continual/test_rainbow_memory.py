import pytest
import torch
from torch import nn

from buffers import ReservoirBuffer
from clcore.errors import ArgumentError
from strategies import RainbowMemory
from strategies.continual.rainbow_memory import warm_restarts


def test_the_schedule_is_torch_s():
    """0.1, 1, and from the third epoch on the scheduler's own steps, as in the authors' loop."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, T_0=1, T_mult=2, eta_min=0.02
    )
    expected = [0.2, 2.0]
    for _ in range(10):
        optimizer.step()
        scheduler.step()
        expected.append(optimizer.param_groups[0]["lr"])
    assert [2 * factor for factor in warm_restarts(12)] == pytest.approx(expected)
    assert warm_restarts(1) == [0.1]
    assert warm_restarts(0) == []


def test_the_memory_is_trained_on_after_each_experience(kit):
    buffer = ReservoirBuffer(13)
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(round(self.param_groups[0]["lr"], 6))
            return super().step(closure)

    model = kit.mlp()
    plugin = RainbowMemory(buffer, 5, memory_epochs=2, memory_batch_size=4, fast=True)
    strategy = kit.naive(model, [plugin], optimizer=Watched(model.parameters(), lr=1.0))
    stream = kit.new_stream().train_stream
    strategy.train(stream[0], eval_streams=[])
    assert rates == [0.1] * 6 + [0.1] * 4 + [1.0] * 4
    assert plugin.rows_beside == 2 * 13
    assert strategy.optimizer.param_groups[0]["lr"] == 1.0


def test_a_row_left_over_is_no_batch_of_its_own_for_batch_norm(kit):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 6))
    plugin = RainbowMemory(ReservoirBuffer(13), 5, memory_epochs=2, memory_batch_size=4, fast=True)
    strategy = kit.naive(model, [plugin])
    strategy.train(kit.new_stream().train_stream[0], eval_streams=[])
    assert plugin.rows_beside == 2 * 13


def test_head_and_optimiser_begin_anew(kit):
    model = kit.mlp()
    optimizer = kit.sgd(model, momentum=0.9)
    plugin = RainbowMemory(ReservoirBuffer(10), 5, memory_epochs=0)
    strategy = kit.naive(model, [plugin], optimizer=optimizer)
    stream = kit.new_stream().train_stream
    head = model[-1].weight.detach().clone()
    plugin_before = plugin.before_training_exp
    seen = []

    def watch(strategy, **kwargs):
        plugin_before(strategy, **kwargs)
        seen.append((model[-1].weight.detach().clone(), len(optimizer.state)))

    plugin.before_training_exp = watch
    strategy.train(stream[0], eval_streams=[])
    trained = model[-1].weight.detach().clone()
    strategy.train(stream[1], eval_streams=[])
    assert torch.equal(seen[0][0], head)  # not at the first
    assert not torch.equal(seen[1][0], trained)
    assert seen[1][1] == 0


def test_bad_input(kit):
    buffer = ReservoirBuffer(5)
    with pytest.raises(ArgumentError, match="memory_rates: got 1 factors for 3"):
        RainbowMemory(buffer, memory_epochs=3, memory_rates=[1.0])
    with pytest.raises(ArgumentError, match="stream_rate: got 0"):
        RainbowMemory(buffer, stream_rate=0)
    with pytest.raises(ArgumentError, match="memory_epochs"):
        RainbowMemory(buffer, memory_epochs=-1)
    model = nn.Sequential(nn.Conv2d(1, 6, 4), nn.Flatten())
    strategy = kit.naive(model, [RainbowMemory(buffer)])
    stream = kit.new_stream().train_stream
    strategy.train(stream[0], eval_streams=[])
    with pytest.raises(ArgumentError, match="reset_head: Sequential has no Linear layer"):
        strategy.train(stream[1], eval_streams=[])
