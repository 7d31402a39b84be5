import logging

import pytest
import torch
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.benchmarks.utils.data_loader import TaskBalancedDataLoader
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.storage_policy import ReservoirSamplingBuffer
from torchvision import transforms

from clcore.errors import ArgumentError
from strategies import FastStream
from strategies.continual.table import TableLoader


class Recorder(SupervisedPlugin):
    """Remembers every mini-batch, of training and of evaluation."""

    def __init__(self):
        super().__init__()
        self.train, self.eval, self.loaders = [], [], []

    def before_training_epoch(self, strategy, **kwargs):
        self.loaders.append(strategy.dataloader)

    def before_training_iteration(self, strategy, **kwargs):
        self.train.append([part.clone() for part in strategy.mbatch])

    def before_eval_iteration(self, strategy, **kwargs):
        self.eval.append([part.clone() for part in strategy.mbatch])


def run(kit, stream, fast, *, epochs=2, size=8, evaluate=True, seed=3, model=None, **kwargs):
    recorder = Recorder()
    plugins = [FastStream(evaluate=evaluate)] if fast else []
    strategy = kit.naive(model, [*plugins, recorder], epochs=epochs, size=size)
    torch.manual_seed(seed)
    for experience in stream.train_stream:
        strategy.train(experience, eval_streams=[], **kwargs)
    strategy.eval(stream.test_stream)
    return recorder, strategy


def assert_same_batches(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) == len(b)
        for part, other in zip(a, b, strict=True):
            assert part.dtype == other.dtype
            torch.testing.assert_close(part, other)


@pytest.mark.parametrize("kwargs", [{}, {"shuffle": False}, {"drop_last": True}])
def test_the_batches_are_those_of_the_stock_loader(kit, kwargs):
    ours, fast = run(kit, kit.new_stream(n=30), True, **kwargs)
    theirs, stock = run(kit, kit.new_stream(n=30), False, **kwargs)
    assert all(isinstance(loader, TableLoader) for loader in ours.loaders)
    assert_same_batches(ours.train, theirs.train)
    assert_same_batches(ours.eval, theirs.eval)
    torch.testing.assert_close(kit.weights_of(fast.model), kit.weights_of(stock.model))


def test_with_dropout_the_random_numbers_after_are_the_same_too(kit):
    _, fast = run(kit, kit.new_stream(), True, model=kit.mlp(dropout=0.5))
    after = torch.rand(1)
    _, stock = run(kit, kit.new_stream(), False, model=kit.mlp(dropout=0.5))
    assert after == torch.rand(1)
    torch.testing.assert_close(kit.weights_of(fast.model), kit.weights_of(stock.model))


def test_task_labels_come_last(kit):
    ours, _ = run(kit, kit.classic_stream(), True)
    theirs, _ = run(kit, kit.classic_stream(), False)
    assert len(ours.train[0]) == 3
    assert_same_batches(ours.train, theirs.train)
    assert_same_batches(ours.eval, theirs.eval)


def test_tasks_stay_balanced_where_avalanche_balances_them(kit):
    stream = kit.two_task_experience()
    ours, _ = run(kit, stream, True)
    assert isinstance(ours.loaders[0], TableLoader)
    theirs, _ = run(kit, kit.two_task_experience(), False)
    assert isinstance(theirs.loaders[0], TaskBalancedDataLoader)
    assert_same_batches(ours.train, theirs.train)
    counts = torch.bincount(ours.train[0][2])
    assert counts.tolist() == [4, 4]


def test_random_transforms_draw_for_each_row_and_epoch(kit):
    flip = kit.pipeline(transforms.RandomHorizontalFlip())
    stream = kit.new_stream(n=20, experiences=1, train=flip)
    ours, _ = run(kit, stream, True, epochs=20, size=20)
    plain, _ = run(kit, kit.new_stream(n=20, experiences=1), True, epochs=1, size=20)
    rows, labels = plain.train[0]
    flipped, total = 0, 0
    for x, y in ours.train:
        assert y.sort().values.equal(labels.sort().values)
        for row in x:
            straight = (rows - row).flatten(1).abs().amax(1).min() < 1e-6
            mirrored = (rows - row.flip(-1)).flatten(1).abs().amax(1).min() < 1e-6
            assert straight or mirrored
            flipped += bool(mirrored and not straight)
            total += 1
    assert 0.4 < flipped / total < 0.6


def test_each_epoch_covers_the_experience_once(kit):
    ours, _ = run(kit, kit.new_stream(n=30, experiences=1), True, epochs=3, size=8)
    whole = torch.cat([batch[0] for batch in ours.train]).view(3, 30, -1)
    first = whole[0].sum(1).sort().values
    for epoch in whole[1:]:
        assert epoch.sum(1).sort().values.equal(first)
    assert not whole[0].equal(whole[1])  # another order


def test_looking_at_random_pipelines_draws_nothing(kit):
    flip = kit.pipeline(transforms.RandomHorizontalFlip())
    ours, _ = run(kit, kit.new_stream(n=20, experiences=1, train=flip), True, epochs=1)
    plain, _ = run(kit, kit.new_stream(n=20, experiences=1), True, epochs=1)
    assert ours.train[0][1].equal(plain.train[0][1])  # the same permutation


class OwnLoader(SupervisedPlugin):
    def before_training_exp(self, strategy, **kwargs):
        x, y = strategy.experience.dataset[0]
        strategy.dataloader = [[torch.stack([x, x]), torch.tensor([y, y])]]


@pytest.mark.parametrize("first", [True, False])
def test_another_plugins_loader_stays(kit, first, caplog):
    fast, recorder = FastStream(), Recorder()
    plugins = [OwnLoader(), fast] if first else [fast, OwnLoader()]
    strategy = kit.naive(None, [*plugins, recorder])
    with caplog.at_level(logging.WARNING, "strategies"):
        strategy.train(kit.new_stream().train_stream[:2])
    assert [len(batch[1]) for batch in recorder.train] == [2, 2]
    assert len(caplog.records) == (1 if first else 0)


def test_avalanches_replay_keeps_working_beside_it(kit):
    replay = ReplayPlugin(20, storage_policy=ReservoirSamplingBuffer(20))
    recorder = Recorder()
    strategy = kit.naive(None, [FastStream(), replay, recorder], size=10)
    for experience in kit.new_stream(n=30).train_stream:
        strategy.train(experience)
    assert isinstance(recorder.loaders[0], TableLoader)
    assert not isinstance(recorder.loaders[1], TableLoader)
    assert len(recorder.train[-1][1]) == 20


class OwnData(SupervisedPlugin):
    def after_train_dataset_adaptation(self, strategy, **kwargs):
        strategy.adapted_dataset = strategy.adapted_dataset.subset([0, 1, 2])


def test_another_plugins_data_set_is_what_is_read(kit):
    recorder = Recorder()
    strategy = kit.naive(None, [OwnData(), FastStream(), recorder])
    strategy.train(kit.new_stream().train_stream[0])
    assert isinstance(recorder.loaders[0], TableLoader)
    assert [len(batch[1]) for batch in recorder.train] == [3]


def test_what_does_not_fit_stays_with_avalanche_and_is_said_once(kit, caplog):
    recorder = Recorder()
    strategy = kit.naive(None, [FastStream(max_bytes=100, evaluate=False), recorder])
    with caplog.at_level(logging.WARNING, "strategies"):
        for experience in kit.new_stream().train_stream:
            strategy.train(experience)
    assert len(recorder.train) == 18
    assert [record.message for record in caplog.records] == [
        "Avalanche's own loader stays for training: the experience takes 960 bytes, max_bytes is "
        "100."
    ]


def test_online_streams(kit):
    recorder = Recorder()
    strategy = kit.naive(None, [FastStream(), recorder])
    stream = kit.new_stream(n=20)
    online = split_online_stream(stream.train_stream, experience_size=5, seed=0)
    for experience in online:
        strategy.train(experience)
    assert [len(batch[1]) for batch in recorder.train] == [5] * 12


def test_an_idle_evaluator_is_set_aside_and_comes_back(kit):
    seen = []

    class Look(SupervisedPlugin):
        def before_training_iteration(self, strategy, **kwargs):
            seen.append(strategy.evaluator in strategy.plugins)

    strategy = kit.naive(None, [FastStream(), Look()])
    before = list(strategy.plugins)
    strategy.train(kit.new_stream().train_stream[0])
    assert not any(seen)
    assert strategy.plugins == before
    assert strategy.clock.train_iterations == len(seen)


def test_an_evaluator_with_a_logger_stays(kit):
    class Logger:
        count = 0

        def log_metrics(self, values):
            pass

        def after_training_iteration(self, strategy, values):
            self.count += 1

    logger = Logger()
    strategy = kit.naive(None, [FastStream()])
    evaluator = EvaluationPlugin(loggers=[logger])
    strategy.plugins = [p if p is not strategy.evaluator else evaluator for p in strategy.plugins]
    strategy.evaluator = evaluator
    strategy.train(kit.new_stream().train_stream[0])
    assert logger.count == 6


def test_an_interrupted_training_leaves_nothing_out(kit):
    class Stop(SupervisedPlugin):
        armed = True

        def after_training_iteration(self, strategy, **kwargs):
            if self.armed:
                raise KeyboardInterrupt

    stop = Stop()
    strategy = kit.naive(None, [FastStream(), stop])
    before = list(strategy.plugins)
    with pytest.raises(KeyboardInterrupt):
        strategy.train(kit.new_stream().train_stream[0])
    stop.armed = False
    strategy.train(kit.new_stream().train_stream[0])
    assert strategy.plugins == before


@pytest.mark.parametrize("max_bytes", [0, -1, 1.5, True])
def test_bad_max_bytes(max_bytes):
    with pytest.raises(ArgumentError, match="max_bytes"):
        FastStream(max_bytes=max_bytes)
