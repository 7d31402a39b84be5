"""Turn a model and data into signals, and leave the model as it was."""

from clcore.probe.boundary import Boundary
from clcore.probe.perturbation import Perturbation
from clcore.probe.probe import Probe
from clcore.probe.projection import Projection

__all__ = ["Boundary", "Perturbation", "Probe", "Projection"]
