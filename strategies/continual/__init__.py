"""Continual learning: replay inside Avalanche, and a native loop for online streams."""

from strategies.continual.fast_stream import FastStream
from strategies.continual.nearest_mean import NearestMeanClassifier
from strategies.continual.online_events import OnlinePlugin, StepResult, StreamResult
from strategies.continual.online_learner import OnlineLearner
from strategies.continual.replay import Replay

__all__ = [
    "FastStream",
    "NearestMeanClassifier",
    "OnlineLearner",
    "OnlinePlugin",
    "Replay",
    "StepResult",
    "StreamResult",
]
