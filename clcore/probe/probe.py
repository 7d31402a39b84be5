"""The probe: features, logits and losses of a model, in one pass that leaves no trace."""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.checks import integer_column, whole_number
from clcore.coreset import Cost
from clcore.errors import ArgumentError, UnknownNameError
from clcore.guard import guard
from clcore.probe.layers import attached, feature_reader, find_layer
from clcore.probe.source import batches, size_of, task_column

Loss = Callable[[Tensor, Tensor], Tensor]
Forward = Callable[[nn.Module, Tensor, Tensor | None], Tensor]


class Probe:
    """Turns a model and data into signals.

    Every signal asked for in one call comes from the same single pass, in evaluation mode and
    without gradients, under a guard: gradients, training modes, BatchNorm statistics and the
    global random state are afterwards as before. Inside, the global generators are seeded, so data
    with random transforms give the same signals each time.

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

    Raises:
        ArgumentError: If an argument is wrong, or the feature layer is not in the model (lists
            the layers that are).

    Example:
        >>> probe = Probe(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
        >>> probe.features(torch.ones(3, 4)).shape
        torch.Size([3, 8])
    """

    names = ("features", "logits", "losses")
    """The signals that a probe gives."""

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
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        if feature_layer is not None:
            find_layer(model, feature_layer)
        for name, function in (("loss", loss), ("forward", forward), ("transform", transform)):
            if function is not None and not callable(function):
                raise ArgumentError(f"{name} must be callable, not {function!r}")
        self.model, self.feature_layer, self.transform = model, feature_layer, transform
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.cross_entropy = loss is None
        self.last_layer = True
        self._loss = _per_sample(loss)
        self._forward = forward or _call_model
        self._device = None if device is None else torch.device(device)
        self._cost = Cost()

    @property
    def device(self) -> torch.device:
        """Where the signals are computed and lie."""
        if self._device is not None:
            return self._device
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @property
    def cost(self) -> Cost:
        """What was spent so far: forward passes count samples."""
        return self._cost

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
            names: Some of `"features"`, `"logits"`, `"losses"`.
            x: Tensor `[n, ...]`, or a dataset of `x`, `(x, y)` or `(x, y, t)` items.
            labels: Labels `[n]`; by default the dataset's.
            task: Task labels `[n]`, or one for all; by default the dataset's.

        Returns:
            The signals by name, on the probe's device, each with `n` rows.

        Raises:
            UnknownNameError: If a name is none of these.
            ArgumentError: If labels are missing or something has the wrong shape.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise UnknownNameError("signal", unknown[0], self.names)
        size = size_of(x)
        targets = None if labels is None else integer_column("labels", labels, size)
        tasks = task_column(task, size)
        started = time.perf_counter()
        reader = feature_reader(self.model, self.feature_layer) if "features" in names else None
        outputs: dict[str, list[Tensor]] = {name: [] for name in names if name != "features"}
        with guard(self.model, seed=0), attached(reader), torch.no_grad():
            self.model.eval()
            for x_batch, y_batch, t_batch in batches(x, self.batch_size, targets, tasks):
                logits = self._pass(x_batch, t_batch)
                if reader is not None:
                    reader.collect(len(x_batch))
                if "logits" in outputs:
                    outputs["logits"].append(logits)
                if "losses" in outputs:
                    outputs["losses"].append(self._losses(logits, y_batch))
        signals = {name: _joined(parts) for name, parts in outputs.items()}
        if reader is not None:
            features = _joined(reader.result())
            signals["features"] = features.flatten(1) if features.ndim > 1 else features[:, None]
        self._cost = self._cost + Cost(time.perf_counter() - started, forward_passes=size)
        return signals

    def _pass(self, x: Tensor, task: Tensor | None) -> Tensor:
        x = x.to(self.device)
        x = self.transform(x) if self.transform is not None else x
        task = None if task is None else task.to(self.device)
        logits = self._forward(self.model, x, task)
        if not isinstance(logits, Tensor) or logits.ndim == 0 or len(logits) != len(x):
            shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ArgumentError(
                f"the model must return a tensor with a row for each of {len(x)} samples, "
                f"not {shown}; give forward= to say how it is called"
            )
        return logits.detach()

    def _losses(self, logits: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            raise ArgumentError("losses need labels: give them, or a dataset that has them")
        values = self._loss(logits, labels.to(self.device))
        if not isinstance(values, Tensor) or values.shape[:1] != logits.shape[:1]:
            raise ArgumentError(
                f"loss must give one value for each of {len(logits)} samples, not "
                f"{tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__}"
            )
        return values.detach().reshape(len(logits), -1).mean(dim=1)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if parts else torch.empty(0)


def _per_sample(loss: Loss | None) -> Loss:
    if loss is None:
        return _cross_entropy
    if isinstance(loss, nn.Module) and hasattr(loss, "reduction"):
        unreduced: Any = copy.copy(loss)
        unreduced.reduction = "none"
        return cast(Loss, unreduced)
    return loss


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    classes = logits.shape[1] if logits.ndim > 1 else 0
    wrong = (labels < 0) | (labels >= classes)
    if bool(wrong.any()):
        raise ArgumentError(
            f"labels must be from 0 to {classes - 1}, as the model has {classes} outputs; "
            f"found {labels[wrong][0].item()}"
        )
    return functional.cross_entropy(logits, labels, reduction="none")


def _call_model(model: nn.Module, x: Tensor, task: Tensor | None) -> Any:
    """Call a model, with tasks where its `forward` takes them."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    second = positional[1] if len(positional) > 1 else None
    takes_task = second is not None and (second.default is second.empty or "task" in second.name)
    if task is not None and takes_task:
        return model(x, task)
    if second is not None and second.default is second.empty:
        raise ArgumentError(
            f"the model's forward needs {second.name!r} beside the data: give task=, or forward="
        )
    return model(x)
