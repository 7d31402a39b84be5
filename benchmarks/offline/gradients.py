"""How far the weighted gradient of a coreset is from the gradient of all rows.

Formula: with the last-layer gradients g_i = (p_i − y_i) ⊗ [h_i, 1] of the model that the selector
read, ‖ Σ_j γ_j g_j / Σ_j γ_j − Σ_i g_i / n ‖: the coreset's weights have a mean of 1 in training,
so this is the error of the direction that an epoch goes in. Neither sum multiplies out more than
one [C, d + 1] matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.offline.data import OfflineData
from clcore.coreset import Coreset
from clcore.probe import Probe
from clcore.selector import Selector

CERTIFIED = "error_bound"
"""Name of the certificate in a coreset's report."""


class GradientCheck:
    """Measures coresets; the trainer's clocks stand still meanwhile.

    Args:
        data: The training rows.
    """

    def __init__(self, data: OfflineData) -> None:
        self.data = data

    def measure(
        self, probe: Probe, coreset: Coreset, selector: str | Selector, *, weighted: bool = True
    ) -> dict[str, float | None]:
        """Measure one coreset.

        Args:
            probe: Of the model that the selector read.
            coreset: What was chosen.
            selector: Says which gradients it certifies.
            weighted: Whether the weights are used.

        Returns:
            `gradient_error`, `gradient_norm` and, where the selector certifies a bound on the same
            gradients, `error_bound`.
        """
        signals = probe.signals(["logit_gradients", "features"], self.data.x, self.data.y)
        errors, features = signals["logit_gradients"].double(), signals["features"].double()
        features = features.flatten(1)
        whole = mean_gradient(errors, features, torch.ones(len(errors), dtype=torch.float64))
        rows = coreset.indices.to(errors.device)
        weights = coreset.weights.double().to(errors.device)
        if not weighted:
            weights = torch.ones_like(weights)
        part = mean_gradient(errors[rows], features[rows], weights)
        bound = coreset.report.get(CERTIFIED)
        same = getattr(selector, "gradients", None) in ("last_layer", "last-layer")
        return {
            "gradient_error": float((part - whole).norm()),
            "gradient_norm": float(whole.norm()),
            "error_bound": bound / len(errors) if bound is not None and same else None,
        }


def mean_gradient(errors: Tensor, features: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of last-layer gradients.

    Args:
        errors: Gradients for the logits, `[n, C]`.
        features: Inputs of the last layer, `[n, d]`.
        weights: `[n]`.

    Returns:
        `[C, d + 1]`, the bias last.
    """
    weighted = (weights / weights.sum()).to(errors.device).unsqueeze(1) * errors
    return torch.cat([weighted.T @ features, weighted.sum(dim=0).unsqueeze(1)], dim=1)
