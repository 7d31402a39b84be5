"""What can stop a run, each said in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clcore.errors import ClcoreError


class RunError(ClcoreError, RuntimeError):
    """A run could not be finished; what was computed is kept."""


class DiskError(RunError):
    """A file could not be written: the disk is full, or the folder is not writable."""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a failure to write into one sentence.

    Args:
        folder: What was being written to; named in the sentence.

    Yields:
        Nothing.

    Raises:
        DiskError: The body raised an `OSError`, or PyTorch's writer failed.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DiskError(f"{error.filename or folder}: {reason}") from error
    except RuntimeError as error:
        # torch.save reports a full disk as a RuntimeError of its zip writer.
        if "PytorchStreamWriter" not in str(error) and "write failed" not in str(error):
            raise
        raise DiskError(f"{folder}: {os.strerror(errno.ENOSPC)}") from error
