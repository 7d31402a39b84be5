"""Two processes never work in one run folder."""

import subprocess
import sys

import pytest

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
