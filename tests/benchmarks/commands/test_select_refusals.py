"""`clcore select`: wrong use is one sentence, and nothing is half written."""

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

from clcore.memory import require_bytes

pytestmark = pytest.mark.usefixtures("cheap_collection")

FEATURES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.arange(40) % 4
SPECIES = np.array(["ant", "bee", "cat", "dog"])[LABELS]
LABELLED = ["f.npz", "--method", "random", "--labels", "labels", "--quota"]


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
def test_bad_input_is_one_sentence(files, words, said, selected):
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
    stderr = selected(*words, "-k", 2, *out, code=2)
    assert said in stderr
    assert stderr.startswith("clcore: ")
    assert stderr.count("\n") == 1
    assert not (files / "new.json").exists()


def test_no_memory_for_a_dense_method_is_wrong_use(files, monkeypatch, selected):
    def dense(selector, pool, k, **arguments):
        require_bytes("the kernel matrix", 2**62, pool.device, "take fewer rows")

    monkeypatch.setattr("clcore.selectors.k_center.KCenter._select", dense)
    said = selected("f.npy", "--method", "k-center", "-k", 5, code=2)
    assert said.startswith("clcore: the kernel matrix needs ")
    assert "take fewer rows" in said
    assert not (files / "coreset.json").exists()


def test_no_file_is_half_written(files, monkeypatch, selected):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    Path("c.parquet").write_text("old")
    before = sorted(path.name for path in files.iterdir())
    said = selected("f.npy", "--method", "random", "-k", 2, "--out", "c.parquet", "--overwrite",
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
