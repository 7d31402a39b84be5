"""Choose which data a model learns from.

The nouns are `Pool` (the candidates), `Probe` (turns a model and data into signals), `Selector`
(a method with its options) and `Coreset` (the picks). `select` is the one-line front door, and
`select_within` the same where an error is given instead of a number.

`CoresetSelector` (for scikit-learn) and `WeightedSubset` (for PyTorch's loaders) are imported when
they are first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from clcore.coreset import Coreset, Cost
from clcore.errors import (
    ArgumentError,
    ClcoreError,
    DataUnavailableError,
    FormatError,
    NotEnoughMemoryError,
    SignalError,
    UnknownNameError,
)
from clcore.maximiser import Stop
from clcore.objective import Objective
from clcore.pool import Pool
from clcore.probe import Probe
from clcore.registry import Registry
from clcore.selection import select
from clcore.selector import Selector
from clcore.version import __version__
from clcore.within import select_within

if TYPE_CHECKING:
    from clcore.estimator import CoresetSelector as CoresetSelector
    from clcore.weighted_subset import WeightedSubset as WeightedSubset

_ADAPTERS = {"CoresetSelector": "clcore.estimator", "WeightedSubset": "clcore.weighted_subset"}

__all__ = [
    "ArgumentError",
    "ClcoreError",
    "Coreset",
    "Cost",
    "DataUnavailableError",
    "FormatError",
    "NotEnoughMemoryError",
    "Objective",
    "Pool",
    "Probe",
    "Registry",
    "Selector",
    "SignalError",
    "Stop",
    "UnknownNameError",
    "__version__",
    "select",
    "select_within",
]


def __getattr__(name: str) -> Any:
    """Import an adapter when it is first asked for: scikit-learn alone takes a second."""
    if name not in _ADAPTERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ADAPTERS[name]), name)
