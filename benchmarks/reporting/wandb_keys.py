"""What of an event goes under which key of the wandb dashboard.

Pure functions from events to plain payloads; `docs/wandb.md` lists the keys.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import wandb

Payload: TypeAlias = dict[str, Any]
Row: TypeAlias = Sequence[float | None]

AXES = {
    "accuracy/*": "experience",
    "forgetting/*": "experience",
    "transfer/*": "experience",
    "memory/*": "experience",
    "selection/*": "experience",
    "train/*": "iteration",
    "accuracy_during/*": "iteration",
    "avalanche/*": "iteration",
    "course/*": "seconds",
    "coreset/*": "epoch",
    "samples/*": "iteration",
}
"""Pattern of keys to the counter that is their horizontal axis."""

MOST_BINS = 512
"""wandb takes no longer histograms."""


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that name a set of settings, whatever their order."""
    # How a run was called does not change what it is.
    named = {key: value for key, value in settings.items() if key != "command"}
    text = json.dumps(named, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_id(start: Mapping[str, Any]) -> str:
    """The run's id: the same cell with the same settings replaces itself.

    Args:
        start: A `start` event.
    """
    if start.get("kind") in ("offline", "generative"):
        parts = [start["suite"], start["cell"]]
    else:
        parts = [start["suite"], start["method"], start["seed"], start["memory_size"]]
    return plain("-".join(map(str, [*parts, settings_hash(start.get("settings") or {})])))


def plain(name: str) -> str:
    """A name that wandb takes for runs and artifacts."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:120]


def tags(start: Mapping[str, Any]) -> list[str]:
    """Suite, method, kind, seed and what else tells cells apart, as far as it is known.

    Args:
        start: A `start` event.
    """
    words = [start["suite"], start["method"], start.get("kind")]
    numbers = {"seed": start.get("seed"), "memory": start.get("memory_size")}
    numbers |= {"batch": start.get("batch_size")}
    numbers |= {name: start.get(name) for name in ("fraction", "optimizer")}
    words += [f"{name} {value}" for name, value in numbers.items() if value is not None]
    return [str(word)[:64] for word in dict.fromkeys(words) if word]


def config(start: Mapping[str, Any]) -> Payload:
    """All settings of a cell.

    Args:
        start: A `start` event.
    """
    left_out = ("event", "time", "schema", "class_names")
    return {key: value for key, value in start.items() if key not in left_out}


def train(event: Mapping[str, Any]) -> Payload:
    """Loss and accuracy of a training step."""
    names = ("loss", "accuracy", "replay_loss")
    return {
        "iteration": event["iteration"],
        **{f"train/{name}": event[name] for name in names if event.get(name) is not None},
    }


def _of_experiences(prefix: str, values: Row) -> Payload:
    return {
        f"{prefix}/exp_{index:02d}": value for index, value in enumerate(values)
        if value is not None
    }  # fmt: skip


def evaluation(event: Mapping[str, Any], earlier: Sequence[Row]) -> Payload:
    """Accuracies, and at the end of an experience forgetting and transfer.

    Args:
        event: An `evaluation` event.
        earlier: Accuracies at the ends of the experiences before, oldest first.
    """
    accuracies: Row = event["accuracies"]
    payload: Payload = {
        "iteration": event["iteration"],
        "accuracy_during/average": event["average_accuracy"],
        **_of_experiences("accuracy_during", accuracies),
    }
    if event["phase"] != "end":
        return payload
    payload |= {
        "experience": event["experience"],
        "accuracy/average": event["average_accuracy"],
        "forgetting/average": event["average_forgetting"],
        **_of_experiences("accuracy", accuracies),
        **_of_experiences("forgetting", forgetting(accuracies, earlier)),
    }
    backward = backward_transfer(accuracies, earlier)
    if backward is not None:
        payload["transfer/backward"] = backward
    return payload


def forgetting(now: Row, earlier: Sequence[Row]) -> list[float | None]:
    """Best earlier accuracy minus that of now, for each experience learned before.

    Args:
        now: Accuracies after the present experience.
        earlier: Accuracies after those before; row i is after training on experience i.

    Returns:
        One number for each earlier experience; None where it was not measured.
    """
    lost: list[float | None] = []
    for column in range(min(len(earlier), len(now))):
        before = [row[column] for row in earlier[column:] if column < len(row)]
        best = max((value for value in before if value is not None), default=None)
        present = now[column]
        lost.append(None if best is None or present is None else best - present)
    return lost


def backward_transfer(now: Row, earlier: Sequence[Row]) -> float | None:
    """Mean of the accuracy of now minus that just after learning, over what was learned before."""
    changes = []
    for column, row in enumerate(earlier[: len(now)]):
        present, learned = now[column], row[column] if column < len(row) else None
        if present is not None and learned is not None:
            changes.append(present - learned)
    return sum(changes) / len(changes) if changes else None


def memory(event: Mapping[str, Any], classes: int | None) -> Payload:
    """What the memory holds, its picture excepted.

    Args:
        event: A `memory` event.
        classes: How many classes there are, where that is known.
    """
    counts = {int(label): int(count) for label, count in event["class_counts"].items()}
    payload: Payload = {"experience": event["experience"], "iteration": event["iteration"]}
    names = ("age_mean", "age_max", "turnover", "bytes", "size")
    payload |= {f"memory/{name}": event[name] for name in names if event.get(name) is not None}
    if event.get("capacity"):
        payload["memory/filled"] = event["size"] / event["capacity"]
    present = [count for count in counts.values() if count > 0]
    if present:
        payload["memory/imbalance"] = max(present) * len(present) / sum(present)
        payload["memory/class_counts"] = class_histogram(counts, classes)
    return payload


def class_histogram(counts: Mapping[int, int], classes: int | None) -> wandb.Histogram:
    """Exemplars of each class; bin i is class i (several classes a bin beyond 512).

    Args:
        counts: Label to count.
        classes: How many classes there are, where that is known.
    """
    length = max(classes or 0, max(counts) + 1)
    edges = np.linspace(-0.5, length - 0.5, min(length, MOST_BINS) + 1)
    filled = np.zeros(len(edges) - 1, dtype=np.int64)
    for label, count in counts.items():
        filled[label * len(filled) // length] += count
    return wandb.Histogram(np_histogram=(filled, edges))


def selection(event: Mapping[str, Any]) -> Payload:
    """What choosing exemplars has cost until now."""
    names = ("seconds", "forward_passes", "backward_passes")
    return {
        "experience": event["experience"],
        "iteration": event["iteration"],
        **{f"selection/{name}": event[name] for name in names if event.get(name) is not None},
    }


def matrix_table(matrix: Sequence[Row]) -> wandb.Table:
    """The accuracy matrix in long form: trained_on, tested_on, accuracy."""
    return wandb.Table(
        columns=["trained_on", "tested_on", "accuracy"],
        data=[
            [row, column, float(value)]
            for row, line in enumerate(matrix)
            for column, value in enumerate(line)
            if value is not None
        ],
    )


def matrix_panel(matrix: Sequence[Row]) -> Any:
    """The accuracy matrix in wandb's own confusion-matrix panel, in percent."""
    table = wandb.Table(
        columns=["Actual", "Predicted", "nPredictions"],
        data=[
            [f"after {row:02d}", f"test {column:02d}", round(value * 100, 1)]
            for row, line in enumerate(matrix)
            for column, value in enumerate(line)
            if value is not None
        ],
    )
    fields = {name: name for name in ("Actual", "Predicted", "nPredictions")}
    title = {"title": "Accuracy in percent: trained up to (rows), tested on (columns)"}
    return wandb.plot_table("wandb/confusion_matrix/v1", table, fields, title)
