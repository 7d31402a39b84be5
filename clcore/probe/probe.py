"""The probe: what a model and data say of each sample, in one pass that leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from clcore.checks import whole_number
from clcore.coreset import Cost
from clcore.errors import ArgumentError, UnknownNameError
from clcore.probe.boundary import Boundary
from clcore.probe.calling import Forward, Loss, call_model, unreduced
from clcore.probe.layers import find_layer
from clcore.probe.network_gradients import NetworkGradients, checked_data
from clcore.probe.passes import Pass
from clcore.probe.perturbation import Perturbation
from clcore.probe.projection import Projection
from clcore.probe.running import Runner, Uncovered
from clcore.probe.source import column_of

_NAMES = (
    "features",
    "logits",
    "losses",
    "logit_gradients",
    "gradient_norms",
    "projected_gradients",
    "perturbed_logits",
    "boundary_distances",
)


class Probe(NetworkGradients):
    """Turns a model and data into signals.

    Every signal asked for in one call comes from the same single pass, in evaluation mode, under a
    guard: gradients, training modes, BatchNorm statistics and the global random state are
    afterwards as before. Inside, the global generators are seeded, so data with random transforms
    give the same signals each time.

    Args:
        model: The model.
        loss: `loss(logits, labels)` giving one value a sample; cross-entropy by default. A loss
            module with a `reduction` is used with `reduction="none"`.
        feature_layer: Where features are read: the *output* of a layer given by name or itself;
            by default the *input* of the last Linear. In a multi-head model whose heads see only
            some samples of a batch, the input of the nearest module around them that sees all.
        batch_size: Samples a forward pass.
        device: Where to compute; by default where the model's parameters are. The model isn't
            moved.
        forward: `forward(model, x, task)` giving the logits; by default `model(x)`, or
            `model(x, task)` where there are tasks and the model's `forward` takes them.
        transform: Applied to each batch of inputs, for example from uint8 images to floats.
        autocast: `torch.bfloat16` or `torch.float16`: forward passes in mixed precision; signals
            are float32 all the same.
        gradient_norms: Of the `"last-layer"` and its bias, ‖e‖·√(1 + ‖h‖²) with e the gradient for
            the logits and h the features, or of the whole `"network"`, exactly.
        projection: Layer, dimensions and kind of `projected_gradients`.
        perturbation: Kind and number of `perturbed_logits`; by default dropout, where the model
            has any.
        boundary: Options of `boundary_distances`.
        uncovered: Where a parameter's per-sample gradients have no closed form: an `"error"` that
            names it, or one pass for each sample (`"per-sample"`).

    Raises:
        ArgumentError: If an argument is wrong, or the feature layer is not in the model (lists
            the layers that are).

    Example:
        >>> probe = Probe(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
        >>> probe.features(torch.ones(3, 4)).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        loss: Loss | None = None,
        feature_layer: str | nn.Module | None = None,
        batch_size: int = 256,
        device: torch.device | str | None = None,
        forward: Forward | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        autocast: torch.dtype | None = None,
        gradient_norms: Literal["last-layer", "network"] = "last-layer",
        projection: Projection | None = None,
        perturbation: Perturbation | None = None,
        boundary: Boundary | None = None,
        uncovered: Uncovered = "error",
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        if feature_layer is not None:
            find_layer(model, feature_layer)
        for name, function in (("loss", loss), ("forward", forward), ("transform", transform)):
            if function is not None and not callable(function):
                raise ArgumentError(f"{name} must be callable, not {function!r}")
        _one_of("autocast", autocast, (None, torch.bfloat16, torch.float16))
        _one_of("gradient_norms", gradient_norms, ("last-layer", "network"))
        _one_of("uncovered", uncovered, get_args(Uncovered))
        runner = Runner(
            model,
            unreduced(loss),
            loss is None,
            forward or call_model,
            transform,
            feature_layer,
            whole_number("batch_size", batch_size, least=1),
            None if device is None else torch.device(device),
            autocast,
            gradient_norms == "last-layer",
            uncovered,
            projection or Projection(),
            perturbation or Perturbation(),
            boundary or Boundary(),
        )
        super().__init__(runner)

    @property
    def model(self) -> nn.Module:
        """The model."""
        return self._runner.model

    @property
    def transform(self) -> Callable[[Tensor], Tensor] | None:
        """Applied to each batch of inputs."""
        return self._runner.transform

    @property
    def feature_layer(self) -> str | nn.Module | None:
        """Where features are read; None: the input of the last Linear."""
        return self._runner.feature_layer

    @property
    def batch_size(self) -> int:
        """Samples a forward pass."""
        return self._runner.batch_size

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that this probe gives."""
        possible = self._runner.perturbation.possible(self.model)
        return tuple(name for name in _NAMES if possible or name != "perturbed_logits")

    @property
    def cross_entropy(self) -> bool:
        """Whether logit gradients follow from logits and labels alone."""
        return self._runner.cross_entropy

    @property
    def last_layer(self) -> bool:
        """Whether gradient norms are those of the last layer."""
        return self._runner.last_layer

    @property
    def device(self) -> torch.device:
        """Where the signals are computed and lie."""
        return self._runner.device

    @property
    def cost(self) -> Cost:
        """What was spent so far: passes count samples."""
        return self._runner.cost

    def features(self, x: Any, *, task: Any = None) -> Tensor:
        """Compute features.

        Args:
            x: Tensor `[n, ...]` or a dataset.
            task: Task labels, see `signals`.

        Returns:
            Floating-point `[n, d]`; further dimensions are flattened.

        Raises:
            ArgumentError: If the features cannot be read where they were to be.
        """
        return self.signals(["features"], x, task=task)["features"]

    def logits(self, x: Any, *, task: Any = None) -> Tensor:
        """Compute the model's outputs.

        Args:
            x: Tensor `[n, ...]` or a dataset.
            task: Task labels, see `signals`.

        Returns:
            Floating-point `[n, ...]`.

        Raises:
            ArgumentError: If the model doesn't return a tensor with a row for each sample.
        """
        return self.signals(["logits"], x, task=task)["logits"]

    def losses(self, x: Any, y: Any = None, *, task: Any = None) -> Tensor:
        """Compute the loss of each sample.

        Args:
            x: Tensor `[n, ...]` or a dataset.
            y: Labels `[n]`; by default those of the dataset.
            task: Task labels, see `signals`.

        Returns:
            Floating-point `[n]`.

        Raises:
            ArgumentError: If there are no labels, or the loss isn't one value a sample.
        """
        return self.signals(["losses"], x, y, task)["losses"]

    def signals(
        self, names: Sequence[str], x: Any, labels: Any = None, task: Any = None
    ) -> dict[str, Tensor]:
        """Compute several signals in one pass over the data.

        Args:
            names: Some of `names`.
            x: Tensor `[n, ...]`, or a dataset of `x`, `(x, y)` or `(x, y, t)` items.
            labels: Labels `[n]`; by default the dataset's.
            task: Task labels `[n]`, or one for all; by default the dataset's.

        Returns:
            The signals by name, on the probe's device, each with `n` rows: `features` `[n, d]`,
            `logits` `[n, C]`, `losses` `[n]`, `logit_gradients` `[n, C]`, `gradient_norms` `[n]`,
            `projected_gradients` `[n, p]`, `perturbed_logits` `[n, K, C]`,
            `boundary_distances` `[n]`.

        Raises:
            UnknownNameError: If a name is none of these.
            ArgumentError: If labels are missing, something has the wrong shape, or the model does
                not allow a signal; says why.
        """
        self._check_names(names)
        data = checked_data(x, labels, task)
        with self._timed():
            return Pass(self._runner, names).gather(data.data, data.labels, data.tasks)

    def write(
        self,
        names: Sequence[str],
        x: Any,
        folder: str | Path,
        *,
        labels: Any = None,
        task: Any = None,
    ) -> None:
        """Compute signals batch by batch into a folder, for a pool larger than memory.

        A call that was cut short is taken up again by the same call: what is done stays. Labels
        are written too, where there are any. Read it with `Pool.open(folder)`.

        Args:
            names: Some of `names`.
            x: Tensor, possibly memory-mapped, or a dataset.
            folder: Where to; made if need be.
            labels: Labels `[n]`; by default the dataset's.
            task: Task labels, see `signals`.

        Raises:
            UnknownNameError: If a name is no signal of this probe.
            ArgumentError: If labels are missing or something has the wrong shape.
            FormatError: If the folder holds something else.
        """
        from clcore.probe.storage import Writer, fingerprint

        self._check_names(names)
        given = checked_data(x, column_of(x, 1) if labels is None else labels, task)
        with self._timed():
            settings = {
                "batch_size": self.batch_size,
                "model": fingerprint(self.model),
                "cross_entropy": self.cross_entropy,
                "last_layer": self.last_layer,
            }
            writer = Writer(Path(folder), names, len(given), given.labels, settings)
            if writer.finished < len(given) or len(given) == 0:
                work = Pass(self._runner, names)
                try:
                    data, targets, tasks = given.data, given.labels, given.tasks
                    work.stream(data, targets, tasks, writer.keep, writer.finished)
                finally:
                    writer.close()

    def _check_names(self, names: Sequence[str]) -> None:
        # A signal that this model does not allow says itself why, once it is asked for.
        unknown = [name for name in names if name not in _NAMES]
        if unknown:
            raise UnknownNameError("signal", unknown[0], self.names)


def _one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        listed = ", ".join(repr(choice) for choice in allowed)
        raise ArgumentError(f"{name} must be one of {listed}, not {value!r}")
