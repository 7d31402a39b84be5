"""Continual learning: replay inside Avalanche, and a native loop for online streams."""

from strategies.continual.bilevel_replay import BilevelReplay
from strategies.continual.fast_stream import FastStream
from strategies.continual.gcr import GCR
from strategies.continual.gdumb import GDumb
from strategies.continual.memory_plugin import MemoryPlugin
from strategies.continual.nearest_mean import NearestMeanClassifier
from strategies.continual.ocs import OCS
from strategies.continual.online_events import OnlinePlugin, StepResult, StreamResult
from strategies.continual.online_learner import OnlineLearner
from strategies.continual.rainbow_memory import RainbowMemory
from strategies.continual.replay import Replay

__all__ = [
    "GCR",
    "OCS",
    "BilevelReplay",
    "FastStream",
    "GDumb",
    "MemoryPlugin",
    "NearestMeanClassifier",
    "OnlineLearner",
    "OnlinePlugin",
    "RainbowMemory",
    "Replay",
    "StepResult",
    "StreamResult",
]
