"""Starts processes that select together, as torchrun would, on this machine's loopback."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path


def start(script, folder, size=2):
    """Start `size` processes of a script; returns them. Each gets the folder as its argument."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(size):
        environment = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-W", "ignore", str(script), str(folder)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return processes


def finish(processes, seconds=120):
    """Wait for processes; returns what they printed and their exit codes. None is left behind."""
    until = time.monotonic() + seconds
    try:
        return [
            (process.communicate(timeout=max(0.1, until - time.monotonic()))[0], process.returncode)
            for process in processes
        ]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
