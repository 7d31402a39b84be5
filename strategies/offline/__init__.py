"""Train on a weighted subset that stands for all data, chosen anew as the model moves."""

from strategies.offline.callbacks import Callback
from strategies.offline.divergence import DivergedError
from strategies.offline.drift import Drift, gradient_error
from strategies.offline.history import EpochRecord, History
from strategies.offline.progress import ProgressBar
from strategies.offline.trainer import CoresetTrainer

__all__ = [
    "Callback",
    "CoresetTrainer",
    "DivergedError",
    "Drift",
    "EpochRecord",
    "History",
    "ProgressBar",
    "gradient_error",
]
