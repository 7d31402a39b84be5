import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import MTSimpleMLP
from torch import nn
from torch.nn import functional

from buffers import ReservoirBuffer
from clcore.errors import ArgumentError
from strategies import NearestMeanClassifier, Replay


def model_of(inputs=6, classes=4):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(inputs, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, classes)
    )


def memory_of(n=40, inputs=6, labels=(0, 1, 3)):
    generator = torch.Generator().manual_seed(1)
    buffer = ReservoirBuffer(n)
    y = torch.tensor(labels)[torch.arange(n) % len(labels)]
    buffer.add(torch.rand(n, inputs, generator=generator) + y.view(-1, 1), y)
    return buffer


def test_predictions_are_those_of_the_formula():
    model, buffer = model_of(), memory_of()
    x = torch.rand(30, 6) * 4
    got = NearestMeanClassifier(buffer).fit(model).predict(x)
    model.eval()
    head = nn.Sequential(*list(model)[:-1])
    with torch.no_grad():
        held = functional.normalize(head(buffer.store.x))
        asked = functional.normalize(head(x))
    means = {c: held[buffer.store.y == c].mean(0) for c in (0, 1, 3)}
    for row, label in zip(asked, got.tolist(), strict=True):
        distances = {c: float((row - m / m.norm()).norm()) for c, m in means.items()}
        assert label == min(distances, key=distances.get)


def test_scores():
    scores = NearestMeanClassifier(memory_of()).fit(model_of()).scores(torch.rand(7, 6))
    assert scores.shape == (7, 4)
    assert (scores[:, 2] == -5).all()  # never seen
    assert (scores[:, [0, 1, 3]] >= -4 - 1e-5).all()
    assert (scores <= 1e-5).all()


def test_the_model_is_left_as_it_was():
    model, buffer = model_of(), memory_of()
    model.train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(5, 6)
    random = torch.get_rng_state()
    NearestMeanClassifier(buffer).fit(model).predict(x)
    assert model.training
    assert all(value.equal(state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.get_rng_state().equal(random)


class Outputs(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.seen, self.labels = [], []

    def after_eval_iteration(self, strategy, **kwargs):
        self.seen.append(strategy.mb_output)
        self.labels.append(strategy.mb_y)


@pytest.mark.parametrize("fast", [True, False])
def test_as_a_plugin_it_takes_the_place_of_the_models_output(kit, fast):
    buffer, outputs = ReservoirBuffer(60), Outputs()
    classifier = NearestMeanClassifier(buffer)
    strategy = kit.naive(plugins=[Replay(buffer, 10, fast=fast), classifier, outputs], epochs=3)
    stream = kit.new_stream()
    strategy.eval(stream.test_stream)  # nothing held yet: the model's own output
    assert len(outputs.seen) == 6
    assert (outputs.seen[0] > 0).any()
    outputs.seen.clear()
    outputs.labels.clear()
    for experience in stream.train_stream[:2]:
        strategy.train(experience, eval_streams=[])
    strategy.eval(stream.test_stream)
    scores, labels = torch.cat(outputs.seen), torch.cat(outputs.labels)
    assert scores.shape == (30, 6)
    assert (scores[:, 4:] == -5).all()
    own = NearestMeanClassifier(buffer).fit(strategy.model)
    batch = [torch.stack([stream.test_stream[0].dataset.eval()[i][0] for i in range(10)])]
    torch.testing.assert_close(own.scores(batch[0]), scores[:10, :4])
    assert strategy.loss.isfinite().all()
    assert (scores.argmax(1) == labels)[labels < 4].float().mean() > 0.5


def test_multi_head_models(kit):
    torch.manual_seed(0)
    model = MTSimpleMLP(input_size=16, hidden_size=8)
    buffer = ReservoirBuffer(40)
    outputs = Outputs()
    strategy = kit.naive(model, [Replay(buffer, 5), NearestMeanClassifier(buffer), outputs])
    stream = kit.classic_stream()
    for experience in stream.train_stream:
        strategy.train(experience, eval_streams=[])
    strategy.eval(stream.test_stream)
    assert outputs.seen[-1].shape[1] == 2


def test_bad_input():
    with pytest.raises(ArgumentError, match="buffer: got a int"):
        NearestMeanClassifier(3)
    with pytest.raises(ArgumentError, match="batch_size: got 0"):
        NearestMeanClassifier(memory_of(), batch_size=0)
    with pytest.raises(ArgumentError, match="it is empty"):
        NearestMeanClassifier(ReservoirBuffer(5)).fit(model_of())
    with pytest.raises(ArgumentError, match="fit: call it"):
        NearestMeanClassifier(memory_of()).predict(torch.rand(2, 6))
    with pytest.raises(ArgumentError, match="nowhere"):
        NearestMeanClassifier(memory_of(), feature_layer="nowhere").fit(model_of())
