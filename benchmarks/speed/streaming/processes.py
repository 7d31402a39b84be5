"""Starts the processes of one selection, as `torchrun` would, and reads what they measured."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.settings import to_plain
from benchmarks.speed.streaming.settings import OutOfCoreSettings
from benchmarks.speed.streaming.works import WORKS
from clcore.distributed import WorkerError

WORKER = "benchmarks.speed.streaming.worker"
START = 120.0
"""Wall seconds that imports and the untimed call may take."""

_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")
_POLL = 0.05


@dataclass(frozen=True)
class Measured:
    """One selection.

    Attributes:
        cpu: Processor seconds of the slower process.
        wall: Wall seconds of the slower process.
        peak_bytes: Memory of the larger process at its highest, libraries included.
        report: What the coreset says of itself.
    """

    cpu: float
    wall: float
    peak_bytes: int
    report: dict[str, float]


def measure(work: str, rows: Path, settings: OutOfCoreSettings) -> Measured:
    """Do one work by as many processes as the settings say; none is left behind.

    Args:
        work: A name of `WORKS`.
        rows: The file.
        settings: The group's.

    Raises:
        WorkerError: A process failed, or they took longer than the limit.
    """
    size = 1 if WORKS[work].alone else settings.processes
    with tempfile.TemporaryDirectory(dir=rows.parent) as place:
        folder = Path(place)
        job = folder / "job.json"
        job.write_text(
            json.dumps({"work": work, "rows": str(rows), "settings": to_plain(settings)})
        )
        _run(work, job, size, settings.limit)
        each: list[dict[str, Any]] = [
            json.loads((folder / f"figures-{rank}.json").read_text()) for rank in range(size)
        ]
    return Measured(
        max(one["cpu"] for one in each),
        max(one["wall"] for one in each),
        max(one["peak_bytes"] for one in each),
        each[0]["report"],
    )


def _run(work: str, job: Path, size: int, limit: float) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    try:
        for rank in range(size):
            with (job.parent / f"errors-{rank}").open("w") as errors:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-P", "-m", WORKER, str(job)],
                        env=_environment(rank, size, port),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=errors,
                    )
                )
        failed = _wait(work, processes, limit)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
    if failed is not None:
        words = _last_words(job.parent / f"errors-{failed}", processes[failed].returncode)
        raise WorkerError(f"{work}: process {failed} of {size} {words}")


def _environment(rank: int, size: int, port: int) -> dict[str, str]:
    root = str(Path(benchmarks.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": "1" for name in _THREADS},
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "ignore",
    }


def _wait(work: str, processes: list[subprocess.Popen[bytes]], limit: float) -> int | None:
    """Wait until all have ended well, or one has failed, whose rank is returned.

    Those that are killed then are not to be taken for the cause.
    """
    until = time.monotonic() + START + limit
    while True:
        codes = [process.poll() for process in processes]
        failed = [rank for rank, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            return failed[0]
        if all(code == 0 for code in codes):
            return None
        if time.monotonic() > until:
            raise WorkerError(f"{work}: took longer than limit={limit:g} seconds; set more")
        time.sleep(_POLL)


def _last_words(errors: Path, code: int) -> str:
    """Say how a process ended: the signal or status, and the last line that it wrote."""
    lines = errors.read_text(errors="replace").strip().splitlines()
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return f"{ended}: {lines[-1][:300]}" if lines else ended
