"""A stream in chunks: the settings that only it has reach what learns."""

from dataclasses import replace

import pytest
import torch

from benchmarks import methods
from benchmarks.models import ModelSettings, build_model
from benchmarks.running.data import build_scenario, input_transform
from benchmarks.running.learners import make_learner
from benchmarks.running.monitor import Counts, Monitor
from benchmarks.running.plan import Cell
from benchmarks.scenarios import chunked


@pytest.fixture
def stream(tiny):
    """Digits, 22 images of each of five experiences in chunks of 15."""
    return replace(
        tiny,
        scenario={"split": {}, "sampled": {"samples": 22}, "chunked": {"size": 15}},
        model=ModelSettings(hidden=(8,)),
        batch_size=5,
        replay_batch_size=5,
        epochs=1,
        optimizer="adam",
        learning_rate=0.01,
        replay="whole-memory",
        update="experience",
    )


def learner_of(suite, method="reservoir"):
    scenario = build_scenario(suite, 0)
    model = build_model(suite.model, scenario.image_shape, scenario.classes, 0)
    cell = Cell(method, 10, 0)
    transform = input_transform(suite, scenario)
    return make_learner(suite, methods.find(method), cell, scenario, model, transform)


def train(learner, experience=0):
    monitor = Monitor(
        Counts(),
        on_train=lambda *_: None,
        on_evaluate=lambda _: None,
        on_progress=lambda: None,
    )
    monitor.begin_experience(learner.steps(experience), 1, 0)
    learner.train(experience, monitor)
    return monitor.counts


def adam_steps(learner):
    states = learner.strategy.optimizer.state.values()
    return {int(state["step"]) for state in states}


@pytest.mark.parametrize(("renew", "steps"), [(False, 6), (True, 3)])
def test_the_optimiser_is_renewed_for_each_chunk(stream, renew, steps):
    learner = learner_of(replace(stream, renew_optimizer=renew))
    assert learner.steps(0) == 6  # two chunks begin in the first experience
    assert train(learner).iteration == 6
    assert adam_steps(learner) == {steps}


def test_a_renewed_optimiser_is_a_new_one(stream):
    """Its steps are those of an Adam that never saw anything before."""
    learner = learner_of(replace(stream, renew_optimizer=True), "naive")
    train(learner, 0)
    kept = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
    torch.manual_seed(3)
    train(learner, 1)
    other = learner_of(stream, "naive")
    other.model.load_state_dict(kept)
    assert len(other.parts[1]) == 1  # so there is nothing to renew within it
    torch.manual_seed(3)
    train(other, 1)
    for ours, theirs in zip(learner.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_online_learner_renews_its_optimiser_too(stream):
    whole = {name: options for name, options in stream.scenario.items() if name != "chunked"}
    for renew, steps in ((False, 10), (True, 5)):
        suite = replace(
            stream, scenario=whole, training="online", replay="joint", renew_optimizer=renew
        )
        learner = learner_of(suite)
        train(learner, 0)
        train(learner, 1)
        states = learner.learner.optimizer.state.values()
        assert {int(state["step"]) for state in states} == {steps}


@pytest.mark.parametrize("groups", ["task", "memory", "slot"])
def test_the_groups_of_the_memory_reach_the_plugin(stream, groups):
    learner = learner_of(replace(stream, replay_groups=groups))
    assert learner.memory.groups == groups


def test_the_streaming_coreset_counts_the_chunks(stream):
    learner = learner_of(replace(stream, replay_groups="slot"), "greedy-coreset-stream")
    train(learner, 0)
    assert learner.buffer.slot_chunks().tolist() == [2]
    train(learner, 1)
    assert learner.buffer.slot_chunks().tolist() == [3]
    assert len(learner.buffer) == 10
    assert float(learner.buffer.store.weight.sum()) == pytest.approx(45, rel=1e-4)


def test_the_suites_scenario_is_the_function(stream):
    whole = {name: options for name, options in stream.scenario.items() if name != "chunked"}
    ours = build_scenario(stream, 0)
    theirs = chunked(build_scenario(replace(stream, scenario=whole), 0), 15, shuffle=False)
    assert [e.parent for e in ours] == [e.parent for e in theirs]
    assert [len(e) for e in ours] == [15] * 7
