"""A folder of feature files, and `clcore select` in this process."""

import gc
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from benchmarks.cli import app

FEATURES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.arange(40) % 4
SPECIES = np.array(["ant", "bee", "cat", "dog"])[LABELS]


@pytest.fixture(scope="module")
def cheap_collection():
    """Keep what is loaded out of the collections that measuring memory begins with."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def selected():
    """Return `selected(*words, code=0)`: what `clcore select` said."""
    return _selected


@pytest.fixture
def picked():
    """Return `picked(path)`: the rows in a result."""
    return _picked


def _selected(*words, code=0):
    done = CliRunner().invoke(app, ["select", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def _picked(path="coreset.json"):
    return json.loads(Path(path).read_text())["indices"]


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
