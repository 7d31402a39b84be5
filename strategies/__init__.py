"""Where selections meet training: Avalanche plugins, coreset training, loops, checkpoints.

Names are imported when they are first asked for: Avalanche alone takes seconds, and
`strategies.offline` does without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.checkpoint import load_checkpoint as load_checkpoint
    from strategies.checkpoint import save_checkpoint as save_checkpoint
    from strategies.continual import GCR as GCR
    from strategies.continual import OCS as OCS
    from strategies.continual import BilevelReplay as BilevelReplay
    from strategies.continual import FastStream as FastStream
    from strategies.continual import GDumb as GDumb
    from strategies.continual import MemoryPlugin as MemoryPlugin
    from strategies.continual import NearestMeanClassifier as NearestMeanClassifier
    from strategies.continual import OnlineLearner as OnlineLearner
    from strategies.continual import RainbowMemory as RainbowMemory
    from strategies.continual import Replay as Replay
    from strategies.offline import CoresetTrainer as CoresetTrainer

_HOMES = {
    "CoresetTrainer": "strategies.offline",
    "load_checkpoint": "strategies.checkpoint",
    "save_checkpoint": "strategies.checkpoint",
}

__all__ = [
    "GCR",
    "OCS",
    "BilevelReplay",
    "CoresetTrainer",
    "FastStream",
    "GDumb",
    "MemoryPlugin",
    "NearestMeanClassifier",
    "OnlineLearner",
    "RainbowMemory",
    "Replay",
    "load_checkpoint",
    "save_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for from where it lives."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "strategies.continual")), name)
