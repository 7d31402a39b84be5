"""What of a cell is kept on wandb as files: its result, its memory, its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from benchmarks.reporting import wandb_keys as keys
from benchmarks.reporting.gather import inside


def keep_result(run: wandb.Run, start: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Keep the entry of results.json, taken from the event: the file may not be there yet.

    Args:
        run: The run.
        start: The cell's `start` event.
        result: The entry; nothing is kept of an empty one.
    """
    if result:
        artifact = _artifact(start, "result")
        with artifact.new_file("result.json") as stream:
            json.dump(result, stream, indent=1)
        run.log_artifact(artifact)


def keep_files(
    run: wandb.Run, start: Mapping[str, Any], cell_dir: Path, named: Mapping[str, str]
) -> None:
    """Keep the files that an `end` event names, and the checkpoint.

    Args:
        run: The run.
        start: The cell's `start` event.
        cell_dir: The cell's folder.
        named: Kind to file in that folder; what is not there is passed over.

    Raises:
        FormatError: A name leads out of the folder.
    """
    files = {kind: inside(cell_dir, name) for kind, name in named.items() if name}
    files.setdefault("checkpoint", cell_dir / "checkpoint")
    for kind, path in files.items():
        if not path.exists():
            continue
        artifact = _artifact(start, kind)
        # One by one: wandb prints a line for each folder that is added whole.
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if file.is_file():
                name = file.relative_to(path) if path.is_dir() else file.name
                artifact.add_file(str(file), name=str(name))
        run.log_artifact(artifact)


def _artifact(start: Mapping[str, Any], kind: str) -> wandb.Artifact:
    cell = start.get("cell") or keys.run_id(start)
    return wandb.Artifact(keys.plain(f"{kind}-{cell}"), type=kind, metadata=keys.config(start))
