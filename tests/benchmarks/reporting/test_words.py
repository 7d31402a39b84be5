"""The sentences at the top of a page say no more than the numbers do."""

from __future__ import annotations

import json

import pytest

from benchmarks.reporting.gather import gather, open_sources
from benchmarks.reporting.words import duration, headline, tiles


def words(folder, *others) -> str:
    return " ".join(headline(gather(open_sources([folder, *others])))).replace("\xa0", " ")


def test_three_seeds_name_the_highest_mean_and_the_references(run_folder):
    text = words(run_folder)
    assert text.startswith("With 200 exemplars, herding has the highest mean, ")
    assert "For reference, naive at " in text
    assert " and joint at " in text
    assert text.endswith("differences within the standard deviations are ties.")


def test_ties_are_counted(synthetic, tmp_path):
    folder = synthetic.folder(
        tmp_path / "x", methods=("ring", "herding", "k-means"), seeds=range(5)
    )
    record = json.loads((folder / "results.json").read_text())
    for run in record["runs"]:
        run["final_accuracy"] = 0.5 + 0.01 * run["seed"] + (0.001 if run["method"] == "ring" else 0)
    (folder / "results.json").write_text(json.dumps(record))
    text = words(folder)
    assert "ring ends highest, at 52.1 ± 1.6 %, not to be told from 2 others." in text


def test_between_runs_nothing_is_called_best(synthetic, tmp_path):
    options = {"methods": ("ring", "herding"), "seeds": range(5)}
    first = synthetic.folder(tmp_path / "a", **options)
    second = synthetic.folder(tmp_path / "b", **options)
    text = words(first, second)
    assert "has the highest mean" in text
    assert "ends best" not in text


def test_a_single_method_just_ends(synthetic, tmp_path):
    text = words(synthetic.folder(tmp_path / "a", methods=("ring",), seeds=(0,)))
    assert "With 200 exemplars, ring ends at " in text
    assert "With 1 seed a method" in text


def test_tiles_count_what_there_is(run_folder):
    found = {unit: figure for figure, unit in tiles(gather(open_sources([run_folder])))}
    assert found["methods"] == "6"
    assert found["seeds"] == "3"
    assert found["experiences"] == "5"
    assert found["exemplars"] == "200"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (48.4, "48 s"), (60, "1 min"), (200, "3 min 20 s"), (3600, "1 h"),
     (7500, "2 h 5 min")],
)  # fmt: skip
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
