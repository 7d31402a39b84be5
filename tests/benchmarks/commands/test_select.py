"""`clcore select`: every kind of file, quotas, signals, results and the summary."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from torch import nn

from clcore import Pool, Probe, select

pytestmark = pytest.mark.usefixtures("cheap_collection")

FEATURES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.arange(40) % 4
SPECIES = np.array(["ant", "bee", "cat", "dog"])[LABELS]
LABELLED = ["f.npz", "--method", "random", "--labels", "labels", "--quota"]


@pytest.mark.parametrize("name", ["f.npy", "f.npz", "f.safetensors", "fixed.parquet",
                                  "list.parquet"])  # fmt: skip
def test_the_same_picks_from_every_kind_of_file(files, name, selected):
    printed = selected(name, "--method", "k-center", "-k", 5, *_key(name))
    assert printed.startswith("5 of 40 rows in ")
    record = json.loads(Path("coreset.json").read_text())
    expected = select("k-center", Pool(features=torch.from_numpy(FEATURES)), 5, seed=0)
    assert record["indices"] == expected.indices.tolist()
    assert record["weights"] == expected.weights.tolist()
    assert (record["schema"], record["method"], record["rows"]) == (1, "k-center", 40)
    assert record["cost"]["distance_evaluations"] > 0


def _key(name):
    return ["--key", "embedding"] if name == "fixed.parquet" else []


@pytest.mark.parametrize("name", ["f.csv", "columns.parquet"])
def test_tables_of_columns(files, name, selected, picked):
    labelled = ["--labels", "labels"]
    selected(name, "--method", "k-center", "-k", 5, *labelled)
    assert picked() == select("k-center", Pool(features=FEATURES), 5).indices.tolist()
    selected(name, "--method", "k-center", "-k", 5, "--key", "c, a", "--overwrite")
    expected = select("k-center", Pool(features=FEATURES[:, [2, 0]]), 5)
    assert picked() == expected.indices.tolist()
    selected(name, "--method", "k-center", "-k", 5, "--key", "b", "--overwrite")
    assert picked() == select("k-center", Pool(features=FEATURES[:, 1:2]), 5).indices.tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_line_a_pick(files, kind, selected):
    out = Path(f"c.{kind}")
    selected("f.npy", "--method", "k-means", "-k", 4, "--out", out)
    expected = select("k-means", Pool(features=torch.from_numpy(FEATURES)), 4, seed=0)
    if kind == "csv":
        rows = list(csv.DictReader(out.read_text().splitlines()))
        columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
        assert out.read_text().startswith("index,rank,weight,gain\n")
    else:
        columns = pyarrow.parquet.read_table(out).to_pydict()
    assert list(columns) == ["index", "rank", "weight", "gain"]
    assert columns["index"] == expected.indices.tolist()
    assert columns["rank"] == [0, 1, 2, 3]
    assert columns["weight"] == pytest.approx(expected.weights.tolist())
    assert columns["gain"] == pytest.approx(expected.gains.tolist())


def test_weights_of_all_rows(files, selected):
    selected("f.npy", "--method", "k-means", "-k", 4, "--weights-out", "w.npy", "--out", "c.json")
    record = json.loads(Path("c.json").read_text())
    weights = np.load("w.npy")
    assert weights.shape == (40,)
    assert weights.sum() == 40
    assert weights[record["indices"]].tolist() == record["weights"]
    assert np.count_nonzero(weights) == 4


@pytest.mark.parametrize(
    ("k", "count"),
    [("0.1", 4), ("100%", 40), ("1", 1), ("40", 40), ("0.001", 1), ("10%", 4), ("1e-1", 4)],
)
def test_numbers_and_shares(files, k, count, selected, picked):
    selected("f.npy", "--method", "random", "-k", k)
    assert len(picked()) == count


@pytest.mark.parametrize("k", ["0", "41", "-1", "1.5", "0.0", "1.0", "many", "nan", "0%", "101%"])
def test_wrong_numbers(files, k, selected):
    said = selected("f.npy", "--method", "random", f"-k{k}", code=2)
    assert f"-k: got '{k}'; a number of rows from 1 to 40, a share between 0 and 1" in said
    assert not Path("coreset.json").exists()


def test_seed_and_options(files, selected, picked):
    def picks(*words):
        selected("f.npy", "--method", "random", "-k", 5, "--overwrite", *words)
        return picked()

    assert picks("--seed", 1) == picks("--seed", 1) != picks("--seed", 2)
    selected("f.npy", "--method", "k-center", "-k", 5, "--set", "first=7", "--overwrite")
    assert picked()[0] == 7


def counts(rows, column=LABELS):
    found, sizes = np.unique(column[rows], return_counts=True)
    return dict(zip(found.tolist(), sizes.tolist(), strict=True))


@pytest.mark.parametrize(
    ("where", "quota", "expected"),
    [
        ("labels", "even", {0: 2, 1: 2, 2: 2, 3: 2}),
        ("labels.npy", "even", {0: 2, 1: 2, 2: 2, 3: 2}),
        ("fixed.parquet:labels", "proportional", {0: 2, 1: 2, 2: 2, 3: 2}),
        ("list.parquet:names", "ant=0,cat=0,dog=1", {1: 7, 3: 1}),
        ("names", "2", {0: 2, 1: 2, 2: 2, 3: 2}),
        ("labels", "0=8,1=0,2=0,3=0", {0: 8}),
    ],
)
def test_quotas(files, where, quota, expected, selected, picked):
    selected("f.npz", "--method", "random", "-k", 8, "--labels", where, "--quota", quota)
    assert counts(picked()) == expected


def test_labels_alone_bound_nothing(files, selected, picked):
    selected("f.npz", "--method", "k-center", "-k", 5, "--labels", "labels")
    assert picked() == select("k-center", Pool(features=FEATURES), 5).indices.tolist()


def test_quotas_by_groups(files, selected, picked):
    groups = np.arange(40) // 20
    np.save("g.npy", groups)
    words = ["f.npz", "--method", "random", "-k", 6, "--groups", "g.npy", "--overwrite"]
    selected(*words, "--quota", "0=1")
    assert counts(picked(), groups) == {0: 1, 1: 5}
    selected(*words, "--labels", "labels", "--quota", "even", "--quota-by", "groups")
    assert counts(picked(), groups) == {0: 3, 1: 3}
    assert "Say --quota-by" in selected(*words, "--labels", "labels", "--quota", "even", code=2)


def test_proportional_quotas_with_remainders(files, selected, picked):
    labels = np.array([0] * 25 + [1] * 10 + [2] * 5)
    np.save("l.npy", labels)
    selected("f.npy", "--method", "random", "-k", 7, "--labels", "l.npy", "--quota", "proportional")
    # 4.375, 1.75 and 0.875 of seven.
    assert counts(picked(), labels) == {0: 4, 1: 2, 2: 1}


def test_given_rows_from_an_earlier_result(files, selected, picked):
    for first in ("a.json", "a.csv", "a.parquet"):
        selected("f.npy", "--method", "k-center", "-k", 5, "--out", first)
        selected("f.npy", "--method", "k-center", "-k", 4, "--given", first, "--overwrite")
        whole = select("k-center", Pool(features=FEATURES), 9).indices.tolist()
        assert picked() == whole[5:]
    np.save("g.npy", np.array([1, 2, 1]))
    words = ["f.npy", "--method", "random", "-k", 5, "--out", "n.json"]
    assert "names row 1 twice" in selected(*words, "--given", "g.npy", code=2)
    np.save("g.npy", np.array([1, 40]))
    assert "holds 40, which is not one of" in selected(*words, "--given", "g.npy", code=2)
    np.save("g.npy", np.arange(36))
    assert "4 rows are left beside those given" in selected(*words, "--given", "g.npy", code=2)
    Path("x.json").write_text("[]")
    assert "is no coreset" in selected(*words, "--given", "x.json", code=2)
    assert "no such file" in selected(*words, "--given", "none.json", code=2)


def test_signals_and_weights_reach_the_method(files, selected, picked):
    losses = np.arange(40.0)
    np.save("losses.npy", losses)
    words = ["--method", "top-k", "-k", 2, "--set", "by=losses", "--overwrite"]
    selected("f.npy", *words, "--signal", "losses=losses.npy")
    assert sorted(picked()) == [38, 39]
    # Features are not needed where the method reads none.
    np.savez("s.npz", losses=losses, loud=-losses)
    selected("s.npz", *words, "--signal", "losses=loud")
    assert sorted(picked()) == [0, 1]
    heavy = np.ones(40)
    heavy[:10] = 3
    np.save("heavy.npy", heavy)
    selected("f.npy", "--method", "k-means", "-k", 4, "--weights", "heavy.npy", "--overwrite")
    assert sum(json.loads(Path("coreset.json").read_text())["weights"]) == 60


def test_logit_gradients_come_from_logits_and_labels(files, selected, picked):
    logits = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    np.savez("l.npz", features=FEATURES, labels=LABELS, logits=logits)
    selected(
        "l.npz", "--method", "el2n", "-k", 6, "--labels", "labels", "--signal", "logits=logits"
    )
    expected = select("el2n", Pool(features=FEATURES, labels=LABELS, logits=logits), 6)
    assert picked() == expected.indices.tolist()


def test_a_folder_of_signals(files, selected, picked):
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))
    x, y = torch.from_numpy(FEATURES), torch.from_numpy(LABELS)
    Probe(model).write(["features", "logit_gradients"], x, "signals", labels=y)
    assert "1 permits 4 picks" in selected("signals", "--method", "el2n", "-k", 6, "--quota", "1",
                                         code=2)  # fmt: skip
    selected("signals", "--method", "el2n", "-k", 4, "--quota", "even")
    expected = select("el2n", Pool.open("signals"), 4, quotas=dict.fromkeys(range(4), 1))
    assert picked() == expected.indices.tolist()
    said = selected(
        "signals", "--method", "k-center", "-k", 4, "--signal", "a=b", "--overwrite", code=2
    )
    assert "brings its signals itself" in said
    said = selected(
        "signals", "--method", "k-center", "-k", 4, "--labels", "none", "--overwrite", code=2
    )
    assert "has no signal 'none'; it has: labels, " in said


def test_the_summary(files, selected):
    said = selected("f.npz", "--method", "k-means", "-k", 4, "--labels", "names")
    ours = select("k-means", Pool(features=FEATURES), 4)
    distances = np.linalg.norm(FEATURES[:, None] - FEATURES[ours.indices][None], axis=2).min(axis=1)
    words = {line.split("  ")[0]: line.split() for line in said.splitlines() if line}
    assert words["rows"][1:] == ["40", "×", "3"]
    assert words["chosen"][1:] == ["4", "(10%)"]
    assert float(words["mean distance to the nearest pick"][6]) == pytest.approx(
        distances.mean(), rel=1e-3
    )
    assert float(words["covering radius"][2]) == pytest.approx(distances.max(), rel=1e-3)
    least, most = ours.weights.min(), ours.weights.max()
    assert f"min {least:.4g}, median" in said
    assert f"max {most:.4g}, sum 40" in said
    for code, name in enumerate(["ant", "bee", "cat", "dog"]):
        chosen = int((LABELS[ours.indices] == code).sum())
        assert words[name][1:] == ["10", "25.0%", str(chosen), f"{chosen / 4:.1%}"]
    assert "random choice" in said
    without = sum(not (LABELS[ours.indices] == code).any() for code in range(4))
    assert ("of 4 labels have no pick" in said) == bool(without)
    quiet = selected("f.npz", "--method", "k-means", "-k", 4, "--no-summary", "--overwrite")
    assert quiet.count("\n") == 1


def test_the_summary_of_equal_rows_and_of_no_features(files, selected):
    np.save("equal.npy", np.ones((30, 3), dtype=np.float32))
    said = selected("equal.npy", "--method", "k-center", "-k", 3)
    assert "covering radius   " in said
    assert "0: all rows are equal" in said
    np.savez("s.npz", scores=np.arange(30.0))
    said = selected(
        "s.npz", "--method", "top-k", "-k", 3, "--signal", "scores=scores", "--overwrite"
    )
    assert "distance" not in said
    assert "chosen" in said


def test_stops(files, selected, picked):
    words = ["f.npy", "--method", "facility-location", "-k", 40, "--overwrite"]
    said = selected(*words, "--set", "stop.coverage=0.5")
    assert 0 < len(picked()) < 40
    assert said.startswith(f"{len(picked())} of 40 rows")
    assert "stop has no 'x'" in selected(*words, "--set", "stop.x=0.5", code=2)
    assert "must be a number" in selected(*words, "--set", "stop.gain=much", code=2)
