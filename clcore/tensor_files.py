"""Tensors on disk: a safetensors file that is written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; an older one stays until the new one is complete and on disk.

    Args:
        path: Target file; its folder is made if need be.
        tensors: By name; those that are not on the CPU or not contiguous are copied.
        metadata: Of the file's header.

    Raises:
        OSError: The disk is full or the folder can't be written; the old file is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name beside the target: only within one file system is a file replaced at once.
    temporary = path.with_name(path.name + ".part")
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(ready, temporary, dict(metadata))
        _sync(temporary)
        os.replace(temporary, path)
        if os.name == "posix":
            _sync(path.parent)
    except SafetensorError as error:
        raise OSError(f"could not write {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
