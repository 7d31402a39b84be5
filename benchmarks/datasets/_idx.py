"""IDX, the format of MNIST: a magic number, the sizes, then the bytes.

Source: the page of Y. LeCun, C. Cortes and C. Burges on the MNIST database, "file formats".
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.datasets._base import Arrays
from clcore.errors import FormatError

_UNSIGNED_BYTE = 0x08
_PARTS = (
    ("train-images-idx3-ubyte", 3),
    ("train-labels-idx1-ubyte", 1),
    ("t10k-images-idx3-ubyte", 3),
    ("t10k-labels-idx1-ubyte", 1),
)


def parse_idx(content: bytes, what: str, dimensions: int) -> Tensor:
    """Read unsigned bytes in IDX format, gzipped or not.

    Args:
        content: The whole file.
        what: What to call the file in messages.
        dimensions: Number of dimensions that it must have: 3 for images, 1 for labels.

    Returns:
        uint8 tensor of the shape that the file gives.

    Raises:
        FormatError: If the file is truncated or is something else.
    """
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{what} is damaged: {error}") from error
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes((0, 0, _UNSIGNED_BYTE, dimensions)):
        raise FormatError(f"{what} is not an IDX file of {dimensions}-dimensional unsigned bytes")
    shape = np.frombuffer(content, ">i4", dimensions, 4).tolist()
    if min(shape) < 0 or len(content) != header + math.prod(shape):
        raise FormatError(
            f"{what} is damaged: shape {shape} needs {header + math.prod(shape)} bytes, "
            f"it has {len(content)}"
        )
    values = np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    return torch.from_numpy(values.copy())


def read_idx_files(read: Callable[[str], bytes], where: str) -> Arrays:
    """Read the four files that MNIST and its relatives consist of.

    Args:
        read: Gives the bytes of the file of that name (`train-images-idx3-ubyte` and so on),
            gzipped or not.
        where: The archive or folder, for messages.

    Returns:
        The tensors; images get a channel dimension.

    Raises:
        FormatError: If a file is damaged.
    """
    train_x, train_y, test_x, test_y = (
        parse_idx(read(name), f"{name} in {where}", dimensions) for name, dimensions in _PARTS
    )
    return Arrays(
        train_x.unsqueeze(1),
        train_y.to(torch.int64),
        test_x.unsqueeze(1),
        test_y.to(torch.int64),
    )


def find_idx_files(folder: Path) -> Arrays | None:
    """Read the four IDX files from a folder, each either plain or with `.gz` at the end.

    Args:
        folder: Where to look, for example `ROOT/MNIST/raw`, which is torchvision's layout.

    Returns:
        The tensors, or None unless all four are there.

    Raises:
        FormatError: If a file is there but damaged.
    """
    found: dict[str, Path] = {}
    for name, _ in _PARTS:
        candidates = [folder / name, folder / f"{name}.gz"]
        present = next((path for path in candidates if path.is_file()), None)
        if present is None:
            return None
        found[name] = present
    return read_idx_files(lambda name: found[name].read_bytes(), str(folder))
