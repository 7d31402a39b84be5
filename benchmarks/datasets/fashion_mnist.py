"""Fashion-MNIST: articles of clothing, 28 x 28 grey, 60,000 + 10,000.

Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv:1708.07747, 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.datasets._base import Arrays, DataSet, Source
from benchmarks.datasets._idx import find_idx_files, read_idx_files
from benchmarks.datasets._sources import DebianPackage, fetch_idx_by_torchvision

_PACKAGE = DebianPackage(
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
)
_FOLDER = "usr/share/datasets/fashion-mnist"
_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


class FashionMNIST(DataSet):
    """Fashion-MNIST, by torchvision's mirror or from a Debian package."""

    title = "Fashion-MNIST articles of clothing, 28 x 28 grey"
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    shape = (1, 28, 28)
    sizes = (60_000, 10_000)
    licence = "Expat (MIT), copyright 2017 Zalando SE"
    sha256 = "65259d3d46d7153c5e2fda9daa0625dee53f18786ab1b3d99b0d073f14f85732"

    def local(self, folder: Path) -> Arrays | None:
        """Read torchvision's layout, `FOLDER/FashionMNIST/raw`, gzipped or not."""
        return find_idx_files(folder / "FashionMNIST" / "raw")

    def sources(self) -> Sequence[Source]:
        """Torchvision's mirror, then Debian."""
        return (
            Source("torchvision", partial(fetch_idx_by_torchvision, "FashionMNIST")),
            Source(_PACKAGE.label, _from_debian),
        )


def _from_debian(folder: Path) -> Arrays:
    archive = _PACKAGE.fetch(folder)
    files = _PACKAGE.members(archive, _FOLDER, _FILES)
    return read_idx_files(lambda name: files[f"{name}.gz"], _PACKAGE.label)
