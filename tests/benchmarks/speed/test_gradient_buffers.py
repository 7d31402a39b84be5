"""The group of memories that look at gradients: every row is there, whatever it takes."""

import json
import math

import pytest

from benchmarks import speed
from benchmarks.speed import gradient_buffers

QUICK = [
    "GSS choice, 10 rows against 10 memory batches of 10",
    "GSS-IQP, 300 of 400 gradients",
    "OCS scores of 10 rows against 10 exemplars",
    "OCS scores of 100 rows against 10 exemplars",
    "iteration with GSS inside Avalanche's Naive, 10 + 10 rows",
    "BCSR: 10 of one batch of 50 × 784",
]


@pytest.fixture
def few_rounds(monkeypatch):
    """Each way of each row once."""
    race = gradient_buffers.race

    def once(contestants, *, rounds=1, calls=1, warm=True):
        return race(contestants, rounds=1, calls=1, warm=False)

    monkeypatch.setattr(gradient_buffers, "race", once)


# Of Avalanche: that nothing is logged.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quick_figures_go_to_the_table_and_the_file(few_rounds, tmp_path):
    lines = []
    out = tmp_path / "figures.json"
    assert speed.run("gradient-buffers", out, quick=True, show=lines.append) == 0
    figures = json.loads(out.read_text())["figures"]
    assert [figure["name"] for figure in figures] == QUICK
    for figure in figures:
        assert all(math.isfinite(s) and s >= 0 for s in figure["seconds"].values())
        assert (figure["goal"] is None) == figure["name"].startswith("GSS-IQP")
    assert "plain step" in figures[0]["ratios"]
    assert "Avalanche's GSS_greedyPlugin" in figures[4]["ratios"]
    assert all(any(name in line for line in lines) for name in QUICK)


def test_what_quick_leaves_out(monkeypatch):
    run = []
    monkeypatch.setattr(
        gradient_buffers, "race", lambda work, **_: run.append(work) or dict.fromkeys(work, 1.0)
    )
    rows = [*gradient_buffers._consolidation(), *gradient_buffers._greedy_coreset()]
    assert [row.name for row in rows] == [
        "GCR: 2,000 of 10,000, 512 features, 10 classes",
        "greedy coreset: 100 of 1,000 × 784",
    ]
    assert [list(work) for work in run] == [["ours"], ["ours"]]
    assert not {row.name for row in rows} & set(QUICK)


def test_the_loop_multiplies_gradients_of_single_samples():
    network = gradient_buffers._mlp()
    x, y = gradient_buffers._rows(3)
    products = gradient_buffers._autograd_loop(network, x, y)
    assert products.shape == (3, 3)
    assert (products.diagonal() > 0).all()
