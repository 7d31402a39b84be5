import csv
import gc
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from benchmarks.cli import app
from clcore import Pool, Probe, select
from clcore.memory import require_bytes

FEATURES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.arange(40) % 4
SPECIES = np.array(["ant", "bee", "cat", "dog"])[LABELS]


LABELLED = ["f.npz", "--method", "random", "--labels", "labels", "--quota"]


@pytest.fixture(scope="module", autouse=True)
def _cheap_collection():
    """Keep what is loaded out of the collections that measuring memory begins with."""
    gc.freeze()
    yield
    gc.unfreeze()


def clcore(*words, code=0):
    done = CliRunner().invoke(app, ["select", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", FEATURES)
    np.savez("f.npz", features=FEATURES, labels=LABELS, other=FEATURES[:, :1], names=SPECIES)
    save_file(
        {"features": torch.from_numpy(FEATURES), "labels": torch.from_numpy(LABELS)},
        "f.safetensors",
    )
    columns = {"a": FEATURES[:, 0], "b": FEATURES[:, 1], "c": FEATURES[:, 2], "labels": LABELS}
    pyarrow.csv.write_csv(pa.table(columns), "f.csv")
    pyarrow.parquet.write_table(pa.table(columns), "columns.parquet")
    flat = pa.array(FEATURES.ravel())
    lists = {
        "fixed.parquet": pa.FixedSizeListArray.from_arrays(flat, 3),
        "list.parquet": pa.ListArray.from_arrays(np.arange(0, 121, 3, dtype=np.int32), flat),
    }
    for name, column in lists.items():
        table = pa.table({"embedding": column, "labels": LABELS, "names": SPECIES})
        pyarrow.parquet.write_table(table, name, row_group_size=7)
    np.save("labels.npy", LABELS)
    return tmp_path


def picked(path="coreset.json"):
    return json.loads(Path(path).read_text())["indices"]


@pytest.mark.parametrize("name", ["f.npy", "f.npz", "f.safetensors", "fixed.parquet",
                                  "list.parquet"])  # fmt: skip
def test_the_same_picks_from_every_kind_of_file(files, name):
    printed = clcore(name, "--method", "k-center", "-k", 5, *_key(name))
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
def test_tables_of_columns(files, name):
    labelled = ["--labels", "labels"]
    clcore(name, "--method", "k-center", "-k", 5, *labelled)
    assert picked() == select("k-center", Pool(features=FEATURES), 5).indices.tolist()
    clcore(name, "--method", "k-center", "-k", 5, "--key", "c, a", "--overwrite")
    expected = select("k-center", Pool(features=FEATURES[:, [2, 0]]), 5)
    assert picked() == expected.indices.tolist()
    clcore(name, "--method", "k-center", "-k", 5, "--key", "b", "--overwrite")
    assert picked() == select("k-center", Pool(features=FEATURES[:, 1:2]), 5).indices.tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_line_a_pick(files, kind):
    out = Path(f"c.{kind}")
    clcore("f.npy", "--method", "k-means", "-k", 4, "--out", out)
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


def test_weights_of_all_rows(files):
    clcore("f.npy", "--method", "k-means", "-k", 4, "--weights-out", "w.npy", "--out", "c.json")
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
def test_numbers_and_shares(files, k, count):
    clcore("f.npy", "--method", "random", "-k", k)
    assert len(picked()) == count


@pytest.mark.parametrize("k", ["0", "41", "-1", "1.5", "0.0", "1.0", "many", "nan", "0%", "101%"])
def test_wrong_numbers(files, k):
    said = clcore("f.npy", "--method", "random", f"-k{k}", code=2)
    assert f"-k: got '{k}'; a number of rows from 1 to 40, a share between 0 and 1" in said
    assert not Path("coreset.json").exists()


def test_seed_and_options(files):
    def picks(*words):
        clcore("f.npy", "--method", "random", "-k", 5, "--overwrite", *words)
        return picked()

    assert picks("--seed", 1) == picks("--seed", 1) != picks("--seed", 2)
    clcore("f.npy", "--method", "k-center", "-k", 5, "--set", "first=7", "--overwrite")
    assert picked()[0] == 7


def counts(column=LABELS):
    found, sizes = np.unique(column[picked()], return_counts=True)
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
def test_quotas(files, where, quota, expected):
    clcore("f.npz", "--method", "random", "-k", 8, "--labels", where, "--quota", quota)
    assert counts() == expected


def test_labels_alone_bound_nothing(files):
    clcore("f.npz", "--method", "k-center", "-k", 5, "--labels", "labels")
    assert picked() == select("k-center", Pool(features=FEATURES), 5).indices.tolist()


def test_quotas_by_groups(files):
    groups = np.arange(40) // 20
    np.save("g.npy", groups)
    words = ["f.npz", "--method", "random", "-k", 6, "--groups", "g.npy", "--overwrite"]
    clcore(*words, "--quota", "0=1")
    assert counts(groups) == {0: 1, 1: 5}
    clcore(*words, "--labels", "labels", "--quota", "even", "--quota-by", "groups")
    assert counts(groups) == {0: 3, 1: 3}
    assert "Say --quota-by" in clcore(*words, "--labels", "labels", "--quota", "even", code=2)


def test_proportional_quotas_with_remainders(files):
    labels = np.array([0] * 25 + [1] * 10 + [2] * 5)
    np.save("l.npy", labels)
    clcore("f.npy", "--method", "random", "-k", 7, "--labels", "l.npy", "--quota", "proportional")
    # 4.375, 1.75 and 0.875 of seven.
    assert counts(labels) == {0: 4, 1: 2, 2: 1}


def test_given_rows_from_an_earlier_result(files):
    for first in ("a.json", "a.csv", "a.parquet"):
        clcore("f.npy", "--method", "k-center", "-k", 5, "--out", first)
        clcore("f.npy", "--method", "k-center", "-k", 4, "--given", first, "--overwrite")
        whole = select("k-center", Pool(features=FEATURES), 9).indices.tolist()
        assert picked() == whole[5:]
    np.save("g.npy", np.array([1, 2, 1]))
    words = ["f.npy", "--method", "random", "-k", 5, "--out", "n.json"]
    assert "names row 1 twice" in clcore(*words, "--given", "g.npy", code=2)
    np.save("g.npy", np.array([1, 40]))
    assert "holds 40, which is not one of" in clcore(*words, "--given", "g.npy", code=2)
    np.save("g.npy", np.arange(36))
    assert "4 rows are left beside those given" in clcore(*words, "--given", "g.npy", code=2)
    Path("x.json").write_text("[]")
    assert "is no coreset" in clcore(*words, "--given", "x.json", code=2)
    assert "no such file" in clcore(*words, "--given", "none.json", code=2)


def test_signals_and_weights_reach_the_method(files):
    losses = np.arange(40.0)
    np.save("losses.npy", losses)
    words = ["--method", "top-k", "-k", 2, "--set", "by=losses", "--overwrite"]
    clcore("f.npy", *words, "--signal", "losses=losses.npy")
    assert sorted(picked()) == [38, 39]
    # Features are not needed where the method reads none.
    np.savez("s.npz", losses=losses, loud=-losses)
    clcore("s.npz", *words, "--signal", "losses=loud")
    assert sorted(picked()) == [0, 1]
    heavy = np.ones(40)
    heavy[:10] = 3
    np.save("heavy.npy", heavy)
    clcore("f.npy", "--method", "k-means", "-k", 4, "--weights", "heavy.npy", "--overwrite")
    assert sum(json.loads(Path("coreset.json").read_text())["weights"]) == 60


def test_logit_gradients_come_from_logits_and_labels(files):
    logits = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    np.savez("l.npz", features=FEATURES, labels=LABELS, logits=logits)
    clcore("l.npz", "--method", "el2n", "-k", 6, "--labels", "labels", "--signal", "logits=logits")
    expected = select("el2n", Pool(features=FEATURES, labels=LABELS, logits=logits), 6)
    assert picked() == expected.indices.tolist()


def test_a_folder_of_signals(files):
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))
    x, y = torch.from_numpy(FEATURES), torch.from_numpy(LABELS)
    Probe(model).write(["features", "logit_gradients"], x, "signals", labels=y)
    assert "1 permits 4 picks" in clcore("signals", "--method", "el2n", "-k", 6, "--quota", "1",
                                         code=2)  # fmt: skip
    clcore("signals", "--method", "el2n", "-k", 4, "--quota", "even")
    expected = select("el2n", Pool.open("signals"), 4, quotas=dict.fromkeys(range(4), 1))
    assert picked() == expected.indices.tolist()
    said = clcore(
        "signals", "--method", "k-center", "-k", 4, "--signal", "a=b", "--overwrite", code=2
    )
    assert "brings its signals itself" in said
    said = clcore(
        "signals", "--method", "k-center", "-k", 4, "--labels", "none", "--overwrite", code=2
    )
    assert "has no signal 'none'; it has: labels, " in said


def test_the_summary(files):
    said = clcore("f.npz", "--method", "k-means", "-k", 4, "--labels", "names")
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
    quiet = clcore("f.npz", "--method", "k-means", "-k", 4, "--no-summary", "--overwrite")
    assert quiet.count("\n") == 1


def test_the_summary_of_equal_rows_and_of_no_features(files):
    np.save("equal.npy", np.ones((30, 3), dtype=np.float32))
    said = clcore("equal.npy", "--method", "k-center", "-k", 3)
    assert "covering radius   " in said
    assert "0: all rows are equal" in said
    np.savez("s.npz", scores=np.arange(30.0))
    said = clcore("s.npz", "--method", "top-k", "-k", 3, "--signal", "scores=scores", "--overwrite")
    assert "distance" not in said
    assert "chosen" in said


def test_stops(files):
    words = ["f.npy", "--method", "facility-location", "-k", 40, "--overwrite"]
    said = clcore(*words, "--set", "stop.coverage=0.5")
    assert 0 < len(picked()) < 40
    assert said.startswith(f"{len(picked())} of 40 rows")
    assert "stop has no 'x'" in clcore(*words, "--set", "stop.x=0.5", code=2)
    assert "must be a number" in clcore(*words, "--set", "stop.gain=much", code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["f.npy", "--method", "k-centre"], "did you mean k-center"),
        (["none.npy", "--method", "random"], "none.npy: there is no such file"),
        (["f.txt", "--method", "random"], ".txt is unknown; known: .npy"),
        (["f.pkl", "--method", "random"], "what is pickled is never read"),
        (["f.npz", "--method", "random", "--key", "x"], "has no array 'x'; give --key, it has: f"),
        (["f.csv", "--method", "random", "--key", "x"], "has no column 'x', it has: a, b, c"),
        (["f.csv", "--method", "random", "--key", "a,x"], "has no column 'x', it has: a, b, c"),
        (["f.npz", "--method", "random", "--labels", "x"], "has no array 'x'; it has: features"),
        (["f.npz", "--method", "random", "--labels", "x.npy"], "x.npy: there is no such file"),
        (["f.npy", "--method", "random", "--labels", "f.npz:x"], "f.npz: has no array 'x'"),
        (["f.npz", "--method", "random", "--labels", "other"], "one value a row is needed"),
        (["f.npz", "--method", "random", "--labels", "part.npy"], "is not one whole number a row"),
        (["f.npz", "--method", "random", "--labels", "short.npy"], "3 rows where the pool has 40"),
        (["fixed.parquet", "--method", "random", "--key", "names"], "holds <U3, not numbers"),
        (["text.parquet", "--method", "random"], "column 'b' holds string, not numbers"),
        (["uneven.parquet", "--method", "random"], "lists of several lengths; row 1 has 1 numbers"),
        (["holes.parquet", "--method", "random"], "column 'a' has nothing, or no number, in row 1"),
        (["two.parquet", "--method", "random"], "several columns of lists: a, b"),
        (["holes.csv", "--method", "random"], "column 'b' has nothing, or no number, in row 1"),
        (["bare.csv", "--method", "random"], "its first line holds numbers"),
        (["cut.npy", "--method", "random"], "is damaged"),
        (["cut.npz", "--method", "random"], "is damaged"),
        (["cut.safetensors", "--method", "random"], "is damaged"),
        (["cut.csv", "--method", "random"], "is damaged"),
        (["cut.parquet", "--method", "random"], "is damaged"),
        (["flat.npy", "--method", "random"], "[n, d] is needed"),
        (["text.npy", "--method", "random"], "not numbers"),
        (["objects.npy", "--method", "random"], "is damaged, or no array of numbers"),
        (["objects.npz", "--method", "random"], "array 'features' is damaged"),
        (["none-at-all.npy", "--method", "random"], "has no rows"),
        (["nan.npy", "--method", "herding"], "signal 'features' holds NaN, first in row 3"),
        (["half.npy", "--method", "herding"], "infinity, first in row 2; float16 ends at 65504"),
        (["f.npy", "--method", "random", "--out", "c.txt"], "--out: .txt is unknown"),
        (["f.npy", "--method", "random", "--out", "no/c.json"], "the folder no does not exist"),
        (["f.npy", "--method", "random", "--out", "f.csv"], "exists; replace it with --overwrite"),
        (["f.csv", "--method", "random", "--out", "f.csv", "--overwrite"], "under another option"),
        (["f.npy", "--method", "random", "--weights-out", "w.csv"], "--weights-out: .csv is unkno"),
        (["f.npy", "--method", "random", "--plot", "p.gif"], "--plot: .gif is unknown"),
        (["f.npy", "--method", "random", "--projection", "x"], "--projection: got 'x'; pca, tsne"),
        (["f.npy", "--method", "random", "--set", "x"], "--set: got 'x'; key=value is needed"),
        (["f.npy", "--method", "random", "--set", "x=1"], "no option 'x'"),
        (["f.npy", "--method", "k-center", "--set", "first=1", "--set", "first=2"], "given twice"),
        (["f.npy", "--method", "random", "--signal", "x"], "name=NAME-OR-FILE is needed"),
        (["f.npy", "--method", "random", "--signal", "labels=x"], "have an option of their own"),
        (["f.npy", "--method", "random", "--signal", "a=f.npy", "--signal", "a=b"], "given twice"),
        (["f.npy", "--method", "el2n"], "or logits with --signal and --labels (there are: featu"),
        (["f.npy", "--method", "top-k"], "needs the signal 'scores'; give --signal scores=NAME"),
        (["f.npy", "--method", "herding", "--set", "normalise=maybe"], "must be true or false, n"),
        (["f.npy", "--method", "random", "--quota", "even"], "Give --labels or --groups"),
        (["f.npy", "--method", "random", "--quota-by", "labels"], "there are no quotas"),
        ([*LABELLED, "few"], "even, proportional, a n"),
        ([*LABELLED, "0"], "0 permits 0 picks in all"),
        ([*LABELLED, "9=1"], "no row has '9' among"),
        ([*LABELLED, "1=11"], "10 rows are to be had"),
        ([*LABELLED, "1=1,1=2"], "'1' is given twice"),
        ([*LABELLED, "1=-1"], "even, proportional"),
        ([*LABELLED, "1", "--quota-by", "x"], "labels or gr"),
        (["s.npz", "--method", "top-k", "--signal", "scores=scores", "--plot", "p.png"],
         "has no array 'features'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(files, words, said):
    for kind in ("npy", "npz", "safetensors"):
        Path(f"cut.{kind}").write_bytes(Path(f"f.{kind}").read_bytes()[:100])
    Path("cut.parquet").write_bytes(Path("fixed.parquet").read_bytes()[:100])
    Path("cut.csv").write_text("a,b\n1,2\n3\n")
    Path("holes.csv").write_text("a,b\n1,2\n3,\n")
    Path("bare.csv").write_text("1,2\n3,4\n")
    for name in ("f.txt", "f.pkl"):
        Path(name).write_text("")
    arrays = {
        "flat": FEATURES[:, 0],
        "text": np.array([["a", "b"]]),
        "none-at-all": np.empty((0, 3)),
        "nan": np.where(np.arange(5)[:, None] == 3, np.nan, np.ones((5, 2))),
        "half": np.array([[1], [2], [np.inf], [3]], dtype=np.float16),
        "part": np.arange(40) / 2,
        "short": LABELS[:3],
    }
    for name, array in arrays.items():
        np.save(name, array)
    np.save("objects.npy", np.array([[{}, {}]], dtype=object), allow_pickle=True)
    np.savez("objects.npz", features=np.array([[{}]], dtype=object), allow_pickle=True)
    np.savez("s.npz", scores=np.arange(40.0), more=np.arange(40.0))
    tables = {
        "text": {"a": [1.0, 2.0], "b": ["x", "y"]},
        "uneven": {"a": [[1.0, 2.0], [1.0], [2.0, 3.0, 4.0]]},
        "holes": {"a": [1.0, None, 2.0]},
        "two": {"a": [[1.0]], "b": [[1.0]]},
    }
    for name, columns in tables.items():
        pyarrow.parquet.write_table(pa.table(columns), f"{name}.parquet")
    out = [] if "--out" in words else ["--out", "new.json"]
    stderr = clcore(*words, "-k", 2, *out, code=2)
    assert said in stderr
    assert stderr.startswith("clcore: ")
    assert stderr.count("\n") == 1
    assert not (files / "new.json").exists()


def test_no_memory_for_a_dense_method_is_wrong_use(files, monkeypatch):
    def dense(selector, pool, k, **arguments):
        require_bytes("the kernel matrix", 2**62, pool.device, "take fewer rows")

    monkeypatch.setattr("clcore.selectors.k_center.KCenter._select", dense)
    said = clcore("f.npy", "--method", "k-center", "-k", 5, code=2)
    assert said.startswith("clcore: the kernel matrix needs ")
    assert "take fewer rows" in said
    assert not (files / "coreset.json").exists()


def test_no_file_is_half_written(files, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    Path("c.parquet").write_text("old")
    before = sorted(path.name for path in files.iterdir())
    said = clcore("f.npy", "--method", "random", "-k", 2, "--out", "c.parquet", "--overwrite",
                  code=1)  # fmt: skip
    assert "No space left on device" in said
    assert Path("c.parquet").read_text() == "old"
    assert sorted(path.name for path in files.iterdir()) == before


def test_ctrl_c_stops_at_once_and_leaves_nothing(tmp_path):
    np.save(tmp_path / "f.npy", FEATURES)
    # A kernel that does not come back for a minute, as compiled ones may.
    code = (
        "import time, benchmarks.cli\n"
        "from clcore.selectors import registry\n"
        "def wait(self, *args, **kwargs):\n"
        "    open('begun', 'w').close()\n"
        "    time.sleep(60)\n"
        "registry.get('k-center')._select = wait\n"
        "benchmarks.cli.main()\n"
    )
    words = ["select", "f.npy", "--method", "k-center", "-k", "3"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "Stopped; nothing was written." in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "f.npy"]
