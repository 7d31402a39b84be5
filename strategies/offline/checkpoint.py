"""The state of a `CoresetTrainer`: all that its next epoch depends on, and nothing of the data."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clcore.errors import FormatError
from clcore.pool import Pool
from strategies.plain import random_state, set_random_state

if TYPE_CHECKING:
    from strategies.offline.trainer import CoresetTrainer


def take_state(trainer: CoresetTrainer) -> dict[str, Any]:
    """Return a trainer's state between two epochs, global random states included."""
    steps = trainer.steps
    return {
        "settings": settings_of(trainer),
        "epoch": trainer.epoch,
        "history": trainer.history.state_dict(),
        "selections": trainer.selections.state_dict(),
        "orders": trainer.orders.get_state(),
        "data": trainer.data.state_dict(),
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": None if (s := steps.schedule.scheduler) is None else s.state_dict(),
        "scaler": None if steps.scaler is None else steps.scaler.state_dict(),
        "callbacks": {name: part.state_dict() for name, part in _callbacks(trainer).items()},
        "random": random_state(),
    }


def put_state(trainer: CoresetTrainer, state: Mapping[str, Any]) -> None:
    """Put a trainer into a saved state.

    Raises:
        FormatError: The state is incomplete, or of a trainer made differently; says what differs.
    """
    try:
        _require_same(state["settings"], settings_of(trainer))
        callbacks = _callbacks(trainer)
        if state["callbacks"].keys() != callbacks.keys():
            raise FormatError(
                f"the saved trainer had the callbacks {sorted(state['callbacks'])} with a state, "
                f"this one has {sorted(callbacks)}"
            )
        _require_shapes(state["model"], trainer.model.state_dict())
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        steps = trainer.steps
        if steps.schedule.scheduler is not None:
            steps.schedule.scheduler.load_state_dict(state["scheduler"])
        if steps.scaler is not None:
            steps.scaler.load_state_dict(state["scaler"])
        trainer.selections.load_state_dict(state["selections"])
        trainer.orders.set_state(state["orders"])
        trainer.data.load_state_dict(state["data"])
        for name, part in callbacks.items():
            part.load_state_dict(state["callbacks"][name])
        trainer.history.load_state_dict(state["history"])
        trainer.epoch = state["epoch"]
        set_random_state(state["random"])
    except FormatError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise FormatError(
            f"the saved state doesn't fit this trainer: {type(error).__name__}: {error}"
        ) from error


def settings_of(trainer: CoresetTrainer) -> dict[str, Any]:
    """Return what a resumed trainer must have in common with the saved one."""
    selections, steps = trainer.selections, trainer.steps
    choice, scheduler = selections.choice, steps.schedule.scheduler
    return {
        "rows": len(trainer.data),
        "labels": _checksum(trainer.data.labels),
        "optimizer": type(trainer.optimizer).__name__,
        "scheduler": None if scheduler is None else type(scheduler).__name__,
        "scheduler_unit": steps.schedule.unit,
        "batch_size": steps.batch_size,
        "drop_last": steps.drop_last,
        "autocast": None if steps.autocast is None else str(steps.autocast),
        "weighted": trainer.weighted,
        "seed": trainer.seed,
        "warmup_epochs": selections.warmup_epochs,
        "every": selections.every,
        "reselect": None if selections.reselect is None else repr(selections.reselect),
        **({"selector": "full"} if choice is None else _choice_of(choice)),
    }


def _choice_of(choice: Any) -> dict[str, Any]:
    options = {
        field.name: repr(value)
        for field in fields(choice.selector)
        # A pool says which of its signals are computed so far, which is no setting.
        if not isinstance(value := getattr(choice.selector, field.name), Pool)
    }
    return {
        "selector": choice.selector.name,
        "options": options,
        "fraction": choice.k,
        "error": choice.error,
        "quotas": choice.quotas,
        "validation": None if choice.validation is None else len(choice.validation),
        "signals": sorted(choice.signals),
    }


def _checksum(labels: Tensor | None) -> int | None:
    return None if labels is None else zlib.crc32(labels.contiguous().numpy().tobytes())


def _callbacks(trainer: CoresetTrainer) -> dict[str, Any]:
    """Callbacks with a state, by place and kind."""
    return {
        f"{place} {type(callback).__name__}": callback
        for place, callback in enumerate(trainer.callbacks)
        if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")
    }


def _require_same(saved: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for name in [*here, *saved]:
        if saved.get(name) != here.get(name):
            if name == "labels":
                raise FormatError(
                    "the data are not those of the checkpoint: their labels differ, or come in "
                    "another order"
                )
            raise FormatError(
                f"the checkpoint is of a trainer with {name}={saved.get(name)!r}, and this one has "
                f"{name}={here.get(name)!r}"
            )


def _require_shapes(saved: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for name in [*here, *saved]:
        shapes = [
            tuple(held[name].shape) if isinstance(held.get(name), torch.Tensor) else None
            for held in (saved, here)
        ]
        if shapes[0] != shapes[1]:
            raise FormatError(
                f"the model is not the one that was saved: {name} has shape {shapes[1]} here and "
                f"{shapes[0]} in the checkpoint"
            )
