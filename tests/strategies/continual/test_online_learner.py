import pytest
import torch
from avalanche.models import MTSimpleMLP
from torch import nn

from buffers import HerdingBuffer, KMeansBuffer, ReservoirBuffer
from clcore.errors import ArgumentError, FormatError
from strategies import OnlineLearner


def stream(n=120, batch=10, classes=3, inputs=8):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) * classes // n  # one class after the other
    x = torch.eye(inputs)[y] + 0.1 * torch.rand(n, inputs, generator=generator)
    return list(zip(x.split(batch), y.split(batch), strict=True))


def model_of(outputs=3, inputs=8, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, outputs))


def learner_of(model=None, size=30, lr=0.1, seed=0, optimizer=None, **kwargs):
    model = model_of() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=lr) if optimizer is None else optimizer
    buffer = kwargs.pop("buffer", ReservoirBuffer(size, seed=seed))
    return OnlineLearner(model, optimizer, buffer=buffer, **kwargs)


def weights_of(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


@pytest.mark.parametrize("passes", [1, 2])
def test_the_weights_are_those_of_a_written_out_loop(passes):
    learner = learner_of(passes=passes, batch_size_memory=7)
    learner.train_stream(stream())
    model = model_of()
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss, memory = nn.CrossEntropyLoss(), ReservoirBuffer(30, seed=0)
    for x, y in stream():
        for _ in range(passes):
            xs, ys = x, y
            if len(memory):
                drawn = memory.sample(7)
                xs, ys = torch.cat([x, drawn.x]), torch.cat([y, drawn.y])
            optimizer.zero_grad()
            loss(model(xs), ys).backward()
            optimizer.step()
        memory.add(x, y)
    assert weights_of(learner).equal(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert learner.buffer.store.x.equal(memory.store.x)
    assert learner.iterations == 12 * passes
    assert learner.samples_seen == learner.buffer.seen == 120


def test_it_learns_and_replay_keeps_what_was_learned():
    x, y = (torch.cat(parts) for parts in zip(*stream(600), strict=True))
    with_replay = learner_of(size=60, lr=0.3)
    with_replay.train_stream(stream(600))
    without = learner_of(buffer=None, lr=0.3)
    without.train_stream(stream(600))
    assert with_replay.accuracy(x, y) > 0.95
    assert without.accuracy(x, y) < 0.7


def test_a_step_says_what_happened():
    learner = learner_of(batch_size_memory=4)
    first, second = (learner.observe(x, y) for x, y in stream()[:2])
    assert first.replayed is None
    assert first.replay_loss is None
    assert not first.is_replay.any()
    assert first.slots.tolist() == list(range(10))
    assert second.iteration == 2
    assert second.is_replay.tolist() == [False] * 10 + [True] * 4
    assert second.y[second.is_replay].equal(second.replayed.y)
    assert second.output.shape == (14, 3)
    assert 0 <= second.accuracy <= 1
    loss = nn.functional.cross_entropy(second.output[10:], second.y[10:])
    assert second.replay_loss == pytest.approx(float(loss))
    assert not second.loss.requires_grad


def test_weights_reach_the_loss():
    buffer = ReservoirBuffer(4)
    x, y = stream()[0]
    buffer.add(x[:4], y[:4], weight=torch.tensor([1.0, 2.0, 3.0, 10.0]))
    learner = learner_of(buffer=buffer, batch_size_memory=3)
    result = learner.observe(*stream()[1])
    losses = nn.functional.cross_entropy(result.output, result.y, reduction="none")
    weights = torch.cat([torch.ones(10), result.replayed.weight / 4])
    torch.testing.assert_close(result.loss, (weights * losses).sum() / weights.sum())


def test_the_transform_is_the_models_and_the_buffer_keeps_raw_rows():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    learner = learner_of(model, transform=lambda x: x.float() / 255)
    x = torch.randint(0, 256, (10, 1, 2, 2), dtype=torch.uint8)
    learner.observe(x, torch.arange(10) % 2)
    learner.observe(x, torch.arange(10) % 2)
    assert learner.buffer.store.x.dtype == torch.uint8
    assert learner.predict(x).shape == (10,)


def test_task_labels_reach_multi_head_models():
    torch.manual_seed(0)
    model = MTSimpleMLP(input_size=8, hidden_size=8)
    learner = learner_of(model, batch_size_memory=5)
    for x, y in stream(classes=2):
        learner.observe(x, y, 0)
    assert learner.buffer.task_counts() == {0: 30}
    x, y = (torch.cat(parts) for parts in zip(*stream(classes=2), strict=True))
    assert 0 <= learner.accuracy(x, y, 0) <= 1


def test_evaluations_and_plugins():
    class Plugin:
        def __init__(self):
            self.calls = []

        def before_step(self, learner, x, y, task):
            self.calls.append(("before", len(y), task))

        def after_step(self, learner, result):
            self.calls.append(("after", result.iteration))

        def after_evaluation(self, learner, metrics):
            self.calls.append(("evaluation", metrics))

    plugin = Plugin()
    learner = learner_of(plugins=[plugin])
    result = learner.train_stream(stream()[:5], lambda held: held.iterations, every=2)
    assert result.evaluations == [(2, 2), (4, 4), (5, 5)]
    assert (result.batches, result.samples) == (5, 50)
    assert result.seconds > 0
    assert plugin.calls[:3] == [("before", 10, None), ("after", 1), ("before", 10, None)]
    assert [call for call in plugin.calls if call[0] == "evaluation"] == [
        ("evaluation", 2),
        ("evaluation", 4),
        ("evaluation", 5),
    ]
    assert learner_of().train_stream(stream(), lambda held: 1).evaluations == [(12, 1)]
    assert learner_of().train_stream([]).batches == 0


def test_predicting_leaves_the_model_as_it_was():
    learner = learner_of()
    learner.observe(*stream()[0])
    assert learner.model.training
    state = torch.get_rng_state()
    learner.predict(stream()[0][0])
    assert learner.model.training
    assert torch.get_rng_state().equal(state)
    assert learner.predict(torch.empty(0, 8)).shape == (0,)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_the_state_continues_bit_for_bit(optimizer):
    def make(seed):
        model = model_of(seed=seed)
        kwargs = {"momentum": 0.9} if optimizer == "SGD" else {}
        made = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01, **kwargs)
        return learner_of(model, optimizer=made, seed=seed)

    unbroken = make(0)
    unbroken.train_stream(stream()[:6])
    state = unbroken.state_dict()
    unbroken.train_stream(stream()[6:])
    after = torch.rand(3)
    resumed = make(1)
    resumed.load_state_dict(state)
    resumed.train_stream(stream()[6:])
    assert weights_of(resumed).equal(weights_of(unbroken))
    assert resumed.buffer.store.x.equal(unbroken.buffer.store.x)
    assert resumed.iterations == unbroken.iterations
    assert torch.rand(3).equal(after)


def test_a_state_of_another_learner_is_refused():
    state = learner_of().state_dict()
    with pytest.raises(FormatError, match="make it with the same buffer"):
        learner_of(buffer=None).load_state_dict(state)
    with pytest.raises(FormatError, match=r"3\.weight is of shape"):
        learner_of(model_of(5)).load_state_dict(state)
    del state["random"]
    with pytest.raises(FormatError, match="random"):
        learner_of().load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model: got a int"),
        ({"optimizer": 3}, "optimizer: got a int"),
        ({"buffer": 3}, "buffer: got a int"),
        ({"batch_size_memory": 0}, "batch_size_memory: got 0"),
        ({"passes": -1}, "passes: got -1"),
        ({"retrieval": "balancd"}, "did you mean balanced"),
        ({"plugins": [object()]}, "plugins: a object has none of the methods"),
    ],
)
def test_bad_arguments(arguments, message):
    model = model_of()
    given = {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}
    given |= {"buffer": ReservoirBuffer(5), **arguments}
    with pytest.raises(ArgumentError, match=message):
        OnlineLearner(given.pop("model"), given.pop("optimizer"), **given)


X, Y = torch.ones(4, 8), torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("x", "y", "task", "message"),
    [
        (X[:0], Y[:0], None, "at least one row"),
        (X, Y[:2], None, "got shapes"),
        (X.tolist(), Y, None, "tensors are needed"),
        (X, Y.float(), None, "integer class labels"),
        (X, Y - 1, None, "label -1"),
        (X, Y + 1, None, "label 3, but the model has 3 outputs"),
        (X.clone().index_fill_(0, torch.tensor([2]), float("nan")), Y, None, "row 2 holds NaN"),
        (X, Y, torch.tensor([1]), "task: got shape"),
    ],
)
def test_a_bad_batch_changes_nothing(x, y, task, message):
    learner = learner_of()
    before = weights_of(learner).clone()
    with pytest.raises(ArgumentError, match=message):
        learner.observe(x, y, task)
    assert weights_of(learner).equal(before)
    assert learner.iterations == len(learner.buffer) == 0


def test_bad_streams():
    with pytest.raises(ArgumentError, match="batch 1 has 1 parts"):
        learner_of().train_stream([(X,)])
    for every, evaluate in ((0, len), (2, None)):
        with pytest.raises(ArgumentError, match="every: got"):
            learner_of().train_stream(stream(), evaluate, every)
    with pytest.raises(ArgumentError, match="at least one sample"):
        learner_of().accuracy(X[:0], Y[:0])


@pytest.mark.parametrize("kind", [HerdingBuffer, KMeansBuffer])
def test_buffers_that_need_features_are_given_the_learner(kind):
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    learner = learner_of(model, buffer=kind(12), transform=lambda x: x.float() / 255)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        x = torch.randint(0, 256, (10, 1, 2, 2), dtype=torch.uint8, generator=generator)
        learner.observe(x, torch.arange(10) % 2)
    assert len(learner.buffer) == 12
    assert learner.buffer.store.x.dtype == torch.uint8
    assert learner.iterations == 4
