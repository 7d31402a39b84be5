"""GCR's training: the loss of a step, draws, weights, growing heads, inside Avalanche."""

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.core import SupervisedPlugin
from avalanche.models import IncrementalClassifier
from avalanche.training.plugins import ReplayPlugin
from sklearn.datasets import load_digits
from torch import nn

from buffers import GCRBuffer, ReservoirBuffer
from clcore.errors import ArgumentError
from strategies import GCR


class Look(SupervisedPlugin):
    """Remembers the mini-batches, what was replayed, and the losses."""

    def __init__(self):
        super().__init__()
        self.batches, self.replayed, self.losses = [], [], []

    def before_training_iteration(self, strategy, **kwargs):
        self.batches.append([part.clone() for part in strategy.mbatch])

    def after_backward(self, strategy, **kwargs):
        self.losses.append(strategy.loss.detach().clone())
        self.replayed.append(strategy.replayed)


def digits(kit, experiences=5, n=600):
    """Two digits an experience."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x[:n]).float().view(-1, 1, 8, 8) / 16, torch.tensor(y[:n]).long()

    def part(label):
        rows = torch.nonzero(y // 2 == label).view(-1)
        return kit.dataset(x[rows], y[rows], nn.Identity(), nn.Identity())

    parts = [part(label) for label in range(experiences)]
    return benchmark_from_datasets(train=parts, test=parts)


def digits_model(outputs=10):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, outputs))


def filled(model, weight=None, n=40, outputs=6):
    """A buffer with made-up logits and weights."""
    generator = torch.Generator().manual_seed(1)
    buffer = ReservoirBuffer(n)
    x = torch.rand(n, 1, 4, 4, generator=generator)
    buffer.add(
        x,
        torch.arange(n) % 2,
        weight=torch.rand(n, generator=generator) * 5 if weight is None else weight,
        logits=torch.randn(n, outputs, generator=generator),
    )
    buffer.records_logits = True
    return buffer


def by_hand(model, optimizer, batch, alpha_draw, beta_draw, alpha, beta, weighted=True):
    """One step of the loss, row by row."""
    x, y = batch[:2]
    loss = nn.functional.cross_entropy(model(x), y)
    for draw, factor, kind in ((alpha_draw, alpha, "logits"), (beta_draw, beta, "labels")):
        if factor == 0:
            continue
        total = draw.weight.sum() if weighted else len(draw)
        out = model(draw.x)
        for i in range(len(draw)):
            weight = draw.weight[i] if weighted else 1.0
            if kind == "logits":
                z = draw.columns["logits"][i]
                each = sum((out[i, j] - z[j]) ** 2 for j in range(len(z))) / len(z)
            else:
                each = nn.functional.cross_entropy(out[i : i + 1], draw.y[i : i + 1])
            loss = loss + factor * weight * each / total
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"draws": 1},
        {"weighted": False},
        {"alpha": 0},
        {"beta": 0, "alpha": 0.7},
        {"fast": True},
    ],
)
def test_a_step_is_the_one_written_by_hand(kit, options):
    kit_model, model = kit.mlp(), kit.mlp()
    buffer, twin = filled(kit_model), filled(model)
    look = Look()
    plugin = GCR(buffer, 8, **options)
    strategy = kit.naive(kit_model, [plugin, look])
    experience = next(iter(kit.classic_stream(20, 1).train_stream))
    strategy.train(experience, eval_streams=[])
    optimizer = kit.sgd(model)
    model.train()
    alpha, beta = options.get("alpha", 0.1), options.get("beta", 0.5)
    for batch, loss in zip(look.batches, look.losses, strict=True):
        one = twin.sample(8)
        two = one
        if alpha and beta and options.get("draws") != 1:
            two = twin.sample(8)
        mine = by_hand(
            model, optimizer, batch, one, two, alpha, beta, options.get("weighted", True)
        )
        torch.testing.assert_close(loss.squeeze(), mine)
    torch.testing.assert_close(kit.weights_of(kit_model), kit.weights_of(model))
    assert plugin.rows_beside == len(look.batches) * 8 * (1 + bool(two is not one))


def test_weights_move_the_step(kit):
    steps = []
    for weight in (torch.ones(40), torch.arange(40.0)):
        model = kit.mlp()
        strategy = kit.naive(model, [GCR(filled(model, weight))])
        strategy.train(next(iter(kit.classic_stream(20, 1).train_stream)), eval_streams=[])
        steps.append(kit.weights_of(model))
    assert not torch.allclose(*steps)
    model = kit.mlp()
    strategy = kit.naive(model, [GCR(filled(model, 7 * torch.ones(40)))])
    strategy.train(next(iter(kit.classic_stream(20, 1).train_stream)), eval_streams=[])
    torch.testing.assert_close(kit.weights_of(model), steps[0])  # only proportions count


def test_exemplars_without_any_weight_count_alike(kit):
    steps = []
    for weight in (torch.ones(40), torch.zeros(40)):
        model = kit.mlp()
        strategy = kit.naive(model, [GCR(filled(model, weight))])
        strategy.train(next(iter(kit.classic_stream(20, 1).train_stream)), eval_streams=[])
        steps.append(kit.weights_of(model))
    torch.testing.assert_close(*steps)


def test_outputs_that_came_later_are_not_compared(kit):
    plugin = GCR(ReservoirBuffer(4), alpha=1.0)
    drawn = filled(None, torch.ones(4), n=4, outputs=3).all()
    logits = torch.randn(4, 5)
    z = drawn.columns["logits"]
    expected = (logits[:, :3] - z).square().mean(1).mean()
    torch.testing.assert_close(plugin._distance(drawn, logits), expected)
    z[0, 2] = -torch.inf
    each = (logits[:, :3] - z).square()
    each[0, 2] = 0
    expected = (each[0].sum() / 2 + each[1:].mean(1).sum()) / 4
    torch.testing.assert_close(plugin._distance(drawn, logits), expected)
    with pytest.raises(ArgumentError, match=r"logits of shape \(3,\), but the model gives \(2,\)"):
        plugin._distance(drawn, logits[:, :2])


def test_a_head_that_grows(kit):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.classifier = nn.Flatten(), IncrementalClassifier(16, 1)

        def forward(self, x):
            return self.classifier(self.flat(x))

    look = Look()
    buffer = GCRBuffer(20)
    model = Model()
    strategy = kit.naive(model, [GCR(buffer), look])
    for experience in kit.incremental_stream().train_stream:
        strategy.train(experience, eval_streams=[])
    known = (buffer.store.extra["logits"] > -torch.inf).sum(1)
    assert torch.equal(known, 2 * (buffer.stored_tasks() + 1))
    assert all(torch.isfinite(loss) for loss in look.losses)


@pytest.mark.parametrize("fast", [False, True])
def test_digits_end_to_end(kit, fast):
    results = []
    for plugins in ([GCR(GCRBuffer(60), fast=fast)], []):
        model = digits_model()
        strategy = kit.naive(model, plugins, epochs=4)
        stream = digits(kit)
        for experience in stream.train_stream:
            strategy.train(experience, eval_streams=[])
        model.eval()
        right = [
            (model(x[None]).argmax() == y).float()
            for part in stream.test_stream
            for x, y, *_ in part.dataset
        ]
        results.append(float(torch.stack(right).mean()))
    assert results[0] > 0.8
    assert results[1] < 0.4


def test_unmodified_replay(kit):
    buffer = GCRBuffer(60)
    strategy = kit.naive(digits_model(), [ReplayPlugin(60, storage_policy=buffer)])
    for experience in digits(kit, 3).train_stream:
        strategy.train(experience, eval_streams=[])
    assert len(buffer) == 60
    assert len(buffer.buffer[0]) == len(experience.dataset[0]), "logits are not in the samples"
    assert buffer.store.extra["logits"].shape == (60, 10)
    assert buffer.store.weight.std() > 0
    assert buffer.stored_tasks().bincount().tolist() == [20, 20, 20]
    assert float(buffer.store.weight.sum()) == pytest.approx(buffer.seen, rel=1e-4)


def test_resume_is_bit_for_bit(kit):
    def run(stop):
        model = digits_model()
        plugin = GCR(GCRBuffer(40), fast=True)
        strategy = kit.naive(model, [plugin])
        experiences = list(digits(kit, 3).train_stream)
        torch.manual_seed(3)
        for number, experience in enumerate(experiences):
            if number == stop:
                state = plugin.state_dict()
                generator = torch.get_rng_state()
                again = GCR(GCRBuffer(5, seed=7), fast=True)
                again.load_state_dict(state)
                strategy = kit.naive(model, [again])
                strategy.clock.train_exp_counter = number
                torch.set_rng_state(generator)
            strategy.train(experience, eval_streams=[])
        return kit.weights_of(model)

    assert torch.equal(run(None), run(2))


def test_other_buffers_train_as_der(kit):
    buffer = ReservoirBuffer(20)
    buffer.records_logits = True
    strategy = kit.naive(plugins=[GCR(buffer)])
    for experience in kit.new_stream().train_stream:
        strategy.train(experience, eval_streams=[])
    assert len(buffer) == 20
    bare = kit.naive(plugins=[GCR(ReservoirBuffer(20))])
    first, second, _ = kit.new_stream().train_stream
    bare.train(first, eval_streams=[])
    with pytest.raises(ArgumentError, match="records_logits = True"):
        bare.train(second, eval_streams=[])
    labels_only = kit.naive(plugins=[GCR(ReservoirBuffer(20), alpha=0)])
    for experience in kit.new_stream().train_stream:
        labels_only.train(experience, eval_streams=[])


def test_alpha_and_beta_are_the_buffers():
    plugin = GCR(GCRBuffer(5, alpha=0.3, beta=2.0))
    assert (plugin.alpha, plugin.beta) == (0.3, 2.0)
    assert GCR(GCRBuffer(5, alpha=0.3), alpha=1).alpha == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"alpha": -1}, "alpha: got -1"),
        ({"beta": float("inf")}, "beta: got inf"),
        ({"draws": 3}, "draws: got 3"),
        ({"update": "epoch"}, "update: got 'epoch'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        GCR(GCRBuffer(5), **options)
