import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, tensors_benchmark
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.core import SupervisedPlugin
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training.plugins import EWCPlugin, LwFPlugin
from avalanche.training.supervised import MER
from torch import nn

from buffers import ReservoirBuffer
from clcore.errors import ArgumentError
from strategies import FastStream, Replay


class Look(SupervisedPlugin):
    """Remembers what the iterations were made of."""

    def __init__(self):
        super().__init__()
        self.batches, self.masks, self.replayed, self.losses = [], [], [], []

    def before_training_iteration(self, strategy, **kwargs):
        self.batches.append([part.clone() for part in strategy.mbatch])
        self.masks.append(strategy.is_replay)
        self.replayed.append(strategy.replayed)

    def after_backward(self, strategy, **kwargs):
        self.losses.append(strategy.loss.detach().clone())


def train(kit, stream, replay, *, plugins=(), **kwargs):
    look = Look()
    strategy = kit.naive(plugins=[replay, *plugins, look], **kwargs)
    for experience in stream:
        strategy.train(experience, eval_streams=[])
    return strategy, look


def reference(model, optimizer, parts, memory, batch, size, update):
    """Naive with replay, written out; draws the random numbers that a stock loader draws."""
    loss = nn.CrossEntropyLoss()
    model.train()
    for x, y in parts:
        torch.empty((), dtype=torch.int64).random_()
        seed = int(torch.empty((), dtype=torch.int64).random_())
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
        for rows in order.split(batch):
            xs, ys = normal(x[rows]), y[rows]
            if len(memory):
                drawn = memory.sample(size)
                xs, ys = torch.cat([xs, normal(drawn.x)]), torch.cat([ys, drawn.y])
            optimizer.zero_grad()
            loss(model(xs), ys).backward()
            optimizer.step()
            if update == "iteration":
                memory.add(x[rows], y[rows])
        if update == "experience":
            memory.add(x, y)


def normal(x):
    return (x.float() / 255 - 0.5) / 0.5


@pytest.mark.parametrize("update", ["experience", "iteration"])
@pytest.mark.parametrize("fast", [True, False])
def test_the_weights_are_those_of_a_written_out_loop(kit, update, fast):
    stream = kit.new_stream(n=40)
    replay = Replay(ReservoirBuffer(25, seed=1), 7, update=update, fast=fast)
    strategy, _ = train(kit, stream.train_stream, replay, model=kit.mlp(seed=2))  # seeds torch too
    model = kit.mlp(seed=2)
    memory = ReservoirBuffer(25, seed=1)
    x, y = kit.images(120, 6)
    parts = [(x[y // 2 == e], y[y // 2 == e]) for e in range(3)]
    reference(model, kit.sgd(model), parts, memory, 10, 7, update)
    torch.testing.assert_close(kit.weights_of(strategy.model), kit.weights_of(model))
    assert replay.buffer.store.y.equal(memory.store.y)
    if fast or update == "experience":
        assert replay.buffer.store.x.dtype == torch.uint8
        assert replay.buffer.store.x.equal(memory.store.x)
    else:
        torch.testing.assert_close(replay.buffer.store.x, normal(memory.store.x))


@pytest.mark.parametrize("fast", [True, False])
def test_fast_and_slow_train_alike(kit, fast):
    replay = Replay(ReservoirBuffer(20), 8, fast=fast)
    strategy, _ = train(kit, kit.new_stream().train_stream, replay, epochs=2)
    other, _ = train(
        kit, kit.new_stream().train_stream, Replay(ReservoirBuffer(20), 8, fast=not fast), epochs=2
    )
    torch.testing.assert_close(kit.weights_of(strategy.model), kit.weights_of(other.model))


def test_rows_are_marked(kit):
    _, look = train(kit, kit.new_stream(n=20).train_stream, Replay(ReservoirBuffer(30), 6))
    for batch, mask, drawn in zip(look.batches, look.masks, look.replayed, strict=True):
        assert mask.dtype == torch.bool
        assert len(mask) == len(batch[1])
        if drawn is None:
            assert not mask.any()
        else:
            assert mask.sum() == len(drawn) == 6
            assert batch[1][mask].equal(drawn.y)
            assert batch[0][mask].equal(drawn.x)
    assert [drawn is None for drawn in look.replayed] == [True] * 2 + [False] * 4


def test_nothing_stays_on_the_strategy(kit):
    strategy, _ = train(kit, kit.new_stream().train_stream, Replay(ReservoirBuffer(30)))
    assert strategy.is_replay is None
    assert strategy.replayed is None
    assert "criterion" not in vars(strategy)


def test_batch_size_is_the_streams_by_default(kit):
    _, look = train(kit, kit.new_stream(n=20).train_stream, Replay(ReservoirBuffer(30)), size=5)
    assert [len(batch[1]) for batch in look.batches] == [5] * 4 + [10] * 8


@pytest.mark.parametrize("fast", [True, False])
def test_task_labels_come_last_and_multi_head_models_work(kit, fast):
    torch.manual_seed(0)
    model = MTSimpleMLP(input_size=16, hidden_size=8)
    replay = Replay(ReservoirBuffer(30), 6, fast=fast)
    strategy, look = train(kit, kit.classic_stream().train_stream, replay, model=model)
    task = look.batches[-1][2]
    assert task[: -len(look.replayed[-1])].unique().tolist() == [2]
    assert set(task[look.masks[-1]].tolist()) <= {0, 1}
    assert task[look.masks[-1]].equal(look.replayed[-1].task)
    assert sorted(replay.buffer.task_counts()) == [0, 1, 2]
    strategy.eval(kit.classic_stream().test_stream)


def test_growing_classifiers_work(kit):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), IncrementalClassifier(8))
    replay = Replay(ReservoirBuffer(30), 6, fast=True)
    strategy, _ = train(kit, kit.incremental_stream().train_stream, replay, model=model)
    assert strategy.model[3].classifier.out_features == 6


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("plugin", [lambda: LwFPlugin(0.5), lambda: EWCPlugin(0.5)])
def test_composes_with_plugins_that_add_to_the_loss(kit, plugin, fast):
    stream = kit.classic_stream()
    for order in (0, 1):
        look = Look()
        both = [Replay(ReservoirBuffer(30), 6, fast=fast), plugin()]
        strategy = kit.naive(kit.mlp(2), [*(both if order else both[::-1]), look])
        for experience in stream.train_stream:
            strategy.train(experience, eval_streams=[])
        assert len(look.losses) == 9
        assert torch.stack(look.losses).isfinite().all()


def test_works_in_meta_learning_templates(kit):
    model = kit.mlp(2)
    replay, look = Replay(ReservoirBuffer(20), 3), Look()
    strategy = MER(
        model=model,
        optimizer=kit.sgd(model),
        mem_size=10,
        batch_size_mem=2,
        n_inner_steps=1,
        train_mb_size=5,
        plugins=[replay, look],
        evaluator=kit.naive().evaluator,
    )
    for experience in kit.classic_stream(n=10, experiences=2).train_stream:
        strategy.train(experience, eval_streams=[])
    assert [len(batch[1]) for batch in look.batches] == [5, 5, 8, 8]


@pytest.mark.parametrize("fast", [True, False])
def test_online_streams(kit, fast):
    stream = kit.new_stream(n=20)
    online = split_online_stream(stream.train_stream, experience_size=5, seed=0)
    replay = Replay(ReservoirBuffer(200), 4, fast=fast)
    _, look = train(kit, online, replay)
    assert replay.buffer.seen == len(replay.buffer) == 60
    assert [len(batch[1]) for batch in look.batches] == [5] + [9] * 11


# -- updates at each iteration -------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("epochs", [1, 3])
def test_each_row_of_the_stream_is_offered_once_and_replayed_rows_never(kit, fast, epochs):
    x = torch.arange(60).view(60, 1, 1, 1).to(torch.uint8)  # every row can be told
    y = torch.arange(60) % 2
    parts = [kit.dataset(x[:30], y[:30]), kit.dataset(x[30:], y[30:])]
    stream = benchmark_from_datasets(train=parts)
    replay = Replay(ReservoirBuffer(100), 9, update="iteration", fast=fast)
    train(kit, stream.train_stream, replay, model=kit.mlp(2, 1), epochs=epochs)
    assert replay.buffer.seen == 60
    held = replay.buffer.store.x[:60].flatten()
    assert len(held.unique()) == len(replay.buffer) == 60
    if fast:
        assert held.sort().values.tolist() == list(range(60))


def test_rows_left_out_of_the_first_epoch_are_offered_in_a_later_one(kit):
    replay = Replay(ReservoirBuffer(100), update="iteration", fast=True)
    look = Look()
    strategy = kit.naive(plugins=[replay, look], epochs=6, size=8)
    strategy.train(kit.new_stream(n=20).train_stream[0], eval_streams=[], drop_last=True)
    assert replay.buffer.seen == 20


def test_oversampled_tasks_are_offered_once(kit):
    replay = Replay(ReservoirBuffer(100), update="iteration", fast=True)
    train(kit, kit.two_task_experience().train_stream, replay, model=kit.mlp(2), size=8)
    assert replay.buffer.seen == len(replay.buffer) == 28
    assert replay.buffer.task_counts() == {0: 20, 1: 8}


def test_replay_starts_with_the_second_iteration(kit):
    replay = Replay(ReservoirBuffer(100), 5, update="iteration", fast=True)
    _, look = train(kit, kit.new_stream(n=20).train_stream, replay)
    assert [drawn is None for drawn in look.replayed] == [True] + [False] * 5


def test_rows_of_the_present_experience_can_be_kept_from_replay(kit):
    replay = Replay(ReservoirBuffer(100), 5, update="iteration", fast=True, replay_current=False)
    _, look = train(kit, kit.new_stream(n=20).train_stream, replay)
    assert [drawn is None for drawn in look.replayed] == [True] * 2 + [False] * 4
    assert set(torch.cat([d.y for d in look.replayed[2:4]]).tolist()) <= {0, 1}
    assert set(torch.cat([d.y for d in look.replayed[4:]]).tolist()) <= {0, 1, 2, 3}


def test_transformed_rows_are_not_transformed_again(kit):
    replay = Replay(ReservoirBuffer(100), 5, update="iteration")
    _, look = train(kit, kit.new_stream(n=20).train_stream, replay)
    stored = replay.buffer.store.x[: len(replay.buffer)]
    for drawn in look.replayed[1:]:
        assert all((stored == row).flatten(1).all(1).any() for row in drawn.x)


# -- weights -------------------------------------------------------------------------------------


def weighted_buffer(kit, weights):
    x, y = kit.images(len(weights), 2)
    buffer = ReservoirBuffer(len(weights))
    buffer.add(x, y, weight=torch.tensor(weights))
    return buffer


def test_weights_reach_the_loss(kit):
    buffer = weighted_buffer(kit, [1.0, 2.0, 3.0, 10.0])
    seen = []

    class Check(SupervisedPlugin):
        def before_backward(self, strategy, **kwargs):
            losses = nn.functional.cross_entropy(
                strategy.mb_output, strategy.mb_y, reduction="none"
            )
            weights = torch.ones(len(losses))
            weights[strategy.is_replay] = strategy.replayed.weight / 4.0  # their mean
            seen.append((strategy.loss.detach(), (weights * losses).sum() / weights.sum()))

    train(kit, kit.new_stream(n=20).train_stream[:1], Replay(buffer, 3), plugins=[Check()])
    assert len(seen) == 2
    for loss, expected in seen:
        torch.testing.assert_close(loss, expected.detach().view(1))


def test_weights_leave_what_other_plugins_add(kit):
    def losses(extra):
        class Add(SupervisedPlugin):
            def before_backward(self, strategy, **kwargs):
                strategy.loss += extra

        look = Look()
        replay = Replay(weighted_buffer(kit, [1.0, 2.0, 3.0, 10.0]), 3)
        torch.manual_seed(0)
        strategy = kit.naive(plugins=[Add(), replay, look])
        strategy.train(kit.new_stream(n=20).train_stream[0], eval_streams=[])
        return torch.cat(look.losses)

    torch.testing.assert_close(losses(5.0), losses(0.0) + 5)


def test_equal_weights_are_exactly_the_plain_loss(kit):
    stream = kit.new_stream(n=20).train_stream[:1]
    a, _ = train(kit, stream, Replay(weighted_buffer(kit, [3.0] * 4), 3), model=kit.mlp(seed=1))
    b, _ = train(kit, stream, Replay(weighted_buffer(kit, [1.0] * 4), 3), model=kit.mlp(seed=1))
    assert kit.weights_of(a.model).equal(kit.weights_of(b.model))


def test_weights_can_be_left_out(kit):
    stream = kit.new_stream(n=20).train_stream[:1]
    replay = Replay(weighted_buffer(kit, [1.0, 9.0, 2.0, 4.0]), 3, weighted=False)
    a, _ = train(kit, stream, replay, model=kit.mlp(seed=1))
    b, _ = train(kit, stream, Replay(weighted_buffer(kit, [1.0] * 4), 3), model=kit.mlp(seed=1))
    assert kit.weights_of(a.model).equal(kit.weights_of(b.model))


def test_a_criterion_without_losses_of_samples_is_refused_only_if_weights_matter(kit):
    def criterion(output, y):
        return nn.functional.cross_entropy(output, y)

    stream = kit.new_stream(n=20).train_stream[:1]
    train(kit, stream, Replay(weighted_buffer(kit, [1.0] * 4), 3), criterion=criterion)
    with pytest.raises(ArgumentError, match="criterion gives no loss for each sample"):
        train(kit, stream, Replay(weighted_buffer(kit, [1.0, 2.0]), 2), criterion=criterion)


def test_a_template_that_weights_cannot_reach_is_refused(kit):
    model = kit.mlp(2)
    strategy = MER(
        model=model,
        optimizer=kit.sgd(model),
        n_inner_steps=1,
        train_mb_size=5,
        plugins=[Replay(weighted_buffer(kit, [1.0, 2.0]), 2)],
        evaluator=kit.naive().evaluator,
    )
    x, y = kit.images(10, 2)
    benchmark = tensors_benchmark([(x, y)], [(x, y)], task_labels=[0])
    strategy.model.register_forward_pre_hook(lambda module, inputs: (inputs[0].float(),))
    with pytest.raises(ArgumentError, match="MER doesn't take its loss"):
        strategy.train(benchmark.train_stream[0], eval_streams=[])


# -- a buffer from elsewhere ---------------------------------------------------------------------


def test_a_buffer_loaded_from_a_file_learns_how_the_stream_is_transformed(kit, tmp_path):
    first = Replay(ReservoirBuffer(30), 6)
    train(kit, kit.new_stream(n=20).train_stream[:1], first)
    first.buffer.save(tmp_path / "memory.safetensors")
    replay = Replay(ReservoirBuffer(30).load(tmp_path / "memory.safetensors"), 6)
    _, look = train(kit, kit.new_stream(n=20).train_stream[1:2], replay)
    replayed = look.replayed[0].x
    torch.testing.assert_close(replayed, normal(replay.buffer.store.x[look.replayed[0].index]))


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"buffer": [1, 2]}, "buffer: got a list"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"batch_size": True}, "batch_size: got True"),
        ({"update": "epoch"}, "update: got 'epoch'"),
        ({"retrieval": "unifrm"}, "did you mean uniform"),
        ({"retrieval": 3}, "retrieval: got 3"),
        ({"replay_current": False, "retrieval": "balanced"}, "replay_current"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Replay(**{"buffer": ReservoirBuffer(10), **arguments})


def test_exemplars_of_another_shape_are_refused(kit):
    buffer = ReservoirBuffer(10, transform=lambda x: x.flatten(1))
    with pytest.raises(ArgumentError, match=r"shape \(16,\)"):
        train(kit, kit.new_stream().train_stream, Replay(buffer, 3))


def test_exemplars_of_another_kind_are_refused(kit):
    buffer = ReservoirBuffer(10, transform=lambda x: x)
    with pytest.raises(ArgumentError, match=r"exemplars come as torch.uint8"):
        train(kit, kit.new_stream().train_stream, Replay(buffer, 3))


def test_options_of_the_fast_path_can_be_given():
    stream = FastStream(max_bytes=10)
    assert Replay(ReservoirBuffer(10), fast=stream).fast is stream


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("update", ["experience", "iteration"])
def test_a_stream_whose_transforms_change_replays_what_each_sample_looked_like(kit, fast, update):
    x, y = kit.images(20, 2)
    steps = [lambda rows: rows.float() / 255, lambda rows: rows.float() / -255]
    parts = [kit.dataset(x, y, step, step) for step in steps]
    stream = benchmark_from_datasets(train=[*parts, kit.dataset(x, y, steps[0], steps[0])])
    replay = Replay(ReservoirBuffer(100), 30, update=update, fast=fast)
    _, look = train(kit, stream.train_stream, replay, model=kit.mlp(2))
    assert {bool((row > 0).any()) for row in look.replayed[-1].x} == {True, False}
    sums = replay.buffer.read(torch.arange(20, 40)).x.sum((1, 2, 3))
    assert (sums < 0).all()
    assert (replay.buffer.read(torch.arange(20)).x.sum((1, 2, 3)) > 0).all()
    assert len(replay.buffer) == 60
