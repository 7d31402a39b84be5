"""Settings of generative suites: what is refused, and the suites that are shipped."""

from dataclasses import fields, replace

import pytest

from benchmarks import datasets, suites
from benchmarks.generative import GenerativeSuite, NetworkSettings
from benchmarks.generative.data import build_data
from benchmarks.generative.measures import described
from benchmarks.generative.plan import cells_of, check, require
from benchmarks.running import folder
from benchmarks.running.kind import NAMES as KINDS
from benchmarks.running.kind import kind_of
from benchmarks.settings import from_plain, override, to_plain
from clcore.errors import ArgumentError, DataUnavailableError, UnknownNameError

SHIPPED = [name for name in suites.names() if suites.find(name).kind == "generative"]


def test_the_shipped_suites():
    assert SHIPPED == [
        "cifar10-diffusion", "cifar10-gan", "fmnist-diffusion", "fmnist-gan", "fmnist-vae",
        "gaussians-gan", "gaussians-gan-100",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_every_suite_is_complete(name):
    suite = suites.find(name)
    assert isinstance(suite, GenerativeSuite)
    assert suite.name == name
    assert suite.title
    assert suite.version >= 1
    assert suite.dataset in (*datasets.names(), "gaussians")
    assert cells_of(suite)
    assert suite.methods[0] == "plain"
    assert set(suite.sources) <= {field.name for field in fields(GenerativeSuite)}
    assert {"dataset", "steps", "network", "learning_rate"} <= set(suite.sources)
    labels = {cell.method for cell in cells_of(suite)}
    for published in suite.published:
        assert published.method in labels
        assert published.batch_size in suite.batch_sizes
        assert published.measure in suite.measures
        assert published.source
    assert from_plain(GenerativeSuite, to_plain(suite)) == suite
    measures = described(suite)
    assert tuple(measure.name for measure in measures) == suite.measures
    # Measuring is a small part of a cell: few points.
    assert suite.steps / suite.evaluate_every <= 20


def test_the_kind_is_known():
    assert "generative" in KINDS
    assert kind_of("generative").suite is GenerativeSuite


@pytest.mark.parametrize(
    ("learner", "changes", "message"),
    [
        ("gan", {"methods": ()}, "methods: at least one"),
        ("gan", {"seeds": (0, 0)}, "seeds: 0 is given more than once"),
        ("gan", {"batch_sizes": ()}, "batch_sizes: at least one"),
        ("gan", {"batch_sizes": (8, 1)}, "batch_sizes: got 1"),
        ("gan", {"measure": "fid"}, "measure: 'fid' is not measured"),
        ("gan", {"measure": "elbo"}, "there are frechet_distance, kernel_distance"),
        ("points", {"measure": "precision"}, "there are recovered_modes, high_quality, kl"),
        ("points", {"modes": 24}, "square"),
        ("points", {"embedding": "classifier"}, "embedding"),
        ("gan", {"network": NetworkSettings("mlp")}, "'sn-gan'"),
        ("gan", {"network": NetworkSettings("sn-gan", hidden=())}, "at least one"),
        ("diffusion", {"network": NetworkSettings("unet", hidden=(12,))}, "multiples of 8"),
        ("gan", {"binarise": True}, "grey values"),
        ("vae", {"binarise": False}, "Bernoulli"),
    ],
)
def test_settings_that_are_refused(make_suite, learner, changes, message):
    with pytest.raises(ArgumentError, match=message):
        make_suite(learner, **changes)


def test_points_have_a_gan_only(make_suite):
    suite = make_suite("points")
    with pytest.raises(ArgumentError, match="gan only, not a vae"):
        replace(suite, learner="vae", measure="elbo")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("steps=0", "steps"),
        ("ema=1", "ema"),
        ("loss=mse", "loss"),
        ("keep=1.5", "keep"),
        ("latent_factor=0.5", "latent_factor"),
        ("samples=3", "samples"),
        ("network.hidden=a", "network.hidden"),
        ("device=tpu", "device"),
    ],
)
def test_values_out_of_range(make_suite, assignment, message):
    with pytest.raises(ArgumentError, match=message):
        override(make_suite(), [assignment])


def test_what_a_kind_fixes_can_not_be_set(make_suite):
    kind = kind_of("generative")
    with pytest.raises(UnknownNameError, match="learner"):
        override(make_suite(), ["learner=vae"], fixed=(*kind.fixed, *kind.choice))


def test_data_sets_that_there_are_not(make_suite):
    with pytest.raises(UnknownNameError, match="fashion-mnist"):
        check(make_suite(dataset="fashion-mnis"))
    with pytest.raises(ArgumentError, match="no images"):
        check(make_suite(dataset="covtype"))
    check(make_suite("points"))
    require(make_suite("points"))


def test_what_is_missing_is_said_before_anything_runs(make_suite, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ArgumentError, match="--set device=cpu"):
        check(make_suite(device="cuda"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for suite, extra in (
        (make_suite(extractor="efficientnet-lite0"), "images"),
        (make_suite(methods=("k-center",), embedding="efficientnet-lite0"), "images"),
        (make_suite("diffusion"), "diffusion"),
    ):
        with pytest.raises(DataUnavailableError, match=rf"clcore\[{extra}\]"):
            check(suite)
    # Embeddings that no method looks at need no package.
    check(make_suite(methods=("plain", "top-k", "random-subset"), embedding="efficientnet-lite0"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_rows": 5000}, "train_rows: 5000 rows are wanted"),
        ({"references": 5000}, "references: 5000 rows are wanted"),
    ],
)
def test_more_rows_than_there_are(make_suite, changes, message):
    with pytest.raises(ArgumentError, match=message):
        build_data(make_suite(**changes), 0)


def test_the_command_of_a_run(make_suite, tmp_path):
    shipped = suites.find("gaussians-gan")
    suite = replace(shipped, methods=("plain",), batch_sizes=(32, 64), steps=10)
    command = folder.create(tmp_path / "run", suite).settings["command"]
    assert "--batch-sizes 32,64" in command
    assert "--set steps=10" in command
    assert "--methods plain" in command
