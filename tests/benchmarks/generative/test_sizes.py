"""More rows than there are: refused in one sentence before a cell is run or a file written."""

import re

import pytest

from benchmarks import runner, suites
from benchmarks.generative.sizes import check_cells
from benchmarks.running import folder
from benchmarks.running.kind import kind_of
from clcore.errors import ArgumentError
from strategies.generative.picking import pool_size

POINTS = {"learner": "points", "methods": ("plain", "random-subset", "k-center"), "points": 200}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {**POINTS, "batch_sizes": (8, 201)},
            "batch_sizes: got 201; plain trains on 200 rows, so at most 200 is allowed",
        ),
        (
            {**POINTS, "batch_sizes": (101,)},
            "batch_sizes: got 101; random-subset trains on 100 rows, so at most 100 is allowed",
        ),
        (
            {**POINTS, "batch_sizes": (26,)},
            "batch_sizes: got 26; each batch is chosen out of 8 times as many rows "
            "(image_factor), 208, and k-center trains on 200 rows, so at most 25, or an "
            "image_factor of at most 7.69, is allowed",
        ),
        (
            {**POINTS, "batch_sizes": (8,), "image_factor": 150},
            "batch_sizes: got 8; each batch is chosen out of 150 times as many rows "
            "(image_factor), 1200, and k-center trains on 200 rows, so an image_factor of at most "
            "25 is allowed",
        ),
        (
            {**POINTS, "keep": 0.03},
            "batch_sizes: got 8; random-subset trains on 6 rows, so at most 6 is allowed",
        ),
        (
            {**POINTS, "keep": 0.001},
            "keep: got 0.001; random-subset trains on 1 rows, and at least 2 are needed for a "
            "batch",
        ),
        (
            {**POINTS, "points": 1},
            "points: plain trains on 1 rows, and at least 2 are needed for a batch",
        ),
        (
            {"learner": "gan", "batch_sizes": (301,)},
            "batch_sizes: got 301; plain trains on 300 rows, so at most 300 is allowed",
        ),
        (
            {"learner": "gan", "train_rows": None, "batch_sizes": (100_000,)},
            "batch_sizes: got 100000; plain trains on 1438 rows, so at most 1438 is allowed",
        ),
        ({"train_rows": 5000}, "train_rows: 5000 rows are wanted, and digits has 1438"),
        ({"references": 5000}, "references: 5000 rows are wanted, and digits has 359"),
        (
            {"learner": "vae", "methods": ("pseudo-coreset",), "pseudo_points": 301},
            "pseudo_points: got 301; pseudo-coreset trains on 300 rows, so at most 300 is allowed",
        ),
        (
            {"learner": "vae", "likelihood_rows": 61},
            "likelihood_rows: got 61; there are 60 test rows, so at most 60 is allowed",
        ),
    ],
)
def test_is_refused_before_anything_is_written(make_suite, tmp_path, changes, message):
    suite = make_suite(**changes)
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        folder.create(tmp_path / "run", suite)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"learner": "points", "batch_sizes": (200,), "methods": ("plain", "top-k")},
        {"learner": "points", "batch_sizes": (100,), "methods": ("random-subset",)},
        {"learner": "points", "batch_sizes": (25,), "methods": ("k-center",)},
        # Latents are drawn: there are always enough.
        {"learner": "points", "batch_sizes": (200,), "methods": ("k-center+latents",)},
        {"learner": "vae", "methods": ("pseudo-coreset",), "pseudo_points": 300},
        {"learner": "vae", "likelihood_rows": 60},
        {"learner": "gan", "likelihood_rows": 61},
    ],
)
def test_what_is_just_enough_is_not_refused(make_suite, tmp_path, changes):
    assert folder.create(tmp_path / "run", make_suite(**changes)).cells


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.5, 3.3, 8.0])
@pytest.mark.parametrize("rows", [20, 25, 26, 27])
def test_the_allowed_size_is_allowed_and_the_next_is_not(make_suite, factor, rows):
    def check(size):
        suite = make_suite(
            "points", points=rows, image_factor=factor, methods=("k-center",), batch_sizes=(size,)
        )
        check_cells(suite, kind_of("generative").cells_of(suite))

    with pytest.raises(ArgumentError) as refused:
        check(rows if factor > 1 else rows + 1)
    most = int(re.search(r"so at most (\d+)", str(refused.value))[1])
    check(most)
    assert pool_size(most + 1, factor) > rows
    with pytest.raises(ArgumentError):
        check(most + 1)


def test_a_run_is_not_extended_by_what_can_not_be_run(make_suite, tmp_path):
    path = tmp_path / "run"
    folder.create(path, make_suite("points", methods=("k-center",)))
    before = (path / "settings.json").read_text()
    with pytest.raises(ArgumentError, match=r"batch_sizes: got 26; .* so at most 25"):
        folder.reopen(path, batch_sizes=(26,))
    with pytest.raises(ArgumentError, match="batch_sizes: got 201; plain"):
        folder.reopen(path, methods=("plain",), batch_sizes=(201,))
    assert (path / "settings.json").read_text() == before
    # k-center with batches of 150 isn't planned, and is not what is checked.
    run = folder.reopen(path, methods=("plain",), batch_sizes=(150,))
    assert [cell.name for cell in run.cells] == ["k-center-b8-s0", "plain-b150-s0"]
    assert len(runner.run(run).runs) == 2


def test_a_run_refuses_cells_that_were_planned_without_a_look(make_suite, tmp_path, monkeypatch):
    suite = make_suite("points", batch_sizes=(8, 201))
    with monkeypatch.context() as without:
        without.setattr(type(kind_of("generative")), "check_cells", lambda *_: None)
        run = folder.create(tmp_path / "run", suite)
    with pytest.raises(ArgumentError, match="batch_sizes: got 201; plain trains on 200 rows"):
        runner.run(run)
    assert not list((tmp_path / "run" / "cells").iterdir())


@pytest.mark.parametrize("name", [n for n in suites.names() if n.startswith("gaussians-gan")])
def test_shipped_suites_on_points_have_rows_enough(name):
    suite = suites.find(name)
    check_cells(suite, kind_of("generative").cells_of(suite))
