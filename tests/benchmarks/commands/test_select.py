import csv
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.commands import tables
from clcore import Pool, select

FEATURES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.arange(40) % 4


def clcore(*words, code=0):
    done = CliRunner().invoke(app, ["select", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "f.npy", FEATURES)
    np.savez(tmp_path / "f.npz", features=FEATURES, labels=LABELS, other=FEATURES[:, :1])
    save_file(
        {"features": torch.from_numpy(FEATURES), "labels": torch.from_numpy(LABELS)},
        tmp_path / "f.safetensors",
    )
    with open(tmp_path / "f.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["a", "b", "c", "labels"])
        writer.writerows(
            [*map(float, row), label] for row, label in zip(FEATURES, LABELS, strict=True)
        )
    return tmp_path


@pytest.mark.parametrize("name", ["f.npy", "f.npz", "f.safetensors"])
def test_the_same_picks_from_every_kind_of_file(files, name):
    out = files / "c.json"
    printed = clcore(files / name, "--method", "k-center", "-k", 5, "--out", out)
    assert printed.startswith("5 of 40 rows in ")
    record = json.loads(out.read_text())
    expected = select("k-center", Pool(features=torch.from_numpy(FEATURES)), 5, seed=0)
    assert record["indices"] == expected.indices.tolist()
    assert record["weights"] == expected.weights.tolist()
    assert (record["schema"], record["method"], record["rows"]) == (1, "k-center", 40)
    assert record["cost"]["distance_evaluations"] > 0


def test_a_table_of_columns(files):
    out = files / "c.csv"
    clcore(files / "f.csv", "--method", "herding", "-k", 4, "--labels", "labels", "--out", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == ["index", "weight", "gain"]
    # One of each label, for the share is kept by label.
    assert sorted(LABELS[int(row["index"])] for row in rows) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("k", "count"), [("0.1", 4), ("1.0", 40), ("1", 1), ("40", 40), ("0.001", 1)]
)
def test_numbers_and_shares(files, k, count):
    clcore(files / "f.npy", "--method", "random", "-k", k, "--out", files / "c.json")
    assert len(json.loads((files / "c.json").read_text())["indices"]) == count


@pytest.mark.parametrize("k", ["0", "41", "-1", "1.5", "0.0", "many", "nan"])
def test_wrong_numbers(files, k):
    said = clcore(
        files / "f.npy", "--method", "random", f"-k{k}", "--out", files / "c.json", code=2
    )
    assert f"-k: got '{k}'" in said
    assert not (files / "c.json").exists()


def test_seed_and_options(files):
    def picks(*words):
        out = files / "c.json"
        clcore(files / "f.npy", "--method", "random", "-k", 5, "--out", out, "--overwrite", *words)
        return json.loads(out.read_text())["indices"]

    assert picks("--seed", 1) == picks("--seed", 1) != picks("--seed", 2)
    said = clcore(files / "f.npy", "--method", "random", "-k", 5, "--set", "x=1",
                  "--out", files / "d.json", code=2)  # fmt: skip
    assert "no option 'x'" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["f.npy", "--method", "k-centre"], "did you mean k-center"),
        (["none.npy", "--method", "random"], "there is no such file"),
        (["f.txt", "--method", "random"], ".txt is unknown; known: .npy"),
        (["f.npz", "--method", "random", "--key", "x"], "has no array 'x'"),
        (["f.npz", "--method", "random", "--labels", "x"], "has no labels 'x'"),
        (["f.npz", "--method", "random", "--labels", "other"], "not one whole number a row"),
        (["cut.npy", "--method", "random"], "is damaged"),
        (["cut.npz", "--method", "random"], "is damaged"),
        (["cut.safetensors", "--method", "random"], "is damaged"),
        (["cut.csv", "--method", "random"], "is damaged"),
        (["flat.npy", "--method", "random"], "[n, d] is needed"),
        (["text.npy", "--method", "random"], "not numbers"),
        (["objects.npy", "--method", "random"], "is damaged, or no array of numbers"),
        (["nan.npy", "--method", "herding"], "features"),
        (["f.npy", "--method", "random", "--out", "c.txt"], "--out: .txt is unknown"),
        (["f.npy", "--method", "random", "--out", "no/c.json"], "the folder no does not exist"),
        (["f.npy", "--method", "random", "--out", "f.csv"], "exists; replace it with --overwrite"),
    ],
)
def test_bad_input_is_one_sentence(files, monkeypatch, words, said):
    monkeypatch.chdir(files)
    for kind in ("npy", "npz", "safetensors"):
        (files / f"cut.{kind}").write_bytes((files / f"f.{kind}").read_bytes()[:100])
    (files / "cut.csv").write_text("a,b\n1,2\n3\n")
    np.save(files / "flat.npy", FEATURES[:, 0])
    np.save(files / "text.npy", np.array([["a", "b"]]))
    np.save(files / "objects.npy", np.array([[{}, {}]], dtype=object), allow_pickle=True)
    np.save(files / "nan.npy", np.full((5, 2), np.nan))
    (files / "f.txt").write_text("")
    out = [] if "--out" in words else ["--out", "new.json"]
    stderr = clcore(*words, "-k", 2, *out, code=2)
    assert said in stderr
    assert stderr.startswith("clcore: ")
    assert stderr.count("\n") == 1
    assert not (files / "new.json").exists()


def test_parquet_without_pyarrow_says_so(files, monkeypatch):
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    said = clcore(
        files / "f.npy", "--method", "random", "-k", 2, "--out", files / "c.parquet", code=2
    )
    assert "parquet files need pyarrow" in said


def test_integers_and_many_dimensions_are_features_too(tmp_path):
    np.save(tmp_path / "f.npy", np.arange(48, dtype=np.uint8).reshape(4, 3, 2, 2))
    found = tables.read_features(tmp_path / "f.npy", "features")
    assert found["features"].shape == (4, 12)
    assert found["features"].dtype == torch.float32
