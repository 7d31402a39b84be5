import pytest

from benchmarks import suites
from benchmarks.settings import (
    changed,
    derived_seed,
    from_plain,
    override,
    settings_hash,
    to_plain,
)
from benchmarks.suites import Suite
from clcore.errors import ArgumentError, UnknownNameError

SUITE = suites.find("split-fmnist-er")


@pytest.mark.parametrize(
    ("assignment", "read"),
    [
        ("epochs=3", lambda s: s.epochs == 3),
        ("batch-size=20", lambda s: s.batch_size == 20),
        ("learning_rate=0.5", lambda s: s.learning_rate == 0.5),
        ("learning_rate.200=0.5", lambda s: s.rate(200) == 0.5 and s.rate(500) == 0.1),
        ("learning_rate.300=0.5", lambda s: s.rate(300) == 0.5),
        ("model.hidden=100,50", lambda s: s.model.hidden == (100, 50)),
        ("model.hidden=100", lambda s: s.model.hidden == (100,)),
        ("model.hidden=[100]", lambda s: s.model.hidden == (100,)),
        ("normalise=none", lambda s: s.normalise == "none"),
        ("normalise=dataset", lambda s: s.normalise == "dataset"),
        ("scenario.split.classes_per_experience=5", lambda s: s.scenario["split"] ==
         {"classes_per_experience": 5}),
        ("scenario.sampled.samples=9", lambda s: list(s.scenario) == ["split", "sampled"]),
    ],
)  # fmt: skip
def test_override(assignment, read):
    found = override(SUITE, [assignment])
    assert read(found)
    assert override(SUITE, changed(SUITE, found)) == found


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epochs", "key=value is needed"),
        ("=3", "key=value is needed"),
        ("epochs=many", "setting epochs: got 'many'"),
        ("epochs=0", "setting epochs: got 0"),
        ("learning_rate=-1", "setting learning_rate: got -1"),
        ("model.dropout=1.5", r"setting model\.dropout: got 1\.5"),
        ("update=never", "setting update: got 'never'"),
    ],
)
def test_wrong_values_are_named(assignment, words):
    with pytest.raises(ArgumentError, match=words):
        override(SUITE, [assignment])


def test_settings_that_do_not_go_together_are_told_in_one_sentence():
    suite = suites.find("split-digits")
    with pytest.raises(ArgumentError) as caught:
        override(suite, ["nesterov=true"])
    assert str(caught.value) == "nesterov: SGD with a momentum above 0 is needed"


def test_changes_are_written_as_they_would_be_typed():
    assert list(changed(SUITE, override(SUITE, ["scenario.sampled.samples=9"]))) == [
        "scenario.sampled.samples=9"
    ]
    one_rate = override(SUITE, ["learning_rate=0.5"])
    assert changed(SUITE, one_rate) == ["learning_rate=0.5"]
    back = changed(one_rate, SUITE)
    assert override(one_rate, back) == SUITE


@pytest.mark.parametrize(
    ("suite", "assignment", "field", "read"),
    [
        ("mnist-craig", "options.craig.gradients=last_layer", "options",
         {"craig": {"gradients": "last_layer"}}),
        ("fmnist-gan", "image_options.kernel-herding.bandwidth=2", "image_options",
         {"kernel-herding": {"bandwidth": 2}}),
        ("fmnist-gan", "latent-options.k-center.per-label=false", "latent_options",
         {"k-center": {"per_label": False}}),
    ],
)  # fmt: skip
def test_options_of_selectors_are_set_by_their_names(suite, assignment, field, read):
    before = suites.find(suite)
    found = override(before, [assignment])
    assert read.items() <= getattr(found, field).items()
    assert override(before, changed(before, found)) == found


def test_given_twice():
    with pytest.raises(ArgumentError, match="'epochs' is given twice"):
        override(SUITE, ["epochs=1", "epochs=2"])


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epoch=3", "did you mean epochs"),
        ("model.hiden=3", r"did you mean model\.hidden"),
        ("epochs.x=3", "unknown setting"),
        ("name=mine", "unknown setting 'name'"),
    ],
)
def test_unknown_settings_suggest_the_nearest(assignment, words):
    with pytest.raises(UnknownNameError, match=words):
        override(SUITE, [assignment], fixed=("name",))


def test_plain_and_back():
    for name in suites.names():
        suite = suites.find(name)
        assert from_plain(type(suite), to_plain(suite)) == suite


def test_hash_tells_settings_apart_and_is_stable():
    plain = to_plain(SUITE)
    assert settings_hash(plain) == settings_hash(to_plain(from_plain(Suite, plain)))
    assert settings_hash(plain) != settings_hash(to_plain(override(SUITE, ["epochs=2"])))
    assert settings_hash({"a": 1}) == "015abd7f5cc5"


def test_derived_seeds_differ_by_purpose_and_are_the_same_everywhere():
    assert derived_seed(0, "model") == 1769911127
    seeds = {derived_seed(s, p) for s in range(50) for p in ("model", "memory")}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)
