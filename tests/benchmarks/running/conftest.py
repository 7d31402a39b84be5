from dataclasses import replace

import pytest

from benchmarks import suites
from benchmarks.models import ModelSettings
from benchmarks.suites import Suite


@pytest.fixture
def tiny() -> Suite:
    """Two methods and two seeds on 200 digits: under half a second a cell."""
    return replace(
        suites.find("split-digits"),
        scenario={"split": {"classes_per_experience": 2}, "sampled": {"samples": 40}},
        model=ModelSettings(hidden=(16,)),
        epochs=2,
        methods=("reservoir", "herding+nem"),
        memory_sizes=(20,),
        seeds=(0, 1),
        evaluations_during=1,
        log_points=3,
    )
