from dataclasses import replace

import pytest

from benchmarks import runner
from benchmarks.models import ModelSettings
from benchmarks.offline import OfflineSuite
from benchmarks.running import folder


def tiny_suite(**changes):
    """A suite on 200 digits: a tenth of a second a cell."""
    suite = OfflineSuite(
        name="tiny-offline",
        version=1,
        title="Two hundred digits, a small network",
        dataset="digits",
        model=ModelSettings(hidden=(16,)),
        train_rows=200,
        validation_rows=50,
        epochs=4,
        batch_size=20,
        learning_rate=0.5,
        l2=1e-4,
        methods=("full", "random", "random-fixed", "craig"),
        fractions=(0.2,),
        seeds=(0,),
        options={"craig": {"gradients": "last_layer"}},
    )
    return replace(suite, **changes)


@pytest.fixture(scope="module")
def make_suite():
    return tiny_suite


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of the tiny suite with two seeds and two fractions."""
    path = tmp_path_factory.mktemp("finished") / "run"
    runner.run(folder.create(path, tiny_suite(seeds=(0, 1), fractions=(0.1, 0.2))))
    return path
