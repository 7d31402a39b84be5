"""A generative cell on wandb, offline, read back with wandb's own reader."""

import numpy as np
import pytest

from benchmarks.generative import wandb_keys as keys
from benchmarks.generative.pictures import LAST, picture_name
from benchmarks.reporting import read_events
from benchmarks.reporting.gather import open_sources
from benchmarks.reporting.images import read_picture
from benchmarks.reporting.wandb_keys import AXES, run_id, tags
from benchmarks.reporting.wandb_sink import feed
from benchmarks.reporting.wandb_summary import methods_table
from clcore.errors import FormatError


@pytest.fixture(scope="module")
def cell(synthetic, tmp_path_factory):
    """The folder of one finished cell."""
    record = synthetic.results(methods=("k-center",), sizes=(64,), seeds=(0,))
    return synthetic.cell(tmp_path_factory.mktemp("run"), record["runs"][0], record)


@pytest.fixture(scope="module")
def run(cell, inspect_run):
    return inspect_run(feed(cell, mode="offline").folder)


def test_every_event_has_its_keys(cell):
    events = read_events(cell)
    points = [event for event in events if event["event"] == "point"]
    payload = keys.point(points[1], cell, "k-center, batch 64")
    assert set(payload) == {
        "iteration", "seconds", "course/selection_seconds", "course/recovered_modes",
        "course/high_quality", "course/kl", "train/generator", "train/discriminator",
        "samples/course",
    }  # fmt: skip
    for key in set(payload) - {"iteration", "seconds"}:
        assert AXES[key.split("/")[0] + "/*"] in payload
    assert "train/generator" not in keys.point(points[0], cell, "")
    assert set(keys.end(events[-1], cell)) == {"iteration", "samples/last"}
    assert keys.last_values({}) == {}


def test_the_course_is_over_seconds_and_losses_over_steps(cell, run):
    points = [event for event in read_events(cell) if event["event"] == "point"]
    assert run.axes["course/*"] == "seconds"
    assert run.axes["samples/*"] == run.axes["train/*"] == "iteration"
    logged = run.series("seconds", "course/recovered_modes")
    assert logged == pytest.approx(
        {point["seconds"]: point["measures"]["recovered_modes"] for point in points}
    )
    assert run.series("iteration", "train/generator") == {500: 2, 1000: 3, 1500: 4, 2000: 5}


def test_pictures_have_the_right_pixels(cell, run):
    paths = run.series("iteration", "samples/course.path")
    assert sorted(paths) == [0, 500, 1000, 1500, 2000]
    for steps, path in paths.items():
        shown = read_picture(run.file(path))
        assert np.array_equal(shown, read_picture(cell / picture_name(steps)))
    (path,) = run.series("iteration", "samples/last.path").values()
    assert np.array_equal(read_picture(run.file(path)), read_picture(cell / LAST))
    assert shown.dtype == np.uint8
    assert shown.std() > 10


def test_the_run_is_named_and_tagged(cell, run):
    (header,) = run.of("run")
    assert header["display_name"] == "k-center-b64-s0"
    assert set(header["tags"]) == {"gaussians-gan", "k-center", "generative", "seed 0", "batch 64"}
    assert run.config["batch_size"] == 64
    assert "result.json" in run.artifacts["result"]


def test_ids_differ_between_cells(synthetic_run):
    starts = [read_events(cell)[0] for cell in (synthetic_run / "cells").iterdir()]
    assert len({run_id(start) for start in starts}) == len(starts) == 40
    assert "batch 128" in tags(next(s for s in starts if s["batch_size"] == 128))


def test_a_picture_outside_of_the_folder_is_refused(cell):
    event = next(e for e in read_events(cell) if e["event"] == "point")
    with pytest.raises(FormatError, match="outside of it"):
        keys.point({**event, "picture": "../../other.png"}, cell, "")


def test_the_table_of_all_methods(synthetic_run):
    table = methods_table(open_sources([synthetic_run]))
    assert len(table.data) == 8
    assert "recovered_modes_std" in table.columns
