"""The state of a trainer of generative models: all that its next step depends on, but the data.

The file is that of coreset training, safetensors with plain values as JSON in its header: loading
it never runs code, and an old one stays until the new one is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from clcore.errors import FormatError
from strategies.offline.state_file import read_state, write_state
from strategies.plain import random_state, set_random_state

if TYPE_CHECKING:
    from strategies.generative.training_loop import TrainingLoop


def save_trainer(trainer: TrainingLoop, path: str | Path) -> None:
    """Write the state of a trainer; see `TrainingLoop.save`."""
    parts = trainer.parts()
    state = {
        "kind": type(trainer).__name__,
        "settings": trainer.settings(),
        "progress": {name: getattr(trainer, name) for name in trainer.counters},
        "last": trainer.last,
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "generators": {name: held.get_state() for name, held in trainer.generators().items()},
        "random": random_state(),
    }
    write_state(Path(path), state)


def load_trainer(trainer: TrainingLoop, path: str | Path) -> None:
    """Put a trainer into a saved state; see `TrainingLoop.load`."""
    state = read_state(Path(path))
    try:
        _require_same(state, {"kind": type(trainer).__name__, "settings": trainer.settings()})
        parts, generators = trainer.parts(), trainer.generators()
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                _require_shapes(name, state["parts"][name], part.state_dict())
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        for name, generator in generators.items():
            generator.set_state(state["generators"][name])
        for name in trainer.counters:
            setattr(trainer, name, int(state["progress"][name]))
        trainer.last = dict(state["last"])
        set_random_state(state["random"])
    except FormatError as error:
        raise FormatError(f"{path} can't be loaded: {error}") from error
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise FormatError(
            f"{path} can't be loaded: the saved state doesn't fit this trainer: "
            f"{type(error).__name__}: {error}"
        ) from error


def _require_same(state: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    if state["kind"] != here["kind"]:
        raise FormatError(f"it is the state of a {state['kind']}, and this is a {here['kind']}")
    saved, own = state["settings"], here["settings"]
    for name in [*own, *saved]:
        if saved.get(name) == own.get(name):
            continue
        if name == "data":
            raise FormatError(
                "the data are not those of the saved trainer: their checksum differs, so they are "
                "another set, order or normalisation"
            )
        raise FormatError(
            f"it is the state of a trainer with {name}={saved.get(name)!r}, and this one has "
            f"{name}={own.get(name)!r}"
        )


def _require_shapes(part: str, saved: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for name in [*here, *saved]:
        shapes = [
            tuple(held[name].shape) if isinstance(held.get(name), Tensor) else None
            for held in (saved, here)
        ]
        if shapes[0] != shapes[1]:
            raise FormatError(
                f"the {part} is not the one that was saved: {name} has shape {shapes[1]} here and "
                f"{shapes[0]} in the file"
            )
