"""Where selections meet training: Avalanche plugins, coreset training, generative models.

Names are imported when they are first asked for: Avalanche alone takes seconds, and
`strategies.offline` and `strategies.generative` do without it.
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
    from strategies.generative import CoresetBatchSampler as CoresetBatchSampler
    from strategies.generative import Embeddings as Embeddings
    from strategies.generative import select_latents as select_latents
    from strategies.generative import top_k_fakes as top_k_fakes
    from strategies.offline import CoresetTrainer as CoresetTrainer

_HOMES = {
    "CoresetBatchSampler": "strategies.generative",
    "CoresetTrainer": "strategies.offline",
    "Embeddings": "strategies.generative",
    "load_checkpoint": "strategies.checkpoint",
    "save_checkpoint": "strategies.checkpoint",
    "select_latents": "strategies.generative",
    "top_k_fakes": "strategies.generative",
}

__all__ = [
    "GCR",
    "OCS",
    "BilevelReplay",
    "CoresetBatchSampler",
    "CoresetTrainer",
    "Embeddings",
    "FastStream",
    "GDumb",
    "MemoryPlugin",
    "NearestMeanClassifier",
    "OnlineLearner",
    "RainbowMemory",
    "Replay",
    "load_checkpoint",
    "save_checkpoint",
    "select_latents",
    "top_k_fakes",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for from where it lives."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "strategies.continual")), name)
