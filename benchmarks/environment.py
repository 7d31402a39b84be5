"""Where a run was made: what has to be equal for its numbers to come out equal."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "avalanche-lib", "numpy", "scikit-learn", "wandb")
"""Distributions whose versions are recorded."""


def describe(threads: int, device: str = "cpu") -> dict[str, Any]:
    """Describe this machine and installation.

    Args:
        threads: Threads that each process lets PyTorch use. Sums are split between threads, so
            the bits of a result hold for one number of threads only.
        device: Where the models are trained.

    Returns:
        Plain JSON: versions, machine, threads, commit.
    """
    from clcore.version import __version__

    found: dict[str, str | None] = {"python": platform.python_version(), "clcore": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {
        "versions": found,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "device": device,
        "threads": threads,
        "git": source_commit(),
    }


def cpu_name() -> str:
    """The processor's name; empty where the system does not tell."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor()


def source_commit(folder: Path | None = None) -> dict[str, Any] | None:
    """The commit of the source checkout that is running.

    Args:
        folder: A folder of the source; that of this package if None.

    Returns:
        `{"commit": ..., "dirty": ...}`; None where the code does not run from a checkout: an
        installed wheel, no git, or a folder that lies in somebody else's repository.
    """
    folder = Path(__file__).resolve().parent if folder is None else folder
    # Installed into a virtual environment inside a user's repository, the nearest `.git` is the
    # user's; only a repository that tracks this very file says anything about this code.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    """What git prints, or None where it is missing or refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two environments in a way that can change a result's bits.

    Args:
        then: Recorded environment.
        now: The present one.

    Returns:
        One phrase a difference, for example `"torch 2.14.1 then, 2.15.0 now"`.
    """
    old, new = _telling(then), _telling(now)
    return [
        f"{name} {old.get(name)} then, {new.get(name)} now"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _telling(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What can change a result's bits."""
    versions = dict(environment.get("versions") or {})
    versions.pop("wandb", None)  # only watches
    machine = {name: environment.get(name) for name in ("machine", "cpu", "device", "threads")}
    return {**versions, **machine, "commit": (environment.get("git") or {}).get("commit")}
