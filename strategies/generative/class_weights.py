"""Class weights by distributionally robust optimisation against a reference model.

Source: Li et al., "Pruning then reweighting: towards data-efficient training of diffusion models",
ICASSP 2025, whose coreset is chosen by density (`select_instances`) and whose weights are found as
in Xie et al., "DoReMi: optimizing data mixtures speeds up language model pretraining", NeurIPS
2023; the update is exponentiated gradient ascent, as in Sagawa et al., "Distributionally robust
neural networks for group shifts", ICLR 2020. The repository of Li et al. holds no code.

Formula: with losses ℓ of the model in training, ℓ⁰ of a reference model on the same rows (and the
same noise and time steps), and e_c the mean of max(ℓ − ℓ⁰, 0) over the rows of class c in the batch
(0 where there are none),

    α_c ← α_c exp(η e_c) / Σ,   α ← (1 − ε) α + ε / C.

The loss is Σ_c α_c (mean loss of class c): row i counts α_c(i) / share of its class, of mean 1 over
the rows of the coreset.

Defaults: η = 1, ε = 1e-3, α uniform at first, as in DoReMi; excess is cut at 0 row by row. For the
final run take `average()`, the mean of α over all updates.

Differences from reference codes: there are none; DoReMi's is in JAX over domains of tokens.

Expected numbers: updates by hand; a class that stays above its reference gets the largest weight
(tests/strategies/generative/test_class_weights.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clcore.checks import integer_column, require_finite
from clcore.errors import ArgumentError


class ClassWeights:
    """Learns how much each class counts.

    Args:
        labels: Integers `[n]`: the classes of the coreset's rows, from which shares are counted.
        step_size: η.
        smoothing: ε, from 0 to below 1.

    Attributes:
        classes: int64 `[C]`: the labels there are, ascending.
        alpha: float64 `[C]`: weights of the classes, of sum 1.
        updates: How many there were.

    Raises:
        ArgumentError: If there are no labels, or a number is out of range.
    """

    def __init__(self, labels: Any, *, step_size: float = 1.0, smoothing: float = 1e-3) -> None:
        column = integer_column("labels", labels, None).cpu()
        if len(column) == 0:
            raise ArgumentError("labels must not be empty")
        if not 0 < step_size < float("inf"):
            raise ArgumentError(f"step_size must be a finite number above 0, not {step_size!r}")
        if not 0 <= smoothing < 1:
            raise ArgumentError(f"smoothing must be at least 0 and below 1, not {smoothing!r}")
        self.step_size, self.smoothing = step_size, smoothing
        self.classes, counts = torch.unique(column, return_counts=True)
        self._shares = counts.double() / len(column)
        self.alpha = torch.full((len(counts),), 1 / len(counts), dtype=torch.float64)
        self.updates, self._sum = 0, torch.zeros_like(self.alpha)

    def update(self, losses: Tensor, reference: Tensor, labels: Any) -> Tensor:
        """Move the weights by the losses of a batch.

        Args:
            losses: `[b]`: of the model in training.
            reference: `[b]`: of the reference model on the same rows, with the same noise.
            labels: Integers `[b]`.

        Returns:
            The new weights of the classes, float64 `[C]`.

        Raises:
            ArgumentError: If shapes differ, or a label is not one of the coreset's.
            SignalError: If a loss is NaN or infinite.
        """
        if losses.ndim != 1 or losses.shape != reference.shape:
            raise ArgumentError(
                "losses and reference must be one number a row, not of shapes "
                f"{tuple(losses.shape)} and {tuple(reference.shape)}"
            )
        require_finite("losses", losses)
        require_finite("reference", reference)
        place = self._places(labels, len(losses))
        excess = (losses.detach() - reference.detach()).clamp_min(0).cpu().double()
        sums = torch.zeros_like(self.alpha).index_add_(0, place, excess)
        counts = torch.bincount(place, minlength=len(self.alpha)).clamp_min(1)
        raised = self.alpha.log() + self.step_size * sums / counts
        self.alpha = (1 - self.smoothing) * raised.softmax(dim=0) + self.smoothing / len(raised)
        self.updates += 1
        self._sum += self.alpha
        return self.alpha.clone()

    def rows(self, labels: Any, alpha: Tensor | None = None) -> Tensor:
        """Return how much rows count: float32 `[b]`, of mean 1 over the coreset.

        Args:
            labels: Integers `[b]`.
            alpha: Weights of the classes; by default those of now.

        Raises:
            ArgumentError: If a label is not one of the coreset's.
        """
        weights = (self.alpha if alpha is None else alpha.cpu().double()) / self._shares
        counted: Tensor = weights[self._places(labels, None)].to(torch.float32)
        return counted.to(labels.device) if isinstance(labels, Tensor) else counted

    def average(self) -> Tensor:
        """Return the mean of the weights over all updates, float64 `[C]`: for the final run."""
        return self._sum / self.updates if self.updates else self.alpha.clone()

    def state_dict(self) -> dict[str, Any]:
        """Return the state: tensors and a number."""
        return {
            "classes": self.classes, "alpha": self.alpha.clone(),
            "sum": self._sum.clone(), "updates": self.updates,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned.

        Raises:
            ArgumentError: If it is of other classes.
        """
        if not torch.equal(state["classes"], self.classes):
            raise ArgumentError(
                f"the state is of classes {state['classes'].tolist()} where these are "
                f"{self.classes.tolist()}"
            )
        self.alpha, self._sum = state["alpha"].clone(), state["sum"].clone()
        self.updates = int(state["updates"])

    def _places(self, labels: Any, rows: int | None) -> Tensor:
        column = integer_column("labels", labels, rows).cpu()
        place = torch.searchsorted(self.classes, column).clamp_max(len(self.classes) - 1)
        strange = self.classes[place] != column
        if bool(strange.any()):
            raise ArgumentError(
                f"labels holds {int(column[strange][0])}, which is no class of the coreset: "
                f"{self.classes.tolist()}"
            )
        return place
