"""The group on coreset training, on a small made-up table in the place of Covertype."""

import json
import math

import pytest
import torch

from benchmarks import speed
from benchmarks.datasets import REGISTRY, TableData
from benchmarks.offline import convex_data
from benchmarks.running.data import load_table
from benchmarks.speed.coreset import epochs, selectors
from benchmarks.speed.coreset.selectors import TableRows
from benchmarks.speed.coreset.settings import CoresetTrainingSettings
from clcore.errors import ArgumentError, DataUnavailableError

FEW = ["rounds=2", "epoch_rows=96", "batch_sizes=32", "repeats=2", "gradmatch_picks=10"]


@pytest.fixture
def small_table(monkeypatch):
    """Eight hundred rows with Covertype's columns, two of them measured, three classes."""
    generator = torch.Generator().manual_seed(0)
    columns = len(REGISTRY.create("covtype").columns)
    y = torch.randint(3, (800,), generator=generator)
    x = torch.zeros(800, columns)
    x[:, :2] = torch.randn(800, 2, generator=generator) + y.unsqueeze(1)
    x[:, 2:] = (torch.rand(800, columns - 2, generator=generator) < 0.1).float()
    std = torch.ones(columns, dtype=torch.float64)
    std[:2] = 1.5
    table = TableData(
        "covtype",
        x[:600],
        y[:600],
        x[600:],
        y[600:],
        tuple("abc"),
        tuple(map(str, range(columns))),
        torch.zeros(columns, dtype=torch.float64),
        std,
    )
    for module in (selectors, convex_data):
        monkeypatch.setattr(module, "load_table", lambda name: table)
    return table


def test_tables_of_all_three_parts(small_table, tmp_path):
    lines, out = [], tmp_path / "figures.json"
    assert speed.run("coreset-training", out, show=lines.append, assignments=FEW) == 0
    written = json.loads(out.read_text())
    overhead, table, gradients = written["tables"]
    assert [row["reads"] for row in overhead["rows"]] == [f"`{name}`" for name in epochs.READS]
    assert all(row["same_weights"] for row in overhead["rows"])
    assert all(row["ratio"]["repeats"] == 2 for row in overhead["rows"])
    by_name = {row["selector"]: row for row in table["rows"]}
    assert by_name["`craig`"]["bound"] < by_name["`kd-tree`"]["bound"]
    near = by_name["`kd-tree`, each row to the nearest pick"]
    assert near["bound"] <= by_name["`kd-tree`"]["bound"]
    assert by_name["`kd-tree`"]["ratio"]["median"] == 1.0
    even = by_name["random rows of each class, equal weights within it"]
    # 80 picks of 800 rows in even shares: hardly any weight is above another.
    assert even["effective"]["median"] == pytest.approx(80, rel=0.01)
    rows = {row["rows"]: row for row in gradients["rows"]}
    assert rows["`gradmatch`"]["picks"] == 10
    for name in ("`craig`", "`kd-tree`"):
        assert rows[name]["certified"] >= rows[name]["start"]["median"]
    for name in set(rows) - {"`gradmatch`"}:
        # The optimum is the least loss, whatever a coreset's own is.
        assert rows[name]["own"]["low"] >= -1e-9
    assert "`craig`" in "\n".join(lines)


def test_without_covertype_the_rest_is_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("CLCORE_DATA", str(tmp_path))
    load_table.cache_clear()
    lines = []
    assert speed.run("coreset-training", show=lines.append, assignments=FEW) == 0
    text = "\n".join(lines)
    assert "CoresetTrainer takes" in text
    for part in ("selectors", "gradients"):
        assert f"{part} left out: covtype is not in {tmp_path}; get it with `clcore data" in text
    with pytest.raises(DataUnavailableError, match="clcore data get covtype"):
        speed.run("coreset-training", assignments=["parts=selectors,gradients"])


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["parts=selectors", "table_rows=801"], "table_rows: 801 rows are wanted"),
        (["parts=gradients", "convex_rows=601"], "convex_rows: 601 rows are wanted"),
        (["parts=selectors", "table_rows=20", "share=0.01"], "share: 0.01 of 20 rows is none"),
    ],
)
def test_more_rows_than_there_are(small_table, assignments, said):
    with pytest.raises(ArgumentError, match=said):
        speed.run("coreset-training", assignments=assignments)


def test_the_loop_and_the_trainer_see_the_same_batches():
    trained = epochs.Trained(70, 32, 3)
    loops = [epochs.Written(70, 32, 3, name) for name in epochs.READS]
    assert trained.same_weights(loops[0])
    for _ in range(2):
        trained.epoch()
        assert not trained.same_weights(loops[0])
        for loop in loops:
            loop.epoch()
            assert trained.same_weights(loop)
    losses = [record.loss for record in trained.trainer.history]
    assert losses == pytest.approx(loops[0].losses)


def test_all_rows_with_weights_of_one_have_no_error():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(60, 4, generator=generator)
    labels = torch.arange(60) % 3
    rows = TableRows(x, labels, seed=0)
    found = rows.errors(torch.arange(60), torch.ones(60))
    assert found["features"] == pytest.approx(0, abs=1e-9)
    assert found["logistic"] == pytest.approx(0, abs=1e-9)
    assert found["effective"] == pytest.approx(60)
    picks = torch.tensor([0, 1, 2])
    bound, weights = rows.by_nearest(picks)
    assert weights.tolist() == [20, 20, 20]
    by_hand = sum(float((x[i] - x[i % 3]).norm()) for i in range(60))
    assert bound == pytest.approx(by_hand, rel=1e-5)
    errors = rows.errors(picks, weights)
    apart = x.double().sum(0) - 20 * x[:3].double().sum(0)
    assert errors["features"] == pytest.approx(float(apart.norm()), rel=1e-6)
    # Norm of a sum: at most the sum of norms.
    assert errors["features"] <= bound


def test_logistic_gradients_are_those_of_autograd():
    generator = torch.Generator().manual_seed(2)
    x, labels = torch.randn(40, 5, generator=generator), torch.arange(40) % 4
    rows = TableRows(x, labels, seed=7)
    matrix = torch.randn(4, 5, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    weight = (matrix / math.sqrt(5)).requires_grad_()
    bias = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    scores = torch.nn.functional.linear(x.double(), weight, bias)
    loss = torch.nn.functional.cross_entropy(scores, labels, reduction="sum")
    gradients = torch.autograd.grad(loss, (weight, bias))
    length = torch.cat([g.flatten() for g in gradients]).norm()
    assert rows.logistic_length() == pytest.approx(float(length))


def test_random_rows_keep_the_shares():
    rows = TableRows(torch.randn(90, 2), torch.arange(90) % 3, seed=0)
    picks = rows.drawn(torch.tensor([5, 0, 2]), seed=1)
    assert len(torch.unique(picks)) == 7
    assert torch.bincount(rows.labels[picks], minlength=3).tolist() == [5, 0, 2]
    assert torch.equal(picks, rows.drawn(torch.tensor([5, 0, 2]), seed=1))


def test_settings_have_the_sizes_of_the_pages():
    settings = CoresetTrainingSettings()
    assert (settings.rounds, settings.batch_sizes, settings.share) == (140, (128, 32), 0.1)
    assert settings.table_rows is None
    assert settings.convex_rows is None
