"""Buffers on disk: one safetensors file, plain values as JSON in its header.

Nothing in such a file is ever executed. Writing goes to a temporary name first, so a full disk or
a kill leaves the old file as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from clcore.errors import FormatError
from clcore.tensor_files import write_tensors

SCHEMA = 1


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a buffer's state, whole or not at all.

    Args:
        path: Target file.
        state: Tensors under `"tensors"`, values that JSON can hold under the other keys.

    Raises:
        OSError: The disk is full or the folder can't be written; the old file is kept.
    """
    values = {key: value for key, value in state.items() if key != "tensors"}
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in state["tensors"].items()}
    metadata = {"clcore": json.dumps({"schema": SCHEMA, **values})}
    write_tensors(path, tensors, metadata)


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote.

    Raises:
        FormatError: The file is missing, damaged, foreign, or of another schema.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("clcore")
            if header is None:
                raise FormatError(f"{path} is a safetensors file, but no clcore buffer")
            state: dict[str, Any] = json.loads(header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise FormatError(f"{path} does not exist") from error
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise FormatError(f"{path} is damaged or no saved buffer: {error}") from error
    schema = state.pop("schema", None)
    if schema != SCHEMA:
        raise FormatError(f"{path} has schema {schema}; this version reads schema {SCHEMA}")
    return {**state, "tensors": tensors}
