"""One process at a time works in a run folder.

The lock lies in the system's folder for temporary files, under a name made from the run folder's,
so nothing stray appears beside the results; the operating system frees it when its process ends,
however it ends.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from clcore.errors import ArgumentError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    Args:
        folder: The folder; need not exist yet.

    Raises:
        ArgumentError: Another process is at work in it.
    """
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"clcore-run-{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ArgumentError(
            f"--out: another clcore process is at work in {folder}; wait for it, or choose another "
            "folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
