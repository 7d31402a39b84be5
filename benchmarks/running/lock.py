"""One process at a time works in a run folder.

The lock lies in the system's folder for temporary files, under a name made from the run folder's,
so nothing stray appears beside the results; the operating system frees it when its process ends,
however it ends. Whoever holds it removes its file before giving it up; only a process that is
killed leaves one, which the next in the same folder takes over and removes.

A file that others may be about to lock can be removed safely in one way only: by its holder, and
with a look, after each locking, whether the name still leads to the locked file. Without the look
a process that had opened the file before it was removed would lock what nobody else can find.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clcore.errors import ArgumentError


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; its file is gone afterwards.

    Args:
        folder: The folder; need not exist yet.

    Raises:
        ArgumentError: Another process is at work in it.
    """
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with _held(Path(tempfile.gettempdir()) / f"clcore-run-{name}.lock") as ours:
        if not ours:
            raise ArgumentError(
                f"--out: another clcore process is at work in {folder}; wait for it, or choose "
                "another folder"
            )
        yield


if sys.platform == "win32":
    from filelock import FileLock, Timeout

    @contextlib.contextmanager
    def _held(path: Path) -> Iterator[bool]:
        """Lock a file, if nobody else has; Windows' locks remove their file by themselves."""
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

else:
    import fcntl

    @contextlib.contextmanager
    def _held(path: Path) -> Iterator[bool]:
        """Lock a file, if nobody else has, and remove it at the end."""
        opened = _locked(path)
        if opened is None:
            yield False
            return
        try:
            yield True
        finally:
            try:
                # Something that tidies the folder up may have removed it, and another process may
                # hold a new one.
                if _leads_to(path, opened):
                    path.unlink()
            finally:
                os.close(opened)

    def _locked(path: Path) -> int | None:
        """The locked file; None where another process has it."""
        while True:
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _leads_to(path, opened):
                    return opened
            except BlockingIOError:
                os.close(opened)
                return None
            except BaseException:
                os.close(opened)
                raise
            os.close(opened)  # its holder removed it between the two calls

    def _leads_to(path: Path, opened: int) -> bool:
        try:
            return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(opened))
        except FileNotFoundError:
            return False
