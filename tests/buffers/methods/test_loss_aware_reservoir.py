"""Loss-aware reservoirs: the door, the odds of going, and where losses come from."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from torch import nn
from torch.utils.data import TensorDataset

from buffers import LossAwareReservoirBuffer
from buffers.loss_aware_reservoir import _Scores
from clcore import Probe
from clcore.errors import ArgumentError, SignalError
from strategies.continual import Replay


def odds(losses, labels=None):
    """The chance of each to go, as the module says; float64."""
    losses = np.asarray(losses, dtype=float)
    scores = -losses
    if labels is not None:
        members = np.array([list(labels).count(label) for label in labels], dtype=float)
        scores = members - members.mean() / np.abs(losses).mean() * losses
    scores = scores - scores.min()
    return scores / scores.sum() if scores.sum() else np.full(len(scores), 1 / len(scores))


def slow(losses, labels, size, balanced, seed):
    """Row numbers in memory, row by row, with the same random numbers."""
    n = len(losses)
    draws = torch.rand(
        (n - size, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    ).tolist()
    memory = list(range(size))
    for row, (door, which) in zip(range(size, n), draws, strict=True):
        if int(door * (row + 1)) >= size:
            continue
        held = [labels[i] for i in memory] if balanced else None
        chances = odds([losses[i] for i in memory], held)
        # The draw counts from the other end.
        slot = int(np.searchsorted(np.cumsum(chances), 1 - which))
        memory[slot] = row
    return memory


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("batch", [1, 10, 400])
def test_same_as_the_slow_reading(balanced, batch):
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(400, dtype=torch.float64, generator=generator)
    y = torch.randint(3, (400,), generator=generator)
    buffer = LossAwareReservoirBuffer(25, balanced=balanced, seed=6)
    for rows in torch.arange(400).split(batch):
        buffer.add(rows[:, None].float(), y[rows], losses=losses[rows])
    expected = slow(losses.tolist(), y.tolist(), 25, balanced, 6)
    assert buffer.store.born.tolist() == expected
    assert torch.equal(buffer.store.extra["losses"], losses[expected])
    assert torch.equal(buffer.store.y, y[expected])


@pytest.mark.parametrize("labels", [None, [0, 0, 0, 1, 2]])
def test_the_odds(labels):
    losses = torch.tensor([0.1, 2.0, 0.5, 0.3, 1.0], dtype=torch.float64)
    held = torch.zeros(5, dtype=torch.int64) if labels is None else torch.tensor(labels)
    scores = _Scores(losses, held, labels is not None)
    draws = (torch.arange(20_000) + 0.5) / 20_000
    counts = np.bincount([scores.victim(float(draw)) for draw in draws], minlength=5)
    np.testing.assert_allclose(counts / 20_000, odds(losses, labels), atol=1e-3)
    worst = int(np.argmin(odds(losses, labels)))
    assert counts[worst] == 0
    assert all(scores.victim(edge) != worst for edge in (0.0, 1 - 2**-53))


def test_equal_scores_go_with_equal_chances():
    for balanced in (False, True):
        for loss in (0.0, 0.7):
            scores = _Scores(torch.full((4,), loss), torch.arange(4), balanced)
            assert [scores.victim(draw) for draw in (0.1, 0.3, 0.6, 0.9)] == [0, 1, 2, 3]


def test_large_losses_stay_and_classes_even_out():
    losses = torch.rand(3000, generator=torch.Generator().manual_seed(0))
    y = (torch.arange(3000) % 10 == 0).long()
    x = torch.arange(3000)[:, None].float()
    plain, even = (LossAwareReservoirBuffer(100, balanced=b) for b in (False, True))
    for buffer in (plain, even):
        for rows in torch.arange(3000).split(10):
            buffer.add(x[rows], y[rows], losses=losses[rows])
        assert float(buffer.store.extra["losses"].mean()) > 0.55
    assert even.class_counts()[1] > 1.5 * plain.class_counts()[1]


def test_the_door_is_a_reservoirs():
    zero, one = torch.zeros(1).long(), torch.ones(1)
    entered = torch.zeros(150)
    for seed in range(60):
        buffer = LossAwareReservoirBuffer(20, seed=seed)
        for row in range(150):
            entered[row] += int(buffer.add(one[None], zero, losses=one)[0]) >= 0
    assert bool((entered[:20] == 60).all())
    # Row n enters with probability 20 / (n + 1).
    expected = 60 * 20 / torch.arange(21, 151)
    assert abs(float(entered[20:].sum() / expected.sum()) - 1) < 0.05


# -- where losses come from --------------------------------------------------------------------


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def rows(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, generator=generator), torch.randint(3, (n,), generator=generator)


def test_only_admitted_rows_pass_the_model():
    x, y = rows(500)
    probe = Probe(network())
    buffer = LossAwareReservoirBuffer(30, probe=probe)
    admitted = 0
    for part in torch.arange(500).split(10):
        admitted += int((buffer.add(x[part], y[part]) >= 0).sum())
    stored = buffer.store
    torch.testing.assert_close(
        stored.extra["losses"], probe.losses(x[stored.born], stored.y), atol=1e-6, rtol=1e-5
    )
    assert admitted <= buffer.cost.forward_passes < admitted + 10


def changed(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)


@pytest.mark.parametrize("refresh", ["drawn", "all", None])
def test_losses_are_computed_anew(refresh):
    x, y = rows(500)
    model = network()
    agent = SimpleNamespace(model=model)
    buffer = LossAwareReservoirBuffer(30, refresh=refresh, seed=1)
    buffer.add(x[:30], y[:30], learner=agent)
    old = buffer.store.extra["losses"].clone()
    drawn = buffer.sample(8).index
    changed(model)
    slots = buffer.add(x[30:60], y[30:60], learner=agent)
    assert (slots >= 0).any()
    new, now = buffer.store.extra["losses"], Probe(model).losses(buffer.all().x, buffer.store.y)
    fresh = torch.zeros(30, dtype=torch.bool)
    fresh[slots[slots >= 0]] = True
    fresh[drawn if refresh == "drawn" else []] = True
    fresh |= refresh == "all"
    torch.testing.assert_close(new[fresh], now[fresh], atol=1e-6, rtol=1e-5)
    assert torch.equal(new[~fresh], old[~fresh])
    before = buffer.cost.forward_passes  # what was refreshed is not again until drawn again
    entered = buffer.add(x[60:61], y[60:61], learner=agent)
    extra = 30 if refresh == "all" else 0
    assert buffer.cost.forward_passes - before == (1 + extra) * int(entered[0] >= 0)


def test_drawn_rows_survive_saving_and_shrinking(tmp_path):
    x, y = rows(200)
    model = network()
    agent = SimpleNamespace(model=model)
    buffer = LossAwareReservoirBuffer(40, seed=1)
    buffer.add(x[:100], y[:100], learner=agent)
    buffer.sample(10)
    buffer.resize(None, 20)
    buffer.save(tmp_path / "memory.safetensors")
    other = LossAwareReservoirBuffer(20).load(tmp_path / "memory.safetensors")
    changed(model)
    for one in (buffer, other):
        one.add(x[100:], y[100:], learner=agent)
    assert torch.equal(buffer.store.born, other.store.born)
    assert torch.equal(buffer.store.extra["losses"], other.store.extra["losses"])
    assert len(buffer) == 20


def test_shrinking_keeps_the_large_losses():
    losses = torch.arange(100.0)
    buffer = LossAwareReservoirBuffer(100)
    buffer.add(torch.zeros(100, 1), torch.zeros(100).long(), losses=losses)
    buffer.resize(None, 30)
    assert float(buffer.store.extra["losses"].mean()) > 60
    assert float(buffer.store.extra["losses"].max()) == 99


def test_losses_of_the_training_step_can_be_stored():
    buffer = LossAwareReservoirBuffer(10)
    buffer.add(torch.zeros(10, 1), torch.zeros(10).long(), losses=torch.ones(10))
    buffer.update_losses(torch.tensor([3, 7]), torch.tensor([5.0, 6.0]))
    assert buffer.all().columns["losses"][[3, 7, 1]].tolist() == [5.0, 6.0, 1.0]
    buffer.update_losses(torch.empty(0, dtype=torch.int64), torch.empty(0))
    with pytest.raises(ArgumentError, match="rows: from 3 to 10, but 10 are held"):
        buffer.update_losses(torch.tensor([3, 10]), torch.ones(2))
    with pytest.raises(ArgumentError, match="rows, losses: got"):
        buffer.update_losses(torch.tensor([3]), torch.ones(2))
    with pytest.raises(SignalError, match="losses"):
        buffer.update_losses(torch.tensor([3]), torch.tensor([torch.nan]))


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({}, ArgumentError, "losses: LossAwareReservoirBuffer chooses by this signal"),
        ({"losses": torch.ones(5, 2)}, ArgumentError, "losses: rows are torch.float32 .2,"),
        ({"losses": torch.ones(5).long()}, ArgumentError, "losses: rows are torch.int64"),
        ({"losses": torch.tensor([0, 1, torch.nan, 2, 3])}, SignalError, "first in row 2"),
    ],
)
def test_wrong_losses_change_nothing(columns, error, message):
    buffer = LossAwareReservoirBuffer(10)
    buffer.add(torch.zeros(20, 1), torch.zeros(20).long(), losses=torch.ones(20))
    before = buffer.state_dict()["tensors"]
    with pytest.raises(error, match=message):
        buffer.add(torch.zeros(5, 1), torch.zeros(5).long(), **columns)
    for name, tensor in before.items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name]), name


@pytest.mark.parametrize("losses", [torch.ones(5, 2), torch.ones(5).long()])
def test_wrong_losses_in_the_first_batch(losses):
    with pytest.raises(ArgumentError, match="losses: got torch"):
        LossAwareReservoirBuffer(10).add(torch.zeros(5, 1), torch.zeros(5).long(), losses=losses)


def test_a_budget_in_bytes_counts_one_float():
    x, y = rows(200)
    buffer = LossAwareReservoirBuffer(max_bytes=56 * 20, probe=Probe(network()))
    buffer.add(x, y)
    assert buffer.capacity == 20
    assert buffer.nbytes == 56 * 20  # six floats, three integers, weight, loss


@pytest.mark.parametrize("options", [{"balanced": 1}, {"refresh": "sometimes"}, {"probe": 3}])
def test_wrong_options(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        LossAwareReservoirBuffer(10, **options)


# -- in Avalanche ------------------------------------------------------------------------------


def stream():
    x, y = rows(300)
    parts = []
    for label in range(3):
        data = TensorDataset(x[y == label], y[y == label])
        data.targets = y[y == label].tolist()
        parts.append(as_classification_dataset(data))
    return benchmark_from_datasets(train=parts, test=parts)


@pytest.mark.filterwarnings("ignore:No loggers specified")
@pytest.mark.parametrize("kind", ["replay", "avalanche"])
@pytest.mark.parametrize("refresh", ["drawn", "all"])
def test_in_a_strategy(kind, refresh):
    buffer = LossAwareReservoirBuffer(40, balanced=True, refresh=refresh)
    plugin = (
        Replay(buffer, update="iteration", fast=True)
        if kind == "replay"
        else ReplayPlugin(mem_size=40, storage_policy=buffer)
    )
    model = network()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        plugins=[plugin],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    for experience in stream().train_stream:
        strategy.train(experience)
    assert len(buffer) == 40
    assert set(buffer.class_counts()) == {0, 1, 2}
    assert buffer.cost.forward_passes >= 40
