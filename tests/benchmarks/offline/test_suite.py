from dataclasses import fields, replace

import pytest

from benchmarks import datasets, suites
from benchmarks.offline import OfflineSuite
from benchmarks.offline.method import find
from benchmarks.offline.plan import OfflineCell, cells_of, check
from benchmarks.running.kind import kind_of
from benchmarks.settings import from_plain, override, to_plain
from clcore.errors import ArgumentError, UnknownNameError

OFFLINE = [name for name in suites.names() if suites.find(name).kind == "offline"]


def test_the_suites_are_there():
    wanted = {"mnist-craig", "cifar10-craig", "fmnist-coreset", "fmnist-coreset-imbalanced",
              "fmnist-coreset-noisy"}  # fmt: skip
    assert wanted <= set(OFFLINE)


@pytest.mark.parametrize("name", OFFLINE)
def test_every_suite_is_complete(name):
    suite = suites.find(name)
    assert isinstance(suite, OfflineSuite)
    assert suite.name == name
    assert suite.title
    assert suite.dataset in datasets.names()
    check(suite)
    assert cells_of(suite)
    assert {"full", "random"} <= set(suite.methods)
    assert {"epochs", "learning_rate", "fractions"} <= set(suite.sources)
    assert set(suite.sources) <= {field.name for field in fields(OfflineSuite)}
    assert from_plain(OfflineSuite, to_plain(suite)) == suite
    for published in suite.published:
        assert find(published.method, suite).label in suite.methods
        assert published.fraction in suite.fractions
        assert published.source


def test_cells_are_by_seed_then_optimiser_then_fraction_and_full_comes_first(make_suite):
    suite = make_suite(
        methods=("random", "full"), fractions=(0.1, 0.2), seeds=(0, 1), optimizers=("sgd", "adam")
    )
    assert [cell.name for cell in cells_of(suite)] == [
        f"{method}-f{share}-{optimizer}-s{seed}"
        for seed in (0, 1)
        for optimizer in ("sgd", "adam")
        for method, share in (("full", "1"), ("random", "0.1"), ("random", "0.2"))
    ]


def test_a_cell_is_its_record(make_suite):
    cell = OfflineCell("craig+every5", 0.05, "sgd", 3)
    assert kind_of("offline").cell(cell.record()) == cell


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", ("full", "full", 1, True)),
        ("random", ("random", "random", 1, True)),
        ("random_fixed", ("random-fixed", "random", None, True)),
        ("craig", ("craig", "craig", 1, True)),
        ("craig+every5", ("craig+every5", "craig", 5, True)),
        ("CRAIG+once+unweighted", ("craig+once+unweighted", "craig", None, False)),
        ("craig+sampled", ("craig+sampled", "craig", 1, "sampling")),
    ],
)
def test_names_of_methods(make_suite, name, expected):
    method = find(name, make_suite())
    assert (method.label, method.selector, method.every, method.weighted) == expected
    assert method.rate == 1.0


def test_a_method_may_have_a_rate_of_its_own(make_suite):
    method = find("full+rate2.5", make_suite())
    assert (method.label, method.full, method.rate) == ("full+rate2.5", True, 2.5)
    assert find("craig+rate10+once", make_suite()).rate == 10.0
    cells = cells_of(make_suite(methods=("full", "full+rate2.5")))
    assert [cell.fraction for cell in cells] == [1.0, 1.0]


def test_a_suite_that_starts_from_scratch_chooses_once(make_suite):
    suite = make_suite(pretrain_epochs=1)
    assert find("craig", suite).every is None
    assert find("craig+once", suite).every is None
    with pytest.raises(ArgumentError, match=r"\+every5 is without effect in tiny-offline"):
        find("craig+every5", suite)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("craig+every0", "every0"),
        ("craig+sometimes", "sometimes"),
        ("craig+rate0", "rate0"),
        ("craig+ratex", "ratex"),
        ("full+once", "takes no option but"),
        ("random-fixed+unweighted", "takes no option but"),
        ("craig+sampled+unweighted", r"has \+sampled and \+unweighted, of which only one"),
        ("craig+every5+once", r"has \+every5 and \+once, of which only one"),
        ("craig+every5+every3", r"has \+every5 and \+every3, of which only one"),
        ("craig+rate2+rate2.5", r"has \+rate2 and \+rate2.5, of which only one"),
    ],
)
def test_options_that_there_are_not(make_suite, name, words):
    with pytest.raises(ArgumentError, match=words):
        find(name, make_suite())


def test_an_unknown_method_suggests_the_nearest(make_suite):
    with pytest.raises(UnknownNameError, match="craig"):
        cells_of(make_suite(methods=("crag",)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ()}, "methods"),
        ({"fractions": (0.1, 0.1)}, "more than once"),
        ({"fractions": (0.0,)}, "fractions"),
        ({"fractions": (1.5,)}, "fractions"),
        ({"seeds": (-1,)}, "seeds"),
        ({"optimizers": ("svrg",)}, "svrg"),
        ({"learner": "convex", "optimizers": ("adam",)}, "adam"),
        ({"learning_rate": {"adam": 0.1}}, "learning_rate.sgd"),
        ({"nesterov": True}, "nesterov"),
        ({"warmup_epochs": 4}, "warmup_epochs"),
        ({"warmup_epochs": 2, "coreset_epochs": 2}, "coreset_epochs"),
        ({"warmup_epochs": 1, "pretrain_epochs": 1}, "pretrain_epochs"),
    ],
)
def test_suites_that_cannot_be(make_suite, changes, words):
    with pytest.raises(ArgumentError, match=words):
        make_suite(**changes)


def test_the_same_method_in_two_spellings_is_refused(make_suite):
    with pytest.raises(ArgumentError, match="more than once"):
        cells_of(make_suite(methods=("random_fixed", "random-fixed")))


def test_options_of_selectors_are_checked_before_anything_runs(make_suite):
    with pytest.raises(ArgumentError, match="no option"):
        check(make_suite(options={"craig": {"colour": 1}}))
    with pytest.raises(UnknownNameError):
        check(make_suite(options={"crag": {}}))
    with pytest.raises(UnknownNameError):
        check(make_suite(dataset="digit"))


def test_settings_by_text(make_suite):
    changed = override(make_suite(), ["epochs=7", "every=null", "learning_rate.adam=0.1"][:2])
    assert (changed.epochs, changed.every) == (7, None)
    assert replace(changed, epochs=4, every=1) == make_suite()
