from dataclasses import fields, replace

import pytest

from benchmarks import datasets, methods, suites
from benchmarks.running.data import build_scenario, check_scenario
from benchmarks.running.plan import Cell, cells_of, united
from benchmarks.suites import Suite
from clcore.errors import ArgumentError, UnknownNameError

NAMES = [
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
    assert suites.names() == NAMES


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
        ({"training": "online"}, ArgumentError, "'herding' chooses its memory again"),
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
