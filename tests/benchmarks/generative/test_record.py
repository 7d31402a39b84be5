"""What a cell leaves: refused where it contradicts itself, the same after writing and reading."""

import pytest
from pydantic import ValidationError

from benchmarks.generative.record import GenerativeResults, GenerativeRun
from benchmarks.reporting import read_any_results, results_schema, write_results


def test_results_survive_the_file(synthetic, tmp_path):
    results = GenerativeResults.model_validate(synthetic.results())
    write_results(tmp_path, results)
    assert read_any_results(tmp_path) == results


def test_a_run_knows_its_end(synthetic):
    run = GenerativeRun.model_validate(synthetic.run("k-center", 64, 3))
    assert run.cell == "k-center-b64-s3"
    assert run.headline.name == "recovered_modes"
    assert run.final == run.course.measures["recovered_modes"][-1] == run.last("recovered_modes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run["course"]["seconds"].pop(), "differ in length"),
        (lambda run: run["course"]["measures"]["kl"].pop(), "differ in length"),
        (lambda run: run["course"]["measures"].clear(), "nothing was measured"),
        (lambda run: run["course"]["steps"].reverse(), "steps must ascend"),
        (lambda run: run["course"]["cpu_seconds"].reverse(), "seconds must not fall"),
        (lambda run: run["measures"].pop(), "not those of the course"),
        (lambda run: run["course"]["measures"]["kl"].__setitem__(0, float("nan")), "finite"),
    ],
)
def test_contradictions_are_refused(synthetic, change, message):
    run = synthetic.run()
    run["measures"] = list(run["measures"])
    change(run)
    with pytest.raises(ValidationError, match=message):
        GenerativeRun.model_validate(run)


def test_the_schema_is_known():
    assert "GenerativeRun" in results_schema("generative")["$defs"]
