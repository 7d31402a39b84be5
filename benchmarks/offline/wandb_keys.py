"""What of an offline event goes under which key of the wandb dashboard.

Pure functions from events to plain payloads; `docs/wandb.md` lists the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import wandb

from benchmarks.offline.pictures import HEAVIEST, NEVER
from benchmarks.reporting.images import read_picture
from benchmarks.reporting.wandb_keys import Payload, class_histogram

_MEASURED = ("loss", "loss_residual", "test_error", "selection_seconds", "train_loss",
             "learning_rate")  # fmt: skip
_CHOSEN = ("rows", "seconds", "gradient_error", "gradient_norm", "error_bound",
           "greatest_weight", "effective_rows", "rows_ever_chosen")  # fmt: skip


def point(event: Mapping[str, Any]) -> Payload:
    """One measurement, over the seconds of training and selection."""
    payload: Payload = {name: event[name] for name in ("iteration", "epoch", "seconds")}
    measured = {name: event.get(name) for name in _MEASURED}
    return payload | {f"course/{k}": value for k, value in measured.items() if value is not None}


def coreset(event: Mapping[str, Any], classes: int | None) -> Payload:
    """One selection.

    Args:
        event: A `coreset` event.
        classes: How many classes there are, where that is known.
    """
    payload: Payload = {name: event[name] for name in ("iteration", "epoch")}
    chosen = {name: event.get(name) for name in _CHOSEN}
    payload |= {f"coreset/{k}": value for k, value in chosen.items() if value is not None}
    if event.get("gradient_error") is not None and event.get("gradient_norm"):
        relative = event["gradient_error"] / event["gradient_norm"]
        payload["coreset/relative_gradient_error"] = relative
    counts = {int(label): int(count) for label, count in (event.get("class_counts") or {}).items()}
    if counts:
        payload["coreset/class_counts"] = class_histogram(counts, classes)
    return payload


def end(event: Mapping[str, Any], folder: Path) -> Payload:
    """What is shown once, at the end: the weights of the last coreset and pictures.

    Args:
        event: An `end` event.
        folder: The cell's folder.
    """
    result = event.get("result") or {}
    points = (result.get("curves") or {}).get("epochs") or [0]
    payload: Payload = {"iteration": event["iteration"], "epoch": points[-1]}
    weights = result.get("weights")
    if weights:
        counts, edges = np.asarray(weights["counts"]), np.asarray(weights["edges"])
        payload["coreset/weights"] = wandb.Histogram(np_histogram=(counts, edges))
    for name, file in (("heaviest", HEAVIEST), ("never_chosen", NEVER)):
        if (folder / file).is_file():
            caption = f"{result.get('method', '')}: {name.replace('_', ' ')}, a row a class"
            payload[f"coreset/{name}"] = wandb.Image(read_picture(folder / file), caption=caption)
    return payload
