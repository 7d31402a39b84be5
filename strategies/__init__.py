"""Where selections meet training: Avalanche plugins, a loop for online streams, checkpoints."""

from strategies.checkpoint import load_checkpoint, save_checkpoint
from strategies.continual import (
    GCR,
    OCS,
    BilevelReplay,
    FastStream,
    GDumb,
    MemoryPlugin,
    NearestMeanClassifier,
    OnlineLearner,
    RainbowMemory,
    Replay,
)

__all__ = [
    "GCR",
    "OCS",
    "BilevelReplay",
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
