"""What of a generative event goes under which key of the wandb dashboard.

Pure functions from events to plain payloads; `docs/wandb.md` lists the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from benchmarks.generative.gather import picture_of
from benchmarks.generative.pictures import LAST
from benchmarks.reporting.images import read_picture
from benchmarks.reporting.wandb_keys import Payload


def point(event: Mapping[str, Any], folder: Path, caption: str) -> Payload:
    """One measurement, over the seconds of training and selection, and its picture.

    Args:
        event: A `point` event.
        folder: The cell's folder.
        caption: Whose samples the picture shows.

    Raises:
        FormatError: The event names a picture outside of the folder.
    """
    payload: Payload = {name: event[name] for name in ("iteration", "seconds")}
    payload["course/selection_seconds"] = event["selection_seconds"]
    payload |= {f"course/{name}": value for name, value in event["measures"].items()}
    payload |= {f"train/{name}": value for name, value in (event.get("losses") or {}).items()}
    file = picture_of(folder, event)
    if file is not None:
        steps = f"{caption}, {event['steps']:,} steps"
        payload["samples/course"] = wandb.Image(read_picture(file), caption=steps)
    return payload


def end(event: Mapping[str, Any], folder: Path) -> Payload:
    """The picture at the end; nothing besides the counter where there is none.

    Args:
        event: An `end` event.
        folder: The cell's folder.
    """
    payload: Payload = {"iteration": event["iteration"]}
    if (folder / LAST).is_file():
        caption = (event.get("result") or {}).get("method", "")
        payload["samples/last"] = wandb.Image(read_picture(folder / LAST), caption=caption)
    return payload


def last_values(result: Mapping[str, Any]) -> dict[str, float]:
    """Each measure at the end, to sort runs by.

    Args:
        result: The cell's entry of `results.json`.
    """
    measures = (result.get("course") or {}).get("measures") or {}
    return {name: values[-1] for name, values in measures.items()}
