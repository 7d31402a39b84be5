"""Where selections meet training: Avalanche plugins, a loop for online streams, checkpoints."""

from strategies.checkpoint import load_checkpoint, save_checkpoint
from strategies.continual import FastStream, NearestMeanClassifier, OnlineLearner, Replay

__all__ = [
    "FastStream",
    "NearestMeanClassifier",
    "OnlineLearner",
    "Replay",
    "load_checkpoint",
    "save_checkpoint",
]
