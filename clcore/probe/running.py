"""A model as the probe runs it: on its device, with its transform, loss and precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from clcore.coreset import Cost
from clcore.errors import ArgumentError
from clcore.probe.boundary import Boundary
from clcore.probe.calling import Forward, Loss, call_model, runs_torch_alone, sample_losses
from clcore.probe.perturbation import Perturbation
from clcore.probe.projection import Projection
from clcore.probe.source import Batch

if TYPE_CHECKING:
    from clcore.probe.differentiation import Differentiation

Uncovered = Literal["error", "per-sample"]


@dataclass
class Runner:
    """Model, loss and the options of the signals; counts what is spent.

    Attributes:
        model: The model.
        loss: One value a sample.
        cross_entropy: Whether `loss` is plain cross-entropy.
        forward: How the model is called.
        transform: Applied to each batch of inputs; or None.
        feature_layer: Where features are read; None: the input of the last Linear.
        batch_size: Samples a forward pass.
        chosen_device: Where to compute; None: where the parameters are.
        autocast: Precision of the forward passes; None: as the model is.
        last_layer: Whether gradient norms are those of the last layer.
        uncovered: What to do about parameters whose gradients have no closed form.
        projection: Of `projected_gradients`.
        perturbation: Of `perturbed_logits`.
        boundary: Of `boundary_distances`.
        cost: What was spent so far.
        differentiation: What is kept between calls of the model's parameters, once there is any.
    """

    model: nn.Module
    loss: Loss
    cross_entropy: bool
    forward: Forward
    transform: Callable[[Tensor], Tensor] | None
    feature_layer: str | nn.Module | None
    batch_size: int
    chosen_device: torch.device | None
    autocast: torch.dtype | None
    last_layer: bool
    uncovered: Uncovered
    projection: Projection
    perturbation: Perturbation
    boundary: Boundary
    cost: Cost = field(default_factory=Cost)
    differentiation: Differentiation | None = field(default=None, compare=False, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the signals are computed and lie."""
        if self.chosen_device is not None:
            return self.chosen_device
        for module in self.model.modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    return parameter.device
        return torch.device("cpu")

    def spend(self, forward: int, backward: int = 0) -> None:
        """Count samples sent forward and backward."""
        self.cost = self.cost + Cost(0.0, forward, backward)

    def placed(self, batch: Batch) -> Batch:
        """Bring a batch to the device."""
        x, labels, task = batch
        device = self.device
        moved = [None if column is None else column.to(device) for column in (labels, task)]
        return x.to(device), moved[0], moved[1]

    def draws_from_torch_alone(self, data: Any) -> bool:
        """Say whether it is sure that a pass over data draws no numbers but torch's.

        Only where no code but torch's and clcore's own is run: what a model, a loss, a transform or
        a data set of someone else's does can't be known.
        """
        return (
            type(data) is Tensor
            and self.transform is None
            and self.cross_entropy
            and self.forward is call_model
            and runs_torch_alone(self.model)
        )

    def transformed(self, x: Tensor) -> Tensor:
        """Return what goes into the model."""
        return x if self.transform is None else self.transform(x)

    def run(
        self, x: Tensor, task: Tensor | None, exchanged: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Compute the logits of a batch as the data hold it.

        Args:
            x: `[n, ...]`, on the device.
            task: `[n]` or None.
            exchanged: Parameters by name that stand in for the model's own.

        Returns:
            `[n, ...]`; at least float32 under autocast.

        Raises:
            ArgumentError: If the model doesn't give a tensor with a row a sample.
        """
        return self.run_transformed(self.transformed(x), task, exchanged)

    def run_transformed(
        self, x: Tensor, task: Tensor | None, exchanged: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Compute the logits of what goes into the model; see `run`."""
        with self._precision():
            if exchanged:
                held = _Held(self.model, self.forward)
                named = {f"model.{name}": value for name, value in exchanged.items()}
                logits = torch.func.functional_call(held, named, (x, task))
            else:
                logits = self.forward(self.model, x, task)
        if not isinstance(logits, Tensor) or logits.ndim == 0 or len(logits) != len(x):
            shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ArgumentError(
                f"the model must return a tensor with a row for each of {len(x)} samples, "
                f"not {shown}; give forward= to say how it is called"
            )
        return logits.float() if self.autocast in (logits.dtype,) else logits

    def losses_of(self, logits: Tensor, labels: Tensor | None) -> Tensor:
        """Compute the losses `[n]`, with their graph."""
        return sample_losses(self.loss, logits, self.required("losses", labels))

    def required(self, what: str, labels: Tensor | None) -> Tensor:
        """Return the labels, or say what needs them."""
        if labels is None:
            raise ArgumentError(f"{what} need labels: give them, or a dataset that has them")
        return labels

    def _precision(self) -> Any:
        if self.autocast is None:
            return nullcontext()
        # No cache: each use of a weight has a place of its own in the graph, so that uses can be
        # counted.
        return torch.autocast(self.device.type, dtype=self.autocast, cache_enabled=False)


class _Held(nn.Module):
    """A model and how it is called, as one module whose parameters can be exchanged."""

    def __init__(self, model: nn.Module, call: Forward) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, x: Tensor, task: Tensor | None) -> Any:
        return self.call(self.model, x, task)
