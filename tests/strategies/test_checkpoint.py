import logging
import os
import random

import numpy as np
import pytest
import torch
from avalanche.models import IncrementalClassifier, MTSimpleMLP, SimpleMLP
from avalanche.training.plugins import LRSchedulerPlugin, LwFPlugin, ReplayPlugin
from torch import nn

from buffers import ReservoirBuffer, RingBuffer
from clcore.errors import ArgumentError, FormatError
from strategies import FastStream, OnlineLearner, Replay, load_checkpoint, save_checkpoint


def optimizer_of(kind, model):
    if kind == "momentum":
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return torch.optim.Adam(model.parameters(), lr=0.01)


def growing(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.1), IncrementalClassifier(8)
    )


def multi_head(seed):
    torch.manual_seed(seed)
    return MTSimpleMLP(input_size=16, hidden_size=8)


STREAMS = {"plain": "new_stream", "growing": "incremental_stream", "multi-head": "classic_stream"}


def make(kit, setup, optimizer, seed, fast=True, update="iteration"):
    models = {"plain": lambda s: kit.mlp(seed=s, dropout=0.1), "growing": growing}
    model = {**models, "multi-head": multi_head}[setup](seed)
    replay = Replay(ReservoirBuffer(30, seed=seed), 6, fast=fast, update=update)
    strategy = kit.naive(model, [replay], optimizer_of(optimizer, model), epochs=2)
    return strategy, replay


def learn(strategy, experiences):
    for experience in experiences:
        strategy.train(experience, eval_streams=[])


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("setup", list(STREAMS))
@pytest.mark.parametrize(("fast", "update"), [(True, "iteration"), (False, "experience")])
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(
    kit, tmp_path, setup, optimizer, fast, update
):
    stream = getattr(kit, STREAMS[setup])()
    unbroken, replay = make(kit, setup, optimizer, 0, fast, update)
    learn(unbroken, stream.train_stream[:2])
    save_checkpoint(tmp_path / "two", unbroken, {"note": "after two", "curve": [0.5, (1, 2)]})
    learn(unbroken, stream.train_stream[2:])
    after = torch.rand(2), random.random(), np.random.rand()  # noqa: NPY002

    resumed, other = make(kit, setup, optimizer, 7, fast, update)
    extra = load_checkpoint(tmp_path / "two", resumed)
    assert extra == {"note": "after two", "curve": [0.5, (1, 2)]}
    fresh = getattr(kit, STREAMS[setup])()
    assert load_checkpoint(tmp_path / "two", resumed)  # loading again changes nothing
    learn(resumed, fresh.train_stream[2:])

    for (name, a), (_, b) in zip(
        unbroken.model.state_dict().items(), resumed.model.state_dict().items(), strict=True
    ):
        assert a.equal(b), name
    for name, tensor in replay.buffer.store.state_dict().items():
        assert tensor.equal(other.buffer.store.state_dict()[name]), name
    assert replay.buffer.sample(5).index.equal(other.buffer.sample(5).index)
    assert vars(unbroken.clock) == vars(resumed.clock)
    again = torch.rand(2), random.random(), np.random.rand()  # noqa: NPY002
    assert after[0].equal(again[0])
    assert after[1:] == again[1:]
    results = unbroken.eval(stream.test_stream), resumed.eval(fresh.test_stream)
    assert results[0] == results[1]


def test_heads_added_in_another_order_keep_their_optimizer_state(kit, tmp_path):
    def fresh():
        torch.manual_seed(0)
        model = MTSimpleMLP(input_size=16, hidden_size=8)
        return kit.naive(model, [], torch.optim.Adam(model.parameters(), lr=0.01))

    strategy = fresh()
    learn(strategy, kit.classic_stream(tasks=[2, 0, 1]).train_stream)
    save_checkpoint(tmp_path / "c", strategy)
    resumed = fresh()
    load_checkpoint(tmp_path / "c", resumed)
    for name, parameter in strategy.model.named_parameters():
        theirs = dict(resumed.model.named_parameters())[name]
        assert parameter.equal(theirs)
        a, b = strategy.optimizer.state[parameter], resumed.optimizer.state[theirs]
        assert a.keys() == b.keys()
        assert all(a[key].equal(b[key]) for key in a)
    assert resumed.model.classifier.known_train_tasks_labels == {0, 1, 2}


def test_storage_policies_and_schedulers_are_found(kit, tmp_path, recwarn):
    def fresh(seed):
        model = kit.mlp(seed=seed)
        optimizer = kit.sgd(model)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        buffer = RingBuffer(20, seed=seed)
        plugins = [
            ReplayPlugin(20, storage_policy=buffer),
            LRSchedulerPlugin(scheduler, reset_scheduler=False, reset_lr=False),
        ]
        return kit.naive(model, plugins, optimizer), buffer, scheduler

    strategy, buffer, scheduler = fresh(0)
    learn(strategy, kit.new_stream().train_stream[:2])
    save_checkpoint(tmp_path / "c", strategy)
    resumed, other, restored = fresh(1)
    load_checkpoint(tmp_path / "c", resumed)
    assert other.store.x[: len(other)].equal(buffer.store.x[: len(buffer)])
    assert restored.last_epoch == scheduler.last_epoch == 2
    assert resumed.optimizer.param_groups[0]["lr"] == 0.025


def test_what_cannot_be_saved_is_named(kit, tmp_path, caplog):
    strategy = kit.naive(plugins=[LwFPlugin(), FastStream()])
    with caplog.at_level(logging.WARNING, "strategies"):
        save_checkpoint(tmp_path / "c", strategy)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "The checkpoint doesn't hold what LwFPlugin remembers"
    ]


def online(seed, optimizer="adam", size=20):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    buffer = ReservoirBuffer(size, seed=seed)
    return OnlineLearner(model, optimizer_of(optimizer, model), buffer=buffer)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_online_learners(tmp_path, optimizer):
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.rand(5, 4, generator=generator), torch.arange(5) % 3) for _ in range(20)]
    unbroken = online(0, optimizer)
    unbroken.train_stream(batches[:10])
    save_checkpoint(tmp_path / "c", unbroken, {"batch": 10})
    unbroken.train_stream(batches[10:])
    resumed = online(5, optimizer)
    assert load_checkpoint(tmp_path / "c", resumed) == {"batch": 10}
    resumed.train_stream(batches[10:])
    assert all(
        a.equal(b)
        for a, b in zip(unbroken.model.parameters(), resumed.model.parameters(), strict=True)
    )
    assert resumed.buffer.store.x.equal(unbroken.buffer.store.x)


# -- files ---------------------------------------------------------------------------------------


def test_nothing_but_the_file_is_left(tmp_path):
    save_checkpoint(tmp_path / "deep" / "down" / "c", online(0))
    assert [path.name for path in (tmp_path / "deep" / "down").iterdir()] == ["c"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "c"
    save_checkpoint(path, online(0), {"which": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, online(0), {"which": 2})
    monkeypatch.undo()
    assert load_checkpoint(path, online(1)) == {"which": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


def test_damaged_files(tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, online(0))
    whole = path.read_bytes()
    cut = [whole[: len(whole) * share // 10] for share in range(10)]
    path.unlink()
    path.mkdir()
    with pytest.raises(FormatError, match="can't be read"):
        load_checkpoint(path, online(0))
    path.rmdir()
    for content in [*cut, b"hello", b"\x80\x02", os.urandom(2000), whole[100:]]:
        path.write_bytes(content)
        with pytest.raises(FormatError, match="damaged or no checkpoint"):
            load_checkpoint(path, online(0))


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))


def test_loading_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "clcore checkpoint", "schema": 1, "kind": Evil()}, "c")
    with pytest.raises(FormatError, match="damaged or no checkpoint"):
        load_checkpoint("c", online(0))
    assert not (tmp_path / "evil").exists()


def test_foreign_files(tmp_path):
    path = tmp_path / "c"
    with pytest.raises(FormatError, match="does not exist"):
        load_checkpoint(path, online(0))
    for content in ([1, 2], {"model": {}}, torch.ones(3)):
        torch.save(content, path)
        with pytest.raises(FormatError, match="is no checkpoint of clcore"):
            load_checkpoint(path, online(0))
    torch.save({"format": "clcore checkpoint", "schema": 99}, path)
    with pytest.raises(FormatError, match="has schema 99; this version reads schema 1"):
        load_checkpoint(path, online(0))
    torch.save({"format": "clcore checkpoint", "schema": 1}, path)
    with pytest.raises(FormatError, match="incomplete"):
        load_checkpoint(path, online(0))


def test_learners_made_differently(kit, tmp_path):
    path = tmp_path / "c"
    strategy, _ = make(kit, "plain", "adam", 0)
    save_checkpoint(path, strategy)
    with pytest.raises(FormatError, match="of kind avalanche; OnlineLearner is of kind online"):
        load_checkpoint(path, online(0))
    with pytest.raises(FormatError, match="the optimizer was Adam, this one is SGD"):
        load_checkpoint(path, make(kit, "plain", "momentum", 0)[0])
    with pytest.raises(FormatError, match="has the parts Replay, this one has none"):
        load_checkpoint(path, kit.naive(optimizer=optimizer_of("adam", kit.mlp())))
    wider = kit.mlp(9, dropout=0.1)
    replay = Replay(ReservoirBuffer(30))
    with pytest.raises(FormatError, match=r"4.weight is of shape \[9, 12\] here"):
        load_checkpoint(path, kit.naive(wider, [replay], optimizer_of("adam", wider)))
    model = kit.mlp(dropout=0.1)
    other = kit.naive(model, [Replay(RingBuffer(30))], optimizer_of("adam", model))
    with pytest.raises(FormatError, match="ReservoirBuffer"):
        load_checkpoint(path, other)


def test_bad_learners_and_extras(kit, tmp_path):
    with pytest.raises(ArgumentError, match="learner: got a dict"):
        save_checkpoint(tmp_path / "c", {})
    with pytest.raises(ArgumentError, match="extra: its state holds a object"):
        save_checkpoint(tmp_path / "c", online(0), {"it": object()})
    strategy = kit.naive()
    strategy.experience = kit.new_stream().train_stream[0]
    with pytest.raises(ArgumentError, match="in the middle of an experience"):
        save_checkpoint(tmp_path / "c", strategy)


def test_models_of_avalanche(kit, tmp_path):
    model = SimpleMLP(input_size=16, num_classes=6, hidden_size=8)
    strategy = kit.naive(model)
    learn(strategy, kit.new_stream().train_stream[:1])
    save_checkpoint(tmp_path / "c", strategy)
    other = kit.naive(SimpleMLP(input_size=16, num_classes=6, hidden_size=8))
    load_checkpoint(tmp_path / "c", other)
    assert kit.weights_of(other.model).equal(kit.weights_of(model))
