"""Fetching without a network: the clients and torchvision are stood in for."""

import hashlib
import io
import socket
import sys
import tarfile

import pytest
import torch

from benchmarks.datasets import _sources, cifar_10, fashion_mnist, mnist
from benchmarks.datasets._sources import DebianPackage, NpmPackage
from clcore.errors import DataUnavailableError, FormatError


def archive_of(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def sha(content):
    return hashlib.sha256(content).hexdigest()


def stand_in(monkeypatch, content, name="x-1.0.tgz"):
    """A client that leaves one archive; returns the list of the commands that it was given."""
    commands = []

    def run(command, folder):
        commands.append(list(command))
        (folder / name).write_bytes(content)
        return b""

    monkeypatch.setattr(_sources, "run_client", run)
    return commands


def test_npm_fetches_the_pinned_archive(tmp_path, monkeypatch):
    content = archive_of({"package/data/a.txt": b"hello", "package/b.txt": b"unwanted"})
    commands = stand_in(monkeypatch, content)
    package = NpmPackage("x", "1.0", sha(content))
    path = package.fetch(tmp_path)
    assert commands == [["npm", "pack", "--ignore-scripts", "--silent", "x@1.0"]]
    assert _sources.npm_members(path, ["data/a.txt"], package.label) == {"a.txt": b"hello"}
    with pytest.raises(FormatError, match=r"x 1[.]0 lacks package/data/c"):
        _sources.npm_members(path, ["data/c"], package.label)


def test_an_archive_with_another_digest_is_not_used(tmp_path, monkeypatch):
    stand_in(monkeypatch, b"something else")
    with pytest.raises(DataUnavailableError, match="it was not used"):
        NpmPackage("x", "1.0", sha(b"the right one")).fetch(tmp_path)


def test_a_client_that_leaves_nothing_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(_sources, "run_client", lambda command, folder: b"")
    with pytest.raises(DataUnavailableError, match="left 0 archives"):
        NpmPackage("x", "1.0", "0").fetch(tmp_path)


def test_a_damaged_archive_is_named(tmp_path):
    path = tmp_path / "x.tgz"
    path.write_bytes(archive_of({"package/a": b"a" * 10_000})[:60])
    with pytest.raises(FormatError, match="a label is damaged"):
        _sources.npm_members(path, ["a"], "a label")


def test_debian_without_package_lists_gets_its_own(tmp_path, monkeypatch):
    commands = []

    def run(command, folder):
        commands.append(list(command))
        if len(commands) == 1:
            raise DataUnavailableError("apt-get failed: unable to locate package")
        if "download" in command:
            (folder / "x.deb").write_bytes(b"deb")
        return b""

    monkeypatch.setattr(_sources, "run_client", run)
    path = DebianPackage("x", "1.0", sha(b"deb")).fetch(tmp_path)
    assert path.name == "x.deb"
    assert [command[2] for command in commands] == ["download", "update", "download"]
    assert any(part.startswith("Dir::State::lists=") for part in commands[2])


def test_debian_members_are_read_out_of_the_tar(tmp_path, monkeypatch):
    content = archive_of({"./usr/share/x/a.gz": b"inside"})
    monkeypatch.setattr(_sources, "run_client", lambda command, folder: content)
    package = DebianPackage("x", "1.0", "0")
    assert package.members(tmp_path / "x.deb", "usr/share/x", ["a.gz"]) == {"a.gz": b"inside"}


def test_a_missing_client_and_a_failing_client_are_named(tmp_path):
    with pytest.raises(DataUnavailableError, match="no-such-client is not installed"):
        _sources.run_client(["no-such-client"], tmp_path)
    script = "import sys; print('first', file=sys.stderr); sys.exit('the reason')"
    with pytest.raises(DataUnavailableError, match="exit code 1: the reason"):
        _sources.run_client([sys.executable, "-c", script], tmp_path)
    assert _sources.run_client([sys.executable, "-c", "print('ok')"], tmp_path).strip() == b"ok"


def test_a_slow_client_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(_sources, "_CLIENT_SECONDS", 0.2)
    with pytest.raises(DataUnavailableError, match="did not finish"):
        _sources.run_client([sys.executable, "-c", "import time; time.sleep(5)"], tmp_path)


@pytest.mark.parametrize(
    "error", [RuntimeError("Error downloading\nTried a mirror"), OSError("refused"), RuntimeError()]
)
def test_torchvision_is_quiet_and_impatient(capsys, error):
    before = socket.getdefaulttimeout()

    def download():
        print("Failed to download (trying next):")
        assert socket.getdefaulttimeout() == _sources._CONNECT_SECONDS
        raise error

    failed = pytest.raises(DataUnavailableError, match="torchvision's downloader failed")
    with failed, _sources.torchvision_download():
        download()
    assert capsys.readouterr().out == ""
    assert socket.getdefaulttimeout() == before


def test_torchvision_comes_before_the_registry():
    for data_set in (mnist.MNIST(), fashion_mnist.FashionMNIST(), cifar_10.CIFAR10()):
        labels = [source.label for source in data_set.sources()]
        assert labels[0] == "torchvision"
        assert len(labels) == 2
        assert len(data_set.sha256) == 64


def test_mnist_is_read_out_of_the_npm_archive(tmp_path, monkeypatch):
    import struct

    images = torch.arange(2 * 28 * 28).view(2, 28, 28).to(torch.uint8)
    parts = {
        "images-idx3-ubyte": struct.pack(">4i", 0x803, 2, 28, 28) + images.numpy().tobytes(),
        "labels-idx1-ubyte": struct.pack(">2i", 0x801, 2) + b"\x07\x03",
    }
    content = archive_of(
        {
            f"package/data/{part}-{kind}": value
            for part in ("train", "t10k")
            for kind, value in parts.items()
        }
    )
    stand_in(monkeypatch, content)
    monkeypatch.setattr(mnist, "_PACKAGE", NpmPackage("x", "1.0", sha(content)))
    arrays = mnist.MNIST().sources()[1].read(tmp_path)
    assert torch.equal(arrays.train_x[:, 0], images)
    assert arrays.test_y.tolist() == [7, 3]


def test_torchvision_leaves_files_that_we_read(tmp_path, monkeypatch):
    import gzip
    import struct

    import torchvision

    def download(root, download):
        folder = tmp_path / "FashionMNIST" / "raw"
        folder.mkdir(parents=True)
        for part in ("train", "t10k"):
            images = struct.pack(">4i", 0x803, 1, 28, 28) + bytes(784)
            labels = struct.pack(">2i", 0x801, 1) + b"\x05"
            (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
            (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", download)
    arrays = fashion_mnist.FashionMNIST().sources()[0].read(tmp_path)
    assert arrays.train_x.shape == (1, 1, 28, 28)
    assert arrays.train_y.tolist() == [5]
    monkeypatch.setattr(torchvision.datasets, "MNIST", lambda root, download: None)
    with pytest.raises(DataUnavailableError, match="left no raw files"):
        mnist.MNIST().sources()[0].read(tmp_path)


def test_cifar_is_read_out_of_the_binary_archive(tmp_path, monkeypatch):
    import torchvision

    parts = [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]
    content = archive_of(
        {
            f"cifar-10-batches-bin/{part}.bin": bytes([label]) + bytes([label] * 3072)
            for label, part in enumerate(parts)
        }
    )
    asked = []

    def download_url(url, root, filename):
        asked.append(url)
        (tmp_path / filename).write_bytes(content)

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download_url)
    arrays = cifar_10.CIFAR10().sources()[0].read(tmp_path)
    assert asked[0].endswith("cifar-10-binary.tar.gz")
    assert arrays.train_y.tolist() == [0, 1, 2, 3, 4]
    assert arrays.test_x.flatten().unique().tolist() == [5]
