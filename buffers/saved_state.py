"""A memory's state: taken, put back, written and read, so that it continues bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from buffers.experiences import Experiences
from buffers.files import read_state, write_state
from buffers.store import ExemplarStore
from clcore import Cost
from clcore.errors import FormatError


class SavedState:
    """What `Memory` knows of saving and loading."""

    device: torch.device
    generator: torch.Generator
    max_size: int | None
    max_bytes: int | None
    seen: int
    replaced: int
    _cost: Cost
    _seconds: float
    _experiences: Experiences
    _store: ExemplarStore | None

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on: rows, counters, random and rule state.

        Returns:
            A dictionary of tensors (under `"tensors"`) and plain values.
        """
        tensors = {} if self._store is None else self._store.state_dict()
        state: dict[str, Any] = {
            "kind": type(self).__name__,
            "capacity": None if self._store is None else self._store.capacity,
            "max_bytes": self.max_bytes,
            "seen": self.seen,
            "replaced": self.replaced,
            "cost": [
                self._cost.seconds + self._seconds,
                self._cost.forward_passes,
                self._cost.backward_passes,
                self._cost.distance_evaluations,
            ],
            "experiences": self._experiences.state(),
            "rule": {},
            "tensors": {f"store.{name}": tensor for name, tensor in tensors.items()},
        }
        state["tensors"]["generator"] = self.generator.get_state()
        for name, value in self._rule_state().items():
            (state["tensors"] if isinstance(value, Tensor) else state["rule"])[
                f"rule.{name}" if isinstance(value, Tensor) else name
            ] = value
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state, bit for bit.

        Args:
            state: As given by `state_dict` of a buffer of the same kind.

        Raises:
            FormatError: The state is of another kind of buffer, or incomplete.
        """
        kind = state.get("kind")
        if kind != type(self).__name__:
            raise FormatError(f"the state is of a {kind}, this is a {type(self).__name__}")
        try:
            tensors: Mapping[str, Tensor] = state["tensors"]
            capacity = state["capacity"]
            self._store = None
            if capacity is not None:
                self._store = ExemplarStore(capacity, self.device)
                self._store.load_state_dict(_under(tensors, "store."), capacity)
            self.max_size, self.max_bytes = capacity, state["max_bytes"]
            self.seen, self.replaced = state["seen"], state["replaced"]
            self._cost, self._seconds = Cost(*state["cost"]), 0.0
            self._experiences = Experiences(**state["experiences"])
            self.generator.set_state(tensors["generator"].cpu())
            self._load_rule_state({**state["rule"], **_under(tensors, "rule.")})
        except KeyError as missing:
            raise FormatError(f"the saved buffer lacks {missing}") from missing

    def _rule_state(self) -> dict[str, Any]:
        """What the admission rule remembers: tensors, or values that JSON can hold."""
        return {}

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `_rule_state` gave."""

    def save(self, path: str | Path) -> None:
        """Write the state to a safetensors file (whole or not at all)."""
        write_state(Path(path), self.state_dict())

    def load(self, path: str | Path) -> Self:
        """Continue from a file that `save` wrote; loading runs no code from the file.

        Raises:
            FormatError: The file is damaged, foreign, of another schema or kind of buffer.
        """
        self.load_state_dict(read_state(Path(path)))
        return self


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
