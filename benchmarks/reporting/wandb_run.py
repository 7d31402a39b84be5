"""Starting a wandb run: quietly, beside the user's own, offline if need be."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb

from benchmarks.reporting.wandb_keys import AXES
from benchmarks.reporting.wandb_mode import LATER, Mode

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fed:
    """Where a wandb run went.

    Args:
        run_id: Its id.
        mode: How it was run in the end.
        folder: Its local folder; None where wandb is disabled.
        url: Its page; None offline.
    """

    run_id: str
    mode: Mode
    folder: Path | None
    url: str | None


def quiet_settings() -> wandb.Settings:
    """Settings under which wandb prints nothing and records nothing about the machine."""
    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        init_timeout=30,
        x_disable_stats=True,
        x_disable_meta=True,
    )


@contextmanager
def staging(folder: Path) -> Iterator[None]:
    """Have wandb keep the bytes of artifacts in a folder of ours while the context lasts.

    By default they go to the user's data folder, and an offline run is then not complete.

    Args:
        folder: Made where missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("WANDB_DATA_DIR", None)
        else:
            os.environ["WANDB_DATA_DIR"] = before


def is_wandb_failure(error: Exception) -> bool:
    """Whether an exception is wandb's or the system's, and not a mistake of ours.

    wandb raises, besides its public errors, about ten that share no base class.
    """
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "wandb"


def start_run(mode: Mode, wandb_dir: Path, **options: Any) -> tuple[wandb.Run, Mode]:
    """`wandb.init` that falls back to offline, and leaves a run of the user's alone.

    Args:
        mode: How to run.
        wandb_dir: Folder in which wandb makes its `wandb` folder.
        **options: For `wandb.init`, an `id` among them; a run that falls back to offline gets
            `-offline` appended to it.

    Returns:
        The run, and how it runs in the end.
    """
    options = {"settings": quiet_settings(), **options}
    if mode != "disabled":
        wandb_dir.mkdir(parents=True, exist_ok=True)
    start: Callable[..., wandb.Run] = wandb.init
    try:
        run = start(mode=mode, dir=str(wandb_dir), reinit="create_new", **options)
    except (wandb.errors.CommError, wandb.errors.AuthenticationError, wandb.errors.UsageError) as e:
        if mode != "online":
            raise
        logger.warning("wandb: %s, %s", str(e).splitlines()[0].rstrip("."), LATER)
        mode = "offline"
        # wandb's service still holds the id of the failed attempt.
        options["id"] = f"{options['id']}-offline"
        run = start(mode=mode, dir=str(wandb_dir), reinit="create_new", **options)
    for axis in dict.fromkeys(["experience", "iteration", *AXES.values()]):
        run.define_metric(axis)
    for pattern, axis in AXES.items():
        run.define_metric(pattern, step_metric=axis)
    return run, mode


def fed_of(run: wandb.Run, mode: Mode) -> Fed:
    """Where a run goes; its page is logged as well."""
    folder = None if mode == "disabled" else Path(run.settings.sync_dir)
    url = run.url if mode == "online" else None
    if url is not None:
        logger.info("wandb: %s", url)
    return Fed(run.id, mode, folder, url)


def remove_earlier(wandb_dir: Path, identity: str) -> None:
    """Remove offline folders that hold the same run, and their staged artifacts.

    Args:
        wandb_dir: Folder that holds the `wandb` folder.
        identity: The run's id.
    """
    folder = wandb_dir / "wandb"
    patterns = (f"offline-run-*-{identity}", f"offline-run-*-{identity}-offline")
    earlier = [path for pattern in patterns for path in folder.glob(pattern)]
    for old in [*earlier, folder / "staged" / identity]:
        if old.is_dir():
            shutil.rmtree(old)
