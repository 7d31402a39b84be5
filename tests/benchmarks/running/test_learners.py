"""The settings of a suite reach what learns."""

from dataclasses import replace

import pytest
import torch

from benchmarks import methods, runner
from benchmarks.models import ModelSettings, build_model
from benchmarks.running import folder
from benchmarks.running.data import build_scenario, input_transform
from benchmarks.running.learners import BatchLearner, make_learner, make_optimizer
from benchmarks.running.monitor import Counts, Monitor
from benchmarks.running.plan import Cell
from strategies import GCR, OCS, BilevelReplay, GDumb, RainbowMemory, Replay


@pytest.fixture
def small(tiny):
    """One method, 20 images an experience."""
    return replace(
        tiny,
        scenario={"split": {"classes_per_experience": 2}, "sampled": {"samples": 20}},
        model=ModelSettings(hidden=(8,)),
        methods=("reservoir",),
        seeds=(0,),
        batch_size=5,
        replay_batch_size=5,
        epochs=1,
        update="iteration",
    )


def learner_of(suite, method="reservoir", size=20):
    scenario = build_scenario(suite, 0)
    model = build_model(suite.model, scenario.image_shape, scenario.classes, 0)
    found = methods.find(method)
    size = size if found.has_memory else 0
    transform = input_transform(suite, scenario)
    cell = Cell(method, size, 0)
    return make_learner(suite, found, cell, scenario, model, transform)


def train_one(learner, experience, counts=None):
    """Train on one experience."""
    monitor = Monitor(
        counts or Counts(),
        on_train=lambda *_: None,
        on_evaluate=lambda _: None,
        on_progress=lambda: None,
    )
    monitor.begin_experience(learner.steps(experience), 1, 0)
    learner.train(experience, monitor)


def train(learner, experiences=2):
    """Train on the first experiences; returns what was counted."""
    counts = Counts()
    for experience in range(experiences):
        train_one(learner, experience, counts)
    return counts


def run(suite, path):
    return runner.run(folder.create(path, suite)).runs


# -- the optimiser ---------------------------------------------------------------------------


def test_sgd_with_all_its_settings(small):
    suite = replace(
        small, learning_rate={0: 0.5, 20: 0.25}, momentum=0.9, nesterov=True, weight_decay=0.01
    )
    made = make_optimizer(suite, torch.nn.Linear(2, 2), 20)
    assert type(made) is torch.optim.SGD
    group = made.param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.25, 0.9, True)
    assert group["weight_decay"] == 0.01
    assert make_optimizer(suite, torch.nn.Linear(2, 2), 0).param_groups[0]["lr"] == 0.5


def test_adam(small):
    suite = replace(small, optimizer="adam", learning_rate=0.002, weight_decay=0.01)
    made = make_optimizer(suite, torch.nn.Linear(2, 2), 20)
    assert type(made) is torch.optim.Adam
    group = made.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.002, 0.01, (0.9, 0.999))


@pytest.mark.parametrize("changes", [{}, {"memory_epochs": 2}])
def test_the_rate_falls_from_experience_to_experience(small, changes):
    learner = learner_of(replace(small, learning_rate=0.1, rate_decay=0.5, **changes))
    rates = []
    for experience in range(3):
        train_one(learner, experience)
        rates.append(learner.strategy.optimizer.param_groups[0]["lr"])
    assert rates == [0.1, 0.05, 0.025]


# -- steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["naive", "reservoir", "herding"])
@pytest.mark.parametrize("passes", [1, 3])
def test_passes_are_steps_on_each_mini_batch(small, method, passes):
    learner = learner_of(replace(small, passes=passes, epochs=2), method)
    assert learner.steps(0) == 2 * passes * 4
    counts = train(learner, experiences=2)
    assert counts.iteration == 2 * learner.steps(0)
    if learner.buffer is not None:
        assert learner.buffer.seen == 40  # each row is offered once, whatever the passes


def test_a_separate_step_on_the_exemplars(small):
    joint, separate = (learner_of(replace(small, replay=kind)) for kind in ("joint", "separate"))
    assert (joint.memory.separate, separate.memory.separate) == (False, True)
    counts = [train(learner) for learner in (joint, separate)]
    # Only in the very first step there is nothing to replay.
    assert [count.forward for count in counts] == [40 + 5 * 7] * 2
    weights = [learner.model.classifier.weight for learner in (joint, separate)]
    assert not torch.equal(*weights)


def test_the_whole_memory(small):
    learner = learner_of(replace(small, replay="whole-memory", beta=0.25, update="experience"))
    assert isinstance(learner.memory, BilevelReplay)
    assert learner.memory.beta == 0.25
    counts = train(learner)
    assert counts.forward == 40 + 4 * 20  # all 20 exemplars in each step of the second experience


def test_epochs_on_the_memory_alone(small):
    learner = learner_of(replace(small, memory_epochs=3, update="experience"))
    assert isinstance(learner.memory, RainbowMemory)
    assert learner.memory.memory_epochs == 3
    counts = train(learner)
    assert counts.forward == 40 + 4 * 5 + 2 * 3 * 20


def test_methods_that_pick_of_a_batch_get_larger_ones(small):
    suite = replace(small, selection_batch_size=20, selection_epochs=3, batch_size=5)
    ocs, other = learner_of(suite, "ocs"), learner_of(suite, "ocs-memory")
    assert (ocs.batch_size, ocs.epochs, ocs.steps(0)) == (20, 3, 3)
    assert (other.batch_size, other.epochs, other.steps(0)) == (5, 1, 4)
    assert train(ocs).iteration == 6
    without = learner_of(replace(suite, selection_epochs=None), "ocs")
    assert (without.batch_size, without.epochs) == (20, 1)
    assert learner_of(small, "ocs").batch_size == 5


@pytest.mark.parametrize(
    ("method", "kind"),
    [("reservoir", Replay), ("mir", Replay), ("ocs", OCS), ("gcr", GCR), ("gdumb", GDumb)],
)
def test_plugins(small, method, kind):
    learner = learner_of(small, method)
    assert isinstance(learner, BatchLearner)
    assert type(learner.memory) is kind
    assert learner.memory.fast.passes == 1


@pytest.mark.parametrize("passes", [1, 3])
def test_gdumb_trains_fifty_epochs_on_what_it_holds_whatever_the_passes(small, passes):
    learner = learner_of(replace(small, passes=passes), "gdumb", size=30)
    # 20 exemplars are held after the first experience, 30 after the second.
    steps = [learner.steps(experience) for experience in (0, 1, 2)]
    assert steps == [50 * batches for batches in (4, 6, 6)]
    assert train(learner).iteration == 50 * 10


@pytest.mark.parametrize("method", ["naive", "joint", "reservoir", "rainbow", "gdumb", "gcr"])
def test_a_last_mini_batch_of_one_row_is_no_hindrance_to_batch_norm(small, method):
    suite = replace(
        small,
        scenario={**small.scenario, "sampled": {"samples": 11}},
        model=ModelSettings(hidden=(8,), batch_norm=True),
        update="experience",
    )
    learner = learner_of(suite, method, size=6)  # 11 = 5 + 5 + 1 of the stream, 6 = 5 + 1 held
    counts = train(learner, experiences=learner.experiences)
    planned = sum(map(learner.steps, range(learner.experiences)))
    assert counts.iteration == planned
    assert all(bool(value.isfinite().all()) for value in learner.model.state_dict().values())


# -- whole runs ------------------------------------------------------------------------------


def test_augmentation_is_for_training_only(small, tmp_path):
    suite = replace(small, augmentation="crop-flip", epochs=2)
    plain, augmented, again = (
        run(replace(suite, augmentation=kind), tmp_path / str(place))[0]
        for place, kind in enumerate(("none", "crop-flip", "crop-flip"))
    )
    assert augmented.accuracy_matrix == again.accuracy_matrix
    assert augmented.accuracy_matrix != plain.accuracy_matrix
    learner = learner_of(suite)
    train(learner)
    images = torch.cat([part.train_x for part in build_scenario(suite, 0)]).flatten(1)
    # The memory holds images as they came.
    for row in learner.buffer.store.x.flatten(1):
        assert bool((images == row).all(dim=1).any())


@pytest.mark.parametrize(
    "changes",
    [
        {"passes": 2, "replay": "separate"},
        {"replay": "whole-memory", "optimizer": "adam", "learning_rate": 0.01},
        {"memory_epochs": 2, "momentum": 0.9, "nesterov": True, "rate_decay": 0.5},
    ],
)
def test_these_settings_are_resumed_bit_for_bit(small, tmp_path, changes):
    suite = replace(small, **changes)
    first, second = learner_of(suite), learner_of(suite)
    train(first, 2)
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    # A cell seeds each experience by its number, so here only what was saved can differ.
    for learner in (first, second):
        torch.manual_seed(5)
        train_one(learner, 2)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(first.buffer.all().x, second.buffer.all().x)
