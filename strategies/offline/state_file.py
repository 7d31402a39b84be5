"""Nested states on disk: one safetensors file, plain values as JSON in its header.

Nothing in such a file is ever executed. It is written under a temporary name first, so that a full
disk or a kill leaves the old file as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from clcore.errors import FormatError
from clcore.tensor_files import write_tensors
from strategies.plain import from_plain, to_plain

SCHEMA = 1
_KEY = "clcore coreset training"
_TENSOR, _PAIRS = "__tensor__", "__pairs__"


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state, whole or not at all.

    Args:
        path: Target file; its folder is made if need be.
        state: Dictionaries, lists, tuples, sets, tensors, numbers, text and None, nested at will.

    Raises:
        ArgumentError: It holds an object of another kind.
        OSError: The disk is full or the folder can't be written; the old file is kept.
    """
    tensors: dict[str, Tensor] = {}
    values = _taken_out(to_plain(state, "the trainer"), tensors)
    header = {_KEY: json.dumps({"schema": SCHEMA, "state": values})}
    write_tensors(path, tensors, header)


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote; tensors are on the CPU.

    Raises:
        FormatError: The file is missing, damaged, foreign, or of another schema.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY)
            if header is None:
                raise FormatError(f"{path} is a safetensors file, but no checkpoint of a trainer")
            content = json.loads(header)
            if content["schema"] != SCHEMA:
                raise FormatError(
                    f"{path} has schema {content['schema']}; this version reads schema {SCHEMA}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state: dict[str, Any] = from_plain(_put_back(content["state"], tensors))
    except FileNotFoundError as error:
        raise FormatError(f"{path} does not exist") from error
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise FormatError(f"{path} is damaged or no checkpoint of a trainer: {error}") from error
    return state


def _taken_out(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Put tensors aside under numbers, and dictionaries with other keys than text into pairs."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.contiguous()
        return {_TENSOR: name}
    if isinstance(value, dict):
        if all(type(key) is str for key in value):
            return {key: _taken_out(held, tensors) for key, held in value.items()}
        return {_PAIRS: [[key, _taken_out(held, tensors)] for key, held in value.items()]}
    return [_taken_out(held, tensors) for held in value] if isinstance(value, list) else value


def _put_back(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return tensors[value[_TENSOR]]
        if value.keys() == {_PAIRS}:
            return {key: _put_back(held, tensors) for key, held in value[_PAIRS]}
        return {key: _put_back(held, tensors) for key, held in value.items()}
    return [_put_back(held, tensors) for held in value] if isinstance(value, list) else value
