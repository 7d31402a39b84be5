from dataclasses import replace

import pytest
import torch

from benchmarks import suites
from benchmarks.models import ModelSettings, build_model
from benchmarks.running.data import build_scenario, input_transform
from benchmarks.running.evaluation import Evaluator, network_predictor
from benchmarks.running.learners import exemplar_predictor
from buffers import RingBuffer


@pytest.fixture
def scenario():
    return build_scenario(suites.find("split-digits"), 0)


@pytest.fixture
def model():
    return build_model(ModelSettings(hidden=(16,), dropout=0.5), (1, 8, 8), 10, seed=0)


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_against_one_image_at_a_time(scenario, model, batch_size):
    transform = input_transform(suites.find("split-digits"), scenario)
    found = Evaluator(scenario, transform, batch_size).accuracies(network_predictor(model))
    model.eval()
    for experience, rate in zip(scenario, found, strict=True):
        rows = zip(experience.test_x, experience.test_y, strict=True)
        right = [int(model(transform(x)[None]).argmax()) == int(y) for x, y in rows]
        assert rate == sum(right) / len(right)


def test_it_leaves_no_trace(scenario, model):
    before = torch.get_rng_state()
    evaluator = Evaluator(scenario, lambda x: x / 255)
    first = evaluator.accuracies(network_predictor(model))
    assert first == evaluator.accuracies(network_predictor(model))  # no dropout
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)
    assert evaluator.seconds > 0


def test_nearest_mean_against_brute_force(scenario, model):
    x = torch.cat([experience.train_x for experience in scenario]).float() / 255
    y = torch.cat([experience.train_y for experience in scenario])
    buffer = RingBuffer(40)
    buffer.add(x, y)
    wanted = scenario.experiences[0].test_x / 255
    found = exemplar_predictor(model, buffer)(wanted)
    model.eval()

    def features(rows):
        with torch.no_grad():
            return torch.nn.functional.normalize(model.features(rows))

    held = buffer.all()
    means = [features(held.x[held.y == label]).mean(0) for label in range(10)]
    means = torch.stack([mean / mean.norm() for mean in means])
    assert torch.equal(found, torch.cdist(features(wanted), means).argmin(1))


def test_the_input_is_scaled(scenario):
    images = scenario.experiences[0].train_x
    found = input_transform(suites.find("split-digits"), scenario)(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, images.float() / 255)


def test_the_input_is_normalised(scenario):
    suite = replace(suites.find("split-digits"), normalise="dataset")
    images = torch.cat([experience.train_x for experience in scenario])
    found = input_transform(suite, scenario)(images)
    assert float(found.mean()) == pytest.approx(0, abs=1e-5)
    assert float(found.std(correction=0)) == pytest.approx(1, abs=1e-5)
