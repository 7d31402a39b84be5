"""Signals in a folder: equal to those in memory, resumed after a stop, and nothing foreign read."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from clcore import ArgumentError, FormatError, Pool, Probe, SignalError, select

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3
NAMES = ["features", "logits", "losses", "logit_gradients"]


def probe(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    return Probe(model, batch_size=8)


class Stopping(Dataset):
    """Data that fail at a row, once."""

    def __init__(self, at):
        self.at = at
        self.reads = 0

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        self.reads += 1
        if row == self.at:
            raise KeyboardInterrupt
        return X[row], int(Y[row])


def test_what_is_read_is_what_was_computed(tmp_path):
    probe().write(NAMES, X, tmp_path / "s", labels=Y)
    pool, direct = Pool.open(tmp_path / "s"), probe().signals(NAMES, X, Y)
    assert set(pool.names) >= set(NAMES)
    assert torch.equal(pool.labels, Y)
    for name in NAMES:
        torch.testing.assert_close(pool.signal(name), direct[name])
    expected = select("k-center", Pool(features=direct["features"]), 5).indices
    assert torch.equal(select("k-center", pool, 5).indices, expected)
    rows = [3, 1, 20]
    assert torch.equal(pool.subset(rows).signal("features"), direct["features"][rows])


def test_a_call_that_was_cut_short_goes_on(tmp_path):
    data = Stopping(at=19)
    with pytest.raises(KeyboardInterrupt):
        probe().write(NAMES, data, tmp_path / "s", labels=Y)
    header = json.loads((tmp_path / "s" / "signals.json").read_text())
    assert header["finished"] == 16
    with pytest.raises(FormatError, match="unfinished: 16 of 30 rows"):
        Pool.open(tmp_path / "s")
    again = Stopping(at=None)
    probe().write(NAMES, again, tmp_path / "s", labels=Y)
    assert again.reads <= 16
    pool, direct = Pool.open(tmp_path / "s"), probe().signals(NAMES, X, Y)
    for name in NAMES:
        torch.testing.assert_close(pool.signal(name), direct[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["features"]}, "names"),
        ({"x": X[:20], "labels": Y[:20]}, "rows"),
        ({"labels": 2 - Y}, "labels"),
        ({"seed": 1}, "model"),
    ],
)
def test_going_on_with_something_else_is_refused(tmp_path, change, message):
    probe().write(NAMES, X, tmp_path / "s", labels=Y)
    names, x, labels = (
        change.get("names", NAMES), change.get("x", X), change.get("labels", Y)
    )  # fmt: skip
    with pytest.raises(ArgumentError, match=f"holds signals with {message}"):
        probe(change.get("seed", 0)).write(names, x, tmp_path / "s", labels=labels)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FormatError, match="not empty"):
        probe().write(NAMES, X, tmp_path, labels=Y)
    with pytest.raises(FormatError, match="holds no signals"):
        Pool.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def damage(folder, how):
    header, array = folder / "signals.json", folder / "features.npy"
    content = json.loads(header.read_text())
    if how == "header":
        header.write_text("{")
    elif how == "format":
        header.write_text("[]")
    elif how == "schema":
        header.write_text(json.dumps(content | {"schema": 9}))
    elif how == "size":
        array.write_bytes(array.read_bytes()[:-4])
    elif how == "missing":
        array.unlink()
    elif how == "rows":
        header.write_text(json.dumps(content | {"finished": -1}))
    elif how == "path":
        signals = content["signals"]
        signals["../features"] = signals.pop("features")
        header.write_text(json.dumps(content))
    elif how == "pickle":
        np.save(array, np.array([{}] * 30, dtype=object), allow_pickle=True)
        content["signals"]["features"]["bytes"] = array.stat().st_size
        header.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "how", ["header", "format", "schema", "size", "missing", "rows", "path", "pickle"]
)
def test_damaged_and_foreign_files_are_refused(tmp_path, how):
    probe().write(NAMES, X, tmp_path / "s", labels=Y)
    damage(tmp_path / "s", how)
    with pytest.raises(FormatError):
        Pool.open(tmp_path / "s")


def test_a_signal_that_is_not_finite_names_its_row(tmp_path):
    broken = X.clone()
    broken[21] = torch.nan
    with pytest.raises(SignalError, match="row 21"):
        probe().write(NAMES, broken, tmp_path / "s", labels=Y)
