"""Choose which data a model learns from.

The nouns are `Pool` (the candidates), `Probe` (turns a model and data into signals), `Selector`
(a method with its options) and `Coreset` (the picks). `select` is the one-line front door.
"""

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
]
