import copy

import pytest
import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.core import SupervisedPlugin
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training.plugins import EWCPlugin
from sklearn.datasets import load_digits
from torch import nn

from buffers import OCSBuffer, ReservoirBuffer
from clcore import Probe
from clcore.errors import ArgumentError
from strategies import OCS


class Look(SupervisedPlugin):
    """Remembers what the iterations were made of."""

    def __init__(self):
        super().__init__()
        self.batches, self.replayed = [], []

    def before_training_iteration(self, strategy, **kwargs):
        self.batches.append([part.clone() for part in strategy.mbatch])
        self.replayed.append(strategy.replayed)
        assert not strategy.is_replay.any()
        assert len(strategy.is_replay) == len(strategy.mbatch[1])


def train(kit, stream, plugin, *, plugins=(), **kwargs):
    look = Look()
    strategy = kit.naive(plugins=[plugin, *plugins, look], **{"size": 20, **kwargs})
    for experience in stream:
        strategy.train(experience, eval_streams=[])
    return strategy, look


def normal(x):
    return (x.float() / 255 - 0.5) / 0.5


def cosine(one, other):
    return nn.functional.cosine_similarity(one, other, dim=-1)


def gradients(model, x, y):
    slow = copy.deepcopy(model).double().eval()
    parts = []
    for row in range(len(y)):
        loss = nn.functional.cross_entropy(slow(x[row : row + 1].double()), y[row : row + 1])
        given = torch.autograd.grad(loss, list(slow.parameters()))
        parts.append(torch.cat([part.flatten() for part in given]))
    return torch.stack(parts)


def written_out(kit, plugin_seed, parts, *, picks, tau, weight, capacity):
    """OCS as a plain loop with a memory as a list, one row (score, x, y, task) each."""
    model = kit.mlp(seed=2, dropout=0.3)
    optimizer = kit.sgd(model)
    draws = torch.Generator().manual_seed(plugin_seed)
    slots = []  # in the order of the store, so that the same draws mean the same exemplars
    model.train()
    for task, (x, y) in enumerate(parts):
        torch.empty((), dtype=torch.int64).random_()
        seed = int(torch.empty((), dtype=torch.int64).random_())
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
        for rows in order.split(20):
            xs, ys = normal(x[rows]), y[rows]
            past = [slot for slot in slots if slot[3] < task]
            own = gradients(model, xs, ys)
            among = cosine(own[:, None], own[None])
            score = cosine(own, own.mean(0)) - (among.sum(1) - 1) / (len(own) - 1)
            if past:
                chosen = torch.randperm(len(past), generator=draws)[:10].tolist()
                c_x = torch.stack([past[i][1] for i in chosen])
                c_y = torch.stack([past[i][2] for i in chosen])
                score = score + tau * cosine(own, gradients(model, c_x, c_y).mean(0))
            pick = score.argsort(descending=True)[:picks]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(xs[pick]), ys[pick])
            if past:
                loss = loss + weight * nn.functional.cross_entropy(model(c_x), c_y)
            loss.backward()
            optimizer.step()
            new = [(float(score[i]), xs[i], ys[i], task) for i in pick]
            slots = admitted(slots, new, capacity)
    return model, slots


def admitted(slots, new, capacity):
    everything = slots + new
    keep = set()
    tasks = sorted({slot[3] for slot in everything})
    queues = {
        task: sorted(
            (i for i, slot in enumerate(everything) if slot[3] == task),
            key=lambda i: -everything[i][0],
        )
        for task in tasks
    }
    while len(keep) < min(capacity, len(everything)):
        for task in tasks:
            if queues[task] and len(keep) < capacity:
                keep.add(queues[task].pop(0))
    entering = [slot for i, slot in enumerate(new, len(slots)) if i in keep]
    answer = [slot if i in keep else entering.pop(0) for i, slot in enumerate(slots)]
    return answer + entering


@pytest.mark.parametrize("fast", [True, False])
def test_the_weights_are_those_of_a_written_out_loop(kit, fast):
    buffer = OCSBuffer(25, picks=4, class_balanced=False, tau=5.0, seed=1)
    plugin = OCS(buffer, weight=0.7, fast=fast)
    model = kit.mlp(seed=2, dropout=0.3)  # seeds torch too
    strategy, look = train(kit, kit.new_stream(n=80).train_stream, plugin, model=model)
    x, y = kit.images(240, 6)
    parts = [(x[y // 2 == e], y[y // 2 == e]) for e in range(3)]
    wanted, slots = written_out(kit, 1, parts, picks=4, tau=5.0, weight=0.7, capacity=25)
    torch.testing.assert_close(kit.weights_of(strategy.model), kit.weights_of(wanted))
    held = buffer.all(transform=buffer.eval_transform)
    torch.testing.assert_close(held.x, torch.stack([slot[1] for slot in slots]))
    assert held.y.tolist() == [int(slot[2]) for slot in slots]
    score = torch.tensor([slot[0] for slot in slots], dtype=torch.float64)
    torch.testing.assert_close(held.columns["score"], score, rtol=1e-4, atol=1e-4)
    assert buffer.store.x.dtype == (torch.uint8 if fast else torch.float32)
    assert all(len(batch[1]) == 4 for batch in look.batches)
    assert plugin.rows_beside == 8 * 10


@pytest.mark.parametrize("fast", [True, False])
def test_only_picked_rows_are_offered_with_their_scores_and_scored_once(kit, fast, monkeypatch):
    buffer, calls = OCSBuffer(500, picks=4), []
    score = OCSBuffer.scores
    monkeypatch.setattr(
        OCSBuffer, "scores", lambda *given: calls.append(score(*given)) or calls[-1]
    )
    _, look = train(kit, kit.new_stream(n=60).train_stream, OCS(buffer, fast=fast))
    assert len(calls) == len(look.batches) == 9
    assert buffer.seen == len(buffer) == 36
    picked = torch.cat([batch[0] for batch in look.batches])
    assert torch.equal(buffer.all(transform=buffer.eval_transform).x, picked)
    assert torch.equal(
        buffer.store.extra["score"][:36],
        torch.cat([scores.sort(descending=True).values[:4] for scores in calls]),
    )
    assert buffer.store.extra["candidate"][:36].all()


@pytest.mark.parametrize("tasks", [None, [0, 0, 0]])
@pytest.mark.parametrize("affinity", ["batch", "memory"])
def test_only_past_tasks_are_replayed_whatever_the_labels(kit, tasks, affinity):
    buffer = OCSBuffer(30, picks=5, affinity=affinity)
    _, look = train(kit, kit.classic_stream(n=100, tasks=tasks).train_stream, OCS(buffer))
    assert [drawn is None for drawn in look.replayed] == [True] * 5 + [False] * 10
    assert (buffer.store.born // 25).bincount().tolist() == [10, 10, 10]
    if tasks is None:
        assert set(look.replayed[7].task.tolist()) == {0}
        assert set(torch.cat([drawn.task for drawn in look.replayed[10:]]).tolist()) == {0, 1}
        assert buffer.task_counts() == {0: 10, 1: 10, 2: 10}


def test_a_step_leaves_no_other_trace(kit):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 6))
    buffer = OCSBuffer(30, picks=5, seed=4)
    strategy = kit.naive(model, size=20)
    strategy.experience = None
    plugin = OCS(buffer)
    x, y = torch.rand(20, 1, 4, 4), torch.arange(20) % 6
    strategy.mbatch = [x, y]
    model.train()
    model[1].weight.grad = torch.ones(8, 16)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    plugin.before_training_iteration(strategy)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(model[1].weight.grad, torch.ones(8, 16))
    assert model[3].weight.grad is None
    assert len(strategy.mbatch[1]) == 5
    assert len(buffer) == 0


@pytest.mark.parametrize("fast", [True, False])
def test_several_epochs_offer_each_row_once(kit, fast):
    buffer = OCSBuffer(500, picks=4)
    _, look = train(kit, kit.new_stream(n=60).train_stream, OCS(buffer, fast=fast), epochs=4)
    assert len(look.batches) == 36
    assert len(buffer) == buffer.seen
    assert len(buffer) > 36 if fast else len(buffer) == 36
    x = buffer.store.x[: len(buffer)]
    assert len(x.flatten(1).unique(dim=0)) == len(buffer)


def test_the_first_batches_of_each_experience_can_be_random(kit):
    buffer = OCSBuffer(500, picks=4)
    _, look = train(kit, kit.new_stream(n=60).train_stream, OCS(buffer, warmup_batches=2), epochs=2)
    candidate = buffer.store.extra["candidate"][:36].view(9, 4)
    assert candidate.tolist() == [[0] * 4, [0] * 4, [1] * 4] * 3
    assert all(len(batch[1]) == 4 for batch in look.batches)
    other = OCSBuffer(9, picks=4)  # too small for what was random
    train(kit, kit.new_stream(n=60).train_stream, OCS(other, warmup_batches=2))
    assert other.store.extra["candidate"][:9].all()
    assert OCS(OCSBuffer(9)).warmup_batches == 0
    assert OCS(OCSBuffer(9, preset="reference")).warmup_batches == 100


@pytest.mark.parametrize("size", [1, 3])
def test_small_batches_and_memories(kit, size):
    buffer = OCSBuffer(2, picks=3)  # fewer slots than classes, and in the end than tasks
    strategy, look = train(kit, kit.new_stream(n=12).train_stream, OCS(buffer), size=size)
    assert all(len(batch[1]) == size for batch in look.batches)
    assert len(buffer) == 2
    assert torch.isfinite(kit.weights_of(strategy.model)).all()


def test_budget_in_bytes(kit):
    buffer = OCSBuffer(max_bytes=1500, picks=4)
    train(kit, kit.new_stream(n=60).train_stream, OCS(buffer, fast=True))
    assert len(buffer) == buffer.capacity == 1500 // (16 + 24 + 4 + 16)


@pytest.mark.parametrize("fast", [True, False])
def test_multi_head_models_and_task_labels_work(kit, fast):
    torch.manual_seed(0)
    model = MTSimpleMLP(input_size=16, hidden_size=8)
    plugin = OCS(OCSBuffer(30, picks=5, signal="last_layer"), fast=fast)
    strategy, look = train(kit, kit.classic_stream(n=60).train_stream, plugin, model=model)
    assert look.batches[-1][2].tolist() == [2] * 5
    assert plugin.buffer.task_counts() == {0: 10, 1: 10, 2: 10}
    strategy.eval(kit.classic_stream().test_stream)


def test_multi_head_models_have_no_closed_form_for_the_whole_network(kit):
    torch.manual_seed(0)
    model = MTSimpleMLP(input_size=16, hidden_size=8)
    stream = kit.classic_stream(n=60).train_stream
    with pytest.raises(ArgumentError, match="Make the buffer with signal='last_layer'"):
        train(kit, stream, OCS(OCSBuffer(30, picks=5)), model=model)
    buffer = OCSBuffer(30, picks=5, probe=Probe(model, uncovered="per-sample"))
    train(kit, stream, OCS(buffer), model=model)
    assert len(buffer) == 30


def test_other_plugins_add_to_the_loss(kit):
    model, ewc = kit.mlp(2), EWCPlugin(0.1)
    train(kit, kit.classic_stream().train_stream, OCS(OCSBuffer(30)), model=model, plugins=[ewc])
    assert sorted(ewc.importances) == [0, 1, 2]


def test_growing_classifiers_work(kit):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), IncrementalClassifier(8))
    plugin = OCS(OCSBuffer(30, picks=5), fast=True)
    stream = kit.incremental_stream().train_stream
    strategy, _ = train(kit, stream, plugin, model=model)
    assert strategy.model[3].classifier.out_features == 6
    assert len(plugin.buffer) == 30


def test_the_buffers_probe_may_be_of_another_model(kit):
    other = kit.mlp(seed=9)
    buffer = OCSBuffer(30, picks=5, probe=Probe(other))
    train(kit, kit.new_stream().train_stream, OCS(buffer))
    assert len(buffer) == 30
    assert buffer.cost.backward_passes > 0


def test_resume_is_bit_for_bit(kit):
    stream = list(kit.new_stream().train_stream)
    model = kit.mlp(seed=3)
    plugin = OCS(OCSBuffer(20, picks=5), fast=True)
    strategy, _ = train(kit, stream[:2], plugin, model=model)
    other = OCS(OCSBuffer(1, picks=5), fast=True)
    other.load_state_dict(plugin.state_dict())
    again = kit.naive(copy.deepcopy(strategy.model), plugins=[other], size=20)
    strategy.optimizer.state.clear()
    for one in (strategy, again):
        torch.manual_seed(8)
        one.train(stream[2], eval_streams=[])
    assert torch.equal(kit.weights_of(strategy.model), kit.weights_of(again.model))
    assert torch.equal(plugin.buffer.store.meta, other.buffer.store.meta)


def digits(seed):
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(seed))
    x, y = torch.tensor(data.data).float()[order] / 16, torch.tensor(data.target)[order]
    parts = {"train": [], "test": []}
    for name, (xs, ys) in {"train": (x[:1300], y[:1300]), "test": (x[1300:], y[1300:])}.items():
        for classes in range(5):
            parts[name].append((xs[ys // 2 == classes], ys[ys // 2 == classes]))
    return tensors_benchmark(parts["train"], parts["test"], task_labels=[0] * 5), x[1300:], y[1300:]


@pytest.mark.parametrize(
    "options", [{}, {"class_balanced": True}, {"preset": "reference"}], ids=str
)
def test_digits_are_remembered_better_than_without(kit, options):
    stream, x, y = digits(0)

    def accuracy(plugins):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        strategy = kit.naive(model, plugins, optimizer=kit.sgd(model, 0.1, 0.8), size=50, epochs=4)
        for experience in stream.train_stream:
            strategy.train(experience, eval_streams=[])
        return float((model.eval()(x).argmax(dim=1) == y).float().mean())

    plugin = OCS(OCSBuffer(100, **options), warmup_batches=0, fast=True)
    assert accuracy([]) < 0.25
    assert accuracy([plugin]) > 0.45


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replay_batch_size": 0}, "replay_batch_size"),
        ({"weight": -1}, "weight: got -1"),
        ({"weight": float("inf")}, "weight: got inf"),
        ({"warmup_batches": -1}, "warmup_batches"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        OCS(OCSBuffer(5), **options)


def test_another_buffer_is_refused():
    with pytest.raises(ArgumentError, match="buffer: got a ReservoirBuffer; an OCSBuffer"):
        OCS(ReservoirBuffer(5))
