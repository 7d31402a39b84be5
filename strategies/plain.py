"""States made of tensors and plain values, so that a checkpoint never has to run code to load."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clcore.errors import ArgumentError

_SET = "__set__"
_TUPLE = "__tuple__"


def to_plain(value: Any, where: str) -> Any:
    """Rewrite a state with nothing but dictionaries, lists, tensors, numbers, text and None.

    Args:
        value: The state.
        where: What it is the state of, for the error.

    Returns:
        A copy; tensors are detached copies on the CPU.

    Raises:
        ArgumentError: It holds an object of another kind.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        if any(type(key) not in (bool, int, float, str) for key in value):
            raise ArgumentError(f"{where}: a key of its state is neither a number nor text")
        return {key: to_plain(held, where) for key, held in value.items()}
    if isinstance(value, list):
        return [to_plain(held, where) for held in value]
    if isinstance(value, tuple):
        return {_TUPLE: [to_plain(held, where) for held in value]}
    if isinstance(value, set | frozenset):
        return {_SET: [to_plain(held, where) for held in value]}
    raise ArgumentError(
        f"{where}: its state holds a {type(value).__name__}; a checkpoint keeps tensors and plain "
        "values only, so that loading never runs code"
    )


def from_plain(value: Any) -> Any:
    """Undo `to_plain`; tensors stay on the CPU."""
    if isinstance(value, dict):
        if value.keys() == {_TUPLE}:
            return tuple(from_plain(held) for held in value[_TUPLE])
        if value.keys() == {_SET}:
            return {from_plain(held) for held in value[_SET]}
        return {key: from_plain(held) for key, held in value.items()}
    return [from_plain(held) for held in value] if isinstance(value, list) else value


def is_plain(value: Any) -> bool:
    """Whether a value is made of numbers, text and None alone (no tensors)."""
    if isinstance(value, list | tuple | set | frozenset):
        return all(is_plain(held) for held in value)
    if isinstance(value, Mapping):
        return all(is_plain(key) and is_plain(held) for key, held in value.items())
    return value is None or type(value) in (bool, int, float, str)


def random_state() -> dict[str, Any]:
    """States of the global generators: torch (CPU and, where in use, CUDA), numpy and `random`."""
    numpy_state: Any = np.random.get_state()  # noqa: NPY002 - the global one
    kind, keys, place, has_gauss, gauss = numpy_state
    uses_cuda = bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if uses_cuda else [],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), place, has_gauss, gauss],
        "python": to_plain(random.getstate(), "random"),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the global generators into a saved state."""
    torch.set_rng_state(state["torch"])
    # On a machine with fewer devices there is nothing to set the others' state on.
    for device, held in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(held, device)
    kind, keys, place, has_gauss, gauss = state["numpy"]
    np.random.set_state(  # noqa: NPY002 - the global one
        (kind, keys.numpy().astype(np.uint32), place, has_gauss, gauss)
    )
    random.setstate(from_plain(state["python"]))
