"""What a contestant is given and what it gives back."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WARM_ROWS = 600
"""Rows of the first, untimed call: enough for every code path, done in a moment."""

WARM_PICKS = 32


@dataclass(frozen=True)
class Problem:
    """One selection to make.

    Attributes:
        arrays: What is known of the rows, by signal name, float32 `[n, ...]` each; labels int64.
        k: How many rows to pick.
        seed: For contestants that draw.
        options: What the objective needs, such as a bandwidth, and the contestant's own settings.
    """

    arrays: Mapping[str, NDArray[Any]]
    k: int
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> Floats:
        """The features, `[n, d]`."""
        return self.arrays["features"]

    def small(self) -> Problem:
        """Return the same on the first rows, for the call that is not timed."""
        arrays = {name: values[:WARM_ROWS] for name, values in self.arrays.items()}
        return replace(self, arrays=arrays, k=min(self.k, WARM_PICKS))


@dataclass(frozen=True)
class Answer:
    """What a contestant found.

    Attributes:
        picks: Rows `[k]`, in pick order where the method has one.
        weights: `[k]`, where the task asks for weights.
        matrix: `[n, n]`, where the task is to compute one.
    """

    picks: NDArray[np.int64] | None = None
    weights: NDArray[np.float64] | None = None
    matrix: NDArray[Any] | None = None

    @classmethod
    def of(cls, picks: Any, weights: Any = None) -> Answer:
        """Make an answer of any sequence of rows, and weights if there are any."""
        rows = np.asarray(picks, dtype=np.int64).ravel()
        return cls(rows, None if weights is None else np.asarray(weights, dtype=np.float64).ravel())


Solve = Callable[[Problem], Answer]


def solver(code: str) -> Solve:
    """Find a contestant's function.

    Args:
        code: `"module:function"`.

    Returns:
        The function; its module is imported now.

    Raises:
        ImportError: If the module, or a package that it needs, is not there.
    """
    module, _, name = code.partition(":")
    function: Solve = getattr(importlib.import_module(module), name)
    return function
