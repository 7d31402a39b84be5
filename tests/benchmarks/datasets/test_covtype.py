"""Covertype and what tables share: reading, dividing, standardising; no network."""

import hashlib
import io
import sys
import types
import urllib.error
import zipfile

import numpy as np
import pytest
import torch

from benchmarks import datasets
from benchmarks.datasets import Arrays, TableData, TableSet, _load, _sources, covtype
from benchmarks.datasets._cache import write_cache
from benchmarks.datasets._sources import PyPIWheel
from clcore.errors import ArgumentError, DataUnavailableError, FormatError

ROWS = 700


def table():
    random = np.random.default_rng(0)
    values = random.integers(-200, 4000, size=(ROWS, 55)).astype(np.int16)
    values[:, 0] = np.arange(ROWS)
    values[:, 10:54] %= 2
    values[:, 54] = 1 + np.arange(ROWS) % 7
    return values


class Toy(TableSet):
    title, licence, name = "made in the tests", "none", "toy"
    classes, columns, numeric = ("a", "b"), ("height", "constant", "rare"), 2
    shape, sizes = (3,), (4, 2)


def toy_arrays():
    x = torch.tensor([[1, 5, 0], [3, 5, 0], [5, 5, 1], [7, 5, 0]], dtype=torch.int16)
    return Arrays(x, torch.tensor([0, 1, 0, 1]), x[:2] + 1, torch.tensor([0, 1]))


class Only:
    """Stands for the registry, with one data set in it."""

    def create(self, name):
        return Toy()


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_the_division_is_fixed_and_keeps_the_order():
    parts = covtype.divided(table(), "here")
    train, test = parts.train_x[:, 0].tolist(), parts.test_x[:, 0].tolist()
    assert len(test) == ROWS * 81_012 // 581_012
    assert sorted(train + test) == list(range(ROWS))
    assert train == sorted(train)
    by_hash = sorted(range(ROWS), key=lambda r: hashlib.sha256(b"covtype:%d" % r).digest())
    assert test == sorted(by_hash[: len(test)])
    assert torch.equal(parts.train_y, torch.tensor(train) % 7)
    assert parts.train_x.dtype == torch.int16
    assert same(parts, covtype.divided(table().astype(np.float64), "here"))


def test_what_is_no_covertype_is_refused():
    with pytest.raises(FormatError, match=r"here: the table has shape \(700, 54\)"):
        covtype.divided(table()[:, 1:], "here")
    with pytest.raises(FormatError, match="not whole"):
        covtype.divided(table() + 0.5, "here")


def stand_in(monkeypatch, text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr("skmultiflow/data/datasets/covtype.csv", text)
    content, commands = buffer.getvalue(), []

    def run(command, folder):
        commands.append(list(command))
        (folder / "x.whl").write_bytes(content)
        return b""

    monkeypatch.setattr(_sources, "run_client", run)
    digest = hashlib.sha256(content).hexdigest()
    package = PyPIWheel("x", "1.0", digest, tags=("3.6", "cp", "cp36m", "any"))
    monkeypatch.setattr(covtype, "_PACKAGE", package)
    return commands


def test_the_wheel_is_fetched_checked_and_read(tmp_path, monkeypatch):
    lines = ["header", *(",".join(map(str, row)) for row in table())]
    commands = stand_in(monkeypatch, "\n\n".join(lines))
    assert same(covtype._from_pypi(tmp_path), covtype.divided(table(), "here"))
    (command,) = commands
    assert command[command.index("download") + 1 :][-1] == "x==1.0"
    assert "--no-deps" in command
    assert command[command.index("--abi") + 1] == "cp36m"
    with pytest.raises(FormatError, match=r"x 1.0 lacks other.csv"):
        covtype._PACKAGE.member(tmp_path / "x.whl", "other.csv")
    (tmp_path / "broken.whl").write_bytes(b"PK no zip")
    with pytest.raises(FormatError, match=r"x 1.0 is damaged"):
        covtype._PACKAGE.member(tmp_path / "broken.whl", "other.csv")


def test_a_damaged_table_and_another_wheel_are_named(tmp_path, monkeypatch):
    stand_in(monkeypatch, "header\n1,2,x\n")
    with pytest.raises(FormatError, match=r"covtype.csv in PyPI package x 1.0 is damaged"):
        covtype._from_pypi(tmp_path)
    with pytest.raises(DataUnavailableError, match="it was not used"):
        PyPIWheel("x", "1.0", "0" * 64).fetch(tmp_path)


def test_the_client_is_pip_of_this_python_else_that_of_the_machine(tmp_path, monkeypatch):
    for installed, start in ((["pip"], [sys.executable, "-m", "pip"]), ([], ["pip", "download"])):
        commands = stand_in(monkeypatch, "header\n")
        monkeypatch.setattr(
            _sources.importlib.metadata, "distributions", lambda name, found=installed: iter(found)
        )
        covtype._PACKAGE.fetch(tmp_path)
        assert commands[0][: len(start)] == start


def test_scikit_learn_is_asked_first_and_not_for_long(tmp_path, monkeypatch):
    asked = {}

    def fetch_covtype(**options):
        asked.update(options)
        return types.SimpleNamespace(data=table()[:, :-1] * 1.0, target=table()[:, -1])

    monkeypatch.setitem(
        sys.modules, "sklearn.datasets", types.SimpleNamespace(fetch_covtype=fetch_covtype)
    )
    assert same(covtype._from_scikit_learn(tmp_path), covtype.divided(table(), "here"))
    assert asked["data_home"] == tmp_path
    assert asked["n_retries"] == 1

    def closed(**options):
        raise urllib.error.URLError("no route")

    sys.modules["sklearn.datasets"].fetch_covtype = closed
    with pytest.raises(DataUnavailableError, match=r"scikit-learn's downloader failed.*no route"):
        covtype._from_scikit_learn(tmp_path)
    labels = [source.label for source in covtype.Covertype().sources()]
    assert labels[0] == "scikit-learn"
    assert len(labels) == 2


def test_a_table_is_loaded_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(_load, "REGISTRY", Only())
    with pytest.raises(DataUnavailableError, match="clcore data get toy"):
        datasets.load_table("toy", tmp_path)
    write_cache("toy", toy_arrays(), Toy.classes, "here", tmp_path)
    data = datasets.load_table("toy", tmp_path)
    assert data.train_x.dtype == torch.float32
    assert data.columns == ("height", "constant", "rare")
    assert data.mean.tolist() == [4.0, 5.0, 0.0]
    assert data.std.tolist() == [pytest.approx(5**0.5), 1.0, 1.0]
    rows = data.standardise(data.train_x)
    assert rows[:, 0].tolist() == pytest.approx([v / 5**0.5 for v in (-3, -1, 1, 3)])
    assert rows[:, 1].tolist() == [0.0] * 4
    assert torch.equal(rows[:, 2], data.train_x[:, 2])
    assert data.standardise(data.test_x)[0, 0] == pytest.approx(-2 / 5**0.5)
    with pytest.raises(ArgumentError, match="toy is a table"):
        datasets.load("toy", tmp_path)


def test_images_are_no_table_and_columns_are_counted():
    with pytest.raises(ArgumentError, match="digits holds images"):
        datasets.load_table("digits")
    wrong = toy_arrays()._replace(test_x=torch.zeros(2, 4))
    with pytest.raises(ArgumentError, match=r"toy: test rows have shape \(2, 4\)"):
        TableData.of(Toy(), wrong)
    with pytest.raises(FormatError, match="training rows of shape"):
        Toy().verify(toy_arrays()._replace(train_x=torch.zeros(4, 5)), "here")
