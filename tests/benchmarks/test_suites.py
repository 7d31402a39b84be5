import re
from dataclasses import fields, replace

import pytest
import torch

from benchmarks import datasets, methods, suites
from benchmarks.running.data import build_scenario, check_scenario
from benchmarks.running.plan import Cell, cells_of, united
from benchmarks.suites import Suite
from clcore.errors import ArgumentError, UnknownNameError

NAMES = [
    "borsos-imbalanced-stream",
    "borsos-permuted-mnist",
    "borsos-split-mnist",
    "gss-imbalanced",
    "gss-permuted-mnist",
    "gss-split-mnist",
    "imbalanced-split-fmnist",
    "noisy-split-fmnist",
    "ocs-rotated-mnist",
    "ocs-rotated-mnist-imbalanced",
    "permuted-mnist",
    "rm-blurry-mnist",
    "rotated-mnist",
    "split-cifar10",
    "split-digits",
    "split-digits-imbalanced",
    "split-fmnist-er",
    "split-fmnist-er-imbalanced",
    "split-mnist-online",
]


def test_names_are_the_files():
    kinds = {name: suites.find(name).kind for name in suites.names()}
    assert [name for name, kind in kinds.items() if kind == "continual"] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_suite_is_complete(name):
    suite = suites.find(name)
    assert suite.name == name
    assert suite.title
    assert suite.version >= 1
    assert suite.dataset in datasets.names()
    check_scenario(suite)
    assert cells_of(suite)
    sourced = {
        "dataset", "scenario", "model", "epochs", "batch_size", "replay_batch_size",
        "learning_rate", "update", "memory_sizes",
    }  # fmt: skip
    assert sourced <= set(suite.sources)
    assert set(suite.sources) <= {field.name for field in fields(Suite)}
    assert {"naive", "joint"} <= set(suite.methods)
    for published in suite.published:
        assert methods.find(published.method).label in suite.methods
        assert published.memory_size in (0, *suite.memory_sizes)
        assert 0 < published.final_accuracy < 1
        assert published.source


def test_the_protocol_of_buzzega():
    suite = suites.find("split-fmnist-er")
    assert (suite.batch_size, suite.replay_batch_size, suite.epochs) == (10, 128, 1)
    assert [suite.rate(size) for size in (200, 500, 1000)] == [0.03, 0.1, 0.1]
    assert (suite.momentum, suite.weight_decay, suite.normalise) == (0.0, 0.0, "none")
    assert suite.model.hidden == (256, 256)
    assert suite.update == "iteration"


def test_the_protocol_of_gss():
    suite = suites.find("gss-split-mnist")
    assert (suite.batch_size, suite.replay_batch_size) == (10, 10)
    assert (suite.epochs, suite.passes, suite.replay) == (1, 3, "separate")
    assert (suite.learning_rate, suite.momentum, suite.optimizer) == (0.05, 0.0, "sgd")
    assert suite.model.hidden == (100, 100)
    assert suite.scenario["sampled"] == {"samples": 1000}
    assert suite.memory_sizes == (300, 400, 500)
    assert {(p.method, p.memory_size): p.final_accuracy for p in suite.published}[
        "gss-reference", 300
    ] == 0.826
    permuted, unequal = suites.find("gss-permuted-mnist"), suites.find("gss-imbalanced")
    for other in (permuted, unequal):
        assert other.memory_sizes == (300,)
        for name in ("model", "passes", "replay", "learning_rate", "batch_size", "methods"):
            assert getattr(other, name) == getattr(suite, name)
    assert permuted.scenario["permuted"] == {"experiences": 10}
    assert unequal.scenario["imbalanced"]["largest"] == 2000
    # Each experience dominates once in five seeds.
    assert unequal.scenario["imbalanced"]["dominant"] == {"by_seed": [0, 1, 2, 3, 4]}
    assert unequal.seeds == (0, 1, 2, 3, 4)


def test_the_protocol_of_rainbow_memory():
    suite = suites.find("rm-blurry-mnist")
    assert suite.scenario == {"blurry": {"classes_per_experience": 2, "minority": 0.1}}
    assert (suite.model.hidden, suite.model.batch_norm) == ((400, 400), True)
    assert (suite.batch_size, suite.replay_batch_size, suite.epochs) == (8, 8, 1)
    assert (suite.learning_rate, suite.momentum, suite.nesterov) == (0.05, 0.9, True)
    assert (suite.weight_decay, suite.memory_epochs) == (0.0001, 5)
    assert (suite.augmentation, suite.normalise) == ("none", "dataset")
    assert suite.memory_sizes == (500,)


def test_the_protocol_of_borsos():
    permuted, splits = suites.find("borsos-permuted-mnist"), suites.find("borsos-split-mnist")
    for suite, beta in ((permuted, 0.01), (splits, 100.0)):
        assert "aser-update" in suite.methods
        assert not {"aser", "mir"} & set(suite.methods)
        assert (suite.epochs, suite.batch_size, suite.memory_sizes) == (400, 256, (100,))
        assert (suite.optimizer, suite.learning_rate) == ("adam", 0.0005)
        assert (suite.replay, suite.beta, suite.update) == ("whole-memory", beta, "experience")
        assert suite.scenario["sampled"] == {"samples": 1000}
    assert (permuted.model.name, permuted.model.hidden) == ("mlp", (100, 100))
    assert permuted.model.dropout == 0.2
    assert (splits.model.name, splits.model.hidden) == ("conv", (32, 64, 128))
    assert splits.model.dropout == 0.5


def test_the_protocol_of_ocs():
    suite = suites.find("ocs-rotated-mnist")
    assert suite.scenario["rotated"] == {"experiences": 20}
    assert (suite.batch_size, suite.replay_batch_size, suite.selection_batch_size) == (10, 10, 100)
    # Ten passes over batches ten times as large: as many steps as the others make in one.
    assert suite.selection_epochs == suite.selection_batch_size // suite.batch_size
    assert (suite.learning_rate, suite.momentum, suite.rate_decay) == (0.005, 0.8, 0.75)
    assert (suite.model.hidden, suite.model.dropout) == ((256, 256), 0.2)
    unequal = suites.find("ocs-rotated-mnist-imbalanced")
    assert unequal.scenario["thinned"] == {"keep": [0, 5], "ratio": 0.1}
    assert unequal.rate_decay == 0.8


def test_the_stream_of_borsos(monkeypatch):
    suite = suites.find("borsos-imbalanced-stream")
    assert (suite.epochs, suite.batch_size, suite.learning_rate) == (40, 256, 0.0005)
    assert (suite.optimizer, suite.renew_optimizer, suite.beta) == ("adam", True, 10.0)
    whole = replace(suite, scenario={k: v for k, v in suite.scenario.items() if k != "chunked"})
    y = torch.arange(10).repeat(1100)
    x = torch.zeros(len(y), 1, 2, 2, dtype=torch.uint8)
    toy = datasets.ImageData.of("toy", datasets.Arrays(x, y, x[:10], y[:10]), tuple("0123456789"))
    monkeypatch.setattr("benchmarks.running.data.load_data", lambda name: toy)
    assert [len(e) for e in build_scenario(whole, 0)] == [200, 200, 200, 200, 2000]
    stream = build_scenario(suite, 0)
    assert [len(e) for e in stream] == [125] * 22
    assert [e.parent for e in stream][:8] == [0, 0, 1, 1, 2, 3, 3, 4]


def test_unknown_suite_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean split-digits"):
        suites.find("split-digit")


def test_cells_by_seed_then_memory_and_once_without_memory():
    suite = replace(
        suites.find("split-digits"),
        methods=("ring", "joint", "herding+nem"),
        memory_sizes=(50, 20),
        seeds=(3, 1),
    )
    names = [cell.name for cell in cells_of(suite)]
    assert names == [
        "joint-m0-s3", "ring-m50-s3", "herding+nem-m50-s3", "ring-m20-s3", "herding+nem-m20-s3",
        "joint-m0-s1", "ring-m50-s1", "herding+nem-m50-s1", "ring-m20-s1", "herding+nem-m20-s1",
    ]  # fmt: skip


def test_united_keeps_the_order_and_drops_repeats():
    a, b, c = Cell("a", 1, 0), Cell("b", 1, 0), Cell("c", 1, 0)
    assert united([b, a], [a, c]) == [b, a, c]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"methods": ("resevoir",)}, UnknownNameError, "did you mean reservoir"),
        ({"methods": ("ring+mean",)}, ArgumentError, r"the one there is, is ring\+nem"),
        ({"methods": ("joint+nem",)}, ArgumentError, "keeps no exemplars"),
        ({"methods": ("k-means", "k_means")}, ArgumentError, "'k-means' is given more than once"),
        (
            {"training": "online"},
            ArgumentError,
            "'herding' chooses its memory again .* such as 'reservoir', or --set training=batch",
        ),
        (
            {"training": "online", "methods": ("ocs",)},
            ArgumentError,
            "'ocs' has a training step of its own.* such as 'ocs-memory', or --set training=batch",
        ),
        *(
            (
                {"replay": "whole-memory", "methods": ("naive", "reservoir", method)},
                ArgumentError,
                f"'{re.escape(method)}' picks the exemplars of each step, but split-digits takes "
                "the whole .* such as 'reservoir' or 'aser-update', or --set replay=joint",
            )
            for method in ("mir", "aser", "aser+nem")
        ),
        ({"learning_rate": {50: 0.1}}, ArgumentError, r"--set learning_rate\.0=0\.1"),
    ],
)
def test_what_cant_be_run_is_refused(changes, error, words):
    with pytest.raises(error, match=words):
        cells_of(replace(suites.find("split-digits"), **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory_sizes": ()}, "memory_sizes: at least one"),
        ({"memory_sizes": (0,)}, "memory_sizes: got 0"),
        ({"memory_sizes": (-5,)}, "memory_sizes: got -5"),
        ({"memory_sizes": ("many",)}, "memory_sizes: got 'many'"),
        ({"seeds": ()}, "seeds: at least one"),
        ({"seeds": (1, 1)}, "seeds: 1 is given more than once"),
        ({"seeds": (-1,)}, "seeds: got -1"),
        ({"methods": ()}, "methods: at least one"),
        ({"nesterov": True}, "nesterov: SGD with a momentum above 0 is needed"),
        ({"memory_epochs": 2, "replay": "separate"}, "memory_epochs: got 2 beside replay=separate"),
        ({"memory_epochs": 2, "replay": "whole-memory"}, "after joint replay only"),
        ({"nesterov": True, "momentum": 0.9, "optimizer": "adam"}, "nesterov: SGD with"),
        ({"training": "online", "passes": 3}, "passes: got 3, which online training doesn't"),
        ({"training": "online", "replay": "separate"}, "replay: got 'separate', which online"),
        ({"training": "online", "augmentation": "crop"}, "augmentation: got 'crop'"),
        ({"training": "online", "memory_epochs": 2}, "memory_epochs: got 2"),
        ({"training": "online", "rate_decay": 0.5}, "rate_decay: got 0.5"),
        ({"training": "online", "selection_batch_size": 5}, "selection_batch_size: got 5"),
    ],
)
def test_wrong_choices_are_refused(changes, words):
    with pytest.raises(ArgumentError, match=words):
        replace(suites.find("split-digits"), **changes)


@pytest.mark.parametrize(
    ("scenario", "error", "words"),
    [
        ({}, ArgumentError, "at least one step"),
        ({"spilt": {}}, UnknownNameError, "did you mean split"),
        ({"sampled": {"samples": 3}}, ArgumentError, "can't be step 1, which takes a data"),
        ({"split": {}, "rotated": {}}, ArgumentError, "can't be step 2, which takes a scenario"),
        ({"split": {"per": 2}}, ArgumentError, r"scenario\.split: has no option 'per'"),
    ],
)
def test_wrong_scenarios_are_refused(scenario, error, words):
    with pytest.raises(error, match=words):
        check_scenario(replace(suites.find("split-digits"), scenario=scenario))


def test_unknown_data_set():
    with pytest.raises(UnknownNameError, match="did you mean digits"):
        check_scenario(replace(suites.find("split-digits"), dataset="digit"))


def test_the_long_tail_is_in_the_training_data_only():
    suite = suites.find("split-digits-imbalanced")
    tailed, whole = build_scenario(suite, 0), build_scenario(suites.find("split-digits"), 0)
    counts = [n for experience in tailed for n in experience.class_counts.values()]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= 9 * counts[-1]
    assert [len(e.test) for e in tailed] == [len(e.test) for e in whole]


def test_scenarios_depend_on_the_seed_alone():
    suite = replace(
        suites.find("split-digits"),
        scenario={"split": {"class_order": "shuffled"}, "sampled": {"samples": 20}},
    )
    first, again, other = (build_scenario(suite, seed) for seed in (0, 0, 1))
    rows = [[e.train.indices.tolist() for e in scenario] for scenario in (first, again, other)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]
