"""Two processes never work in one run folder."""

import subprocess
import sys
import tempfile

import pytest

from benchmarks.running import lock
from benchmarks.running.lock import alone_in
from clcore.errors import ArgumentError

HOLD = """
import sys
from pathlib import Path
from benchmarks.running.lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

CONTEND = """
import os, sys, tempfile
from pathlib import Path
from benchmarks.running.lock import alone_in
from clcore.errors import ArgumentError
tempfile.tempdir, folder, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
entered = 0
while entered < rounds:
    try:
        with alone_in(folder):
            os.mkdir(folder / "inside")  # fails where the other process is inside
            os.rmdir(folder / "inside")
            entered += 1
    except ArgumentError:
        continue
print(entered)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def test_a_folder_in_use_is_refused_and_free_once_its_process_is_gone(tmp_path):
    folder = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ArgumentError, match="another clcore process is at work"),
            alone_in(folder),
        ):
            pass
        with alone_in(tmp_path / "other"):
            pass
        holder.kill()
        holder.wait()
    with alone_in(folder):
        assert not folder.exists()


def test_no_file_remains(tmp_path, temporary):
    with alone_in(tmp_path / "run"):
        assert len(list(temporary.glob("clcore-run-*.lock"))) == 1
    assert not list(temporary.iterdir())
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path / "run"):
        raise ZeroDivisionError
    assert not list(temporary.iterdir())


def test_who_is_refused_leaves_the_file_of_who_is_not(tmp_path, temporary):
    with alone_in(tmp_path / "run"):
        before = list(temporary.iterdir())
        for _ in range(2):
            with pytest.raises(ArgumentError, match="--out"), alone_in(tmp_path / "run"):
                pass
        assert list(temporary.iterdir()) == before


def test_a_file_that_a_killed_process_left_is_removed(tmp_path, temporary):
    with alone_in(tmp_path / "run"):
        (left,) = temporary.iterdir()
    left.touch()
    with alone_in(tmp_path / "run"):
        assert list(temporary.iterdir()) == [left]
    assert not list(temporary.iterdir())


def test_two_processes_contend_and_are_never_inside_together(tmp_path, temporary):
    folder = tmp_path / "run"
    folder.mkdir()
    words = [sys.executable, "-c", CONTEND, str(temporary), str(folder), "300"]
    both = [
        subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        said, error = process.communicate(timeout=60)
        assert said == "300\n", error
    assert not list(temporary.iterdir())


needs_flock = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")


@needs_flock
@pytest.mark.parametrize("next_one", [True, False])
def test_a_file_that_its_holder_removed_is_not_what_is_locked(
    tmp_path, temporary, monkeypatch, next_one
):
    """The holder leaves between our opening and our locking; then somebody else comes, or not."""
    import fcntl
    import os

    folder, opened, flock = tmp_path / "run", [], fcntl.flock
    with alone_in(folder):
        (path,) = temporary.iterdir()
    path.touch()

    def late(file, how):
        if not opened:
            path.unlink()
            opened.append(os.open(path, os.O_RDWR | os.O_CREAT) if next_one else None)
            if next_one:
                flock(opened[0], fcntl.LOCK_EX)
        flock(file, how)

    monkeypatch.setattr(lock.fcntl, "flock", late)
    if next_one:
        with pytest.raises(ArgumentError, match="another clcore process"), alone_in(folder):
            pass
        assert os.path.samestat(path.stat(), os.fstat(opened[0]))
        os.close(opened[0])
    else:
        with alone_in(folder):
            assert path.exists()
        assert not path.exists()


@needs_flock
def test_a_file_that_is_another_holders_is_left(tmp_path, temporary):
    with alone_in(tmp_path / "run"):
        (path,) = temporary.iterdir()
        path.unlink()
        path.touch()  # something tidied up, and another process came
    assert path.exists()
