"""Checkpoints of learners: one file, written whole or not at all, loaded without running code.

Avalanche's own `save_checkpoint` pickles the whole strategy, which fails with current versions,
drags data sets along and runs whatever code a file contains on load. Here a file holds tensors and
plain values: what the next experience depends on, and nothing else.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clcore.errors import ArgumentError, FormatError
from strategies.avalanche_state import load_strategy_state, take_strategy_state
from strategies.continual.online_learner import OnlineLearner
from strategies.plain import from_plain, to_plain

SCHEMA = 1
_FORMAT = "clcore checkpoint"
# What torch.load raises on files that are damaged or no checkpoints, with weights_only.
_DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
)


def save_checkpoint(path: str | Path, learner: Any, extra: Mapping[str, Any] | None = None) -> None:
    """Save a learner between two experiences (or two batches).

    Of an Avalanche strategy: model (with what grown classifiers know), optimizer, clock, global
    random states, and everything on the strategy or its plugins that has a `state_dict` and a
    `load_state_dict`: `Replay` with its buffer, a clcore buffer given as `storage_policy`, learning
    rate schedulers. What other plugins remember is not saved, and named in a warning. Of an
    `OnlineLearner`: the same, by its `state_dict`.

    Args:
        path: Target file; it is replaced only when the new one is complete.
        learner: An Avalanche strategy that isn't in the middle of `train`, or an `OnlineLearner`.
        extra: Anything made of tensors and plain values to keep with it.

    Raises:
        ArgumentError: The learner is of another kind or in the middle of training, or a state
            holds more than tensors and plain values.
        OSError: The disk is full or the folder can't be written; the old file is kept.
    """
    target = Path(path)
    kind = _kind(learner)
    state = learner.state_dict() if kind == "online" else take_strategy_state(learner)
    content = {
        "format": _FORMAT,
        "schema": SCHEMA,
        "kind": kind,
        "learner": state,
        "extra": to_plain(dict(extra or {}), "extra"),
    }
    written = io.BytesIO()
    torch.save(content, written)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(written.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: str | Path, learner: Any) -> dict[str, Any]:
    """Continue from a checkpoint: on the CPU bit for bit as if there had been no break.

    Args:
        path: A file that `save_checkpoint` wrote.
        learner: A learner made as the saved one was: same model, optimizer, plugins, buffers.
            Avalanche's classifiers that grow are grown to the saved size.

    Returns:
        What was given as `extra`.

    Raises:
        ArgumentError: The learner is of another kind or in the middle of training.
        FormatError: The file is missing, damaged, foreign or of another schema, or the learner was
            made differently. A learner that was only partly loaded should be made anew.
    """
    kind = _kind(learner)
    content = _read(Path(path))
    if content["kind"] != kind:
        raise FormatError(
            f"{path} holds a learner of kind {content['kind']}; {type(learner).__name__} is of "
            f"kind {kind}"
        )
    try:
        if kind == "online":
            learner.load_state_dict(content["learner"])
        else:
            load_strategy_state(learner, content["learner"])
    except FormatError as error:
        raise FormatError(f"{path} can't be loaded: {error}") from error
    extra: dict[str, Any] = from_plain(content["extra"])
    return extra


def _kind(learner: Any) -> str:
    if isinstance(learner, OnlineLearner):
        return "online"
    if not all(hasattr(learner, name) for name in ("model", "optimizer", "plugins", "clock")):
        raise ArgumentError(
            f"learner: got a {type(learner).__name__}; an Avalanche strategy or an OnlineLearner "
            "is needed"
        )
    if learner.experience is not None:
        raise ArgumentError(
            "learner: the strategy is in the middle of an experience; checkpoints are taken and "
            "loaded between calls of `train` and `eval`"
        )
    return "avalanche"


def _read(path: Path) -> dict[str, Any]:
    try:
        written = path.read_bytes()
    except FileNotFoundError as error:
        raise FormatError(f"{path} does not exist") from error
    except OSError as error:
        raise FormatError(f"{path} can't be read: {error.strerror}") from error
    try:
        content = torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise FormatError(f"{path} is damaged or no checkpoint of clcore") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise FormatError(f"{path} is no checkpoint of clcore")
    if content.get("schema") != SCHEMA:
        raise FormatError(
            f"{path} has schema {content.get('schema')}; this version reads schema {SCHEMA}"
        )
    if not {"kind", "learner", "extra"} <= content.keys():
        raise FormatError(f"{path} is incomplete")
    return content


def _sync_folder(folder: Path) -> None:
    """Have the new name on disk too, where the system can do that for folders."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
