"""Turn a model and data into signals, and leave the model as it was."""

from clcore.probe.probe import Probe

__all__ = ["Probe"]
