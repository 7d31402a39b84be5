"""What the trainers of generative models share: steps, clocks, counts, batches, exact states."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from clcore.checks import whole_number
from clcore.errors import ArgumentError, ClcoreError
from strategies.generative.batch_sampler import CoresetBatchSampler
from strategies.generative.checksum import checksum_of
from strategies.generative.image_rows import ImageRows, ShuffledBatches, Transform
from strategies.generative.stopwatch import Stopwatch
from strategies.generative.training_state import load_trainer, save_trainer


class LossDivergedError(ClcoreError, ArithmeticError):
    """A loss became NaN or infinite; says which, when, and how the networks were left."""


class TrainingLoop(abc.ABC):
    """Takes steps, and can be saved and resumed between any two of them.

    Batches, latents and noise come from generators of its own, seeded by `seed`. What networks and
    transforms draw by themselves (dropout) comes from torch's global generator, whose state is
    saved too.

    Args:
        networks: The networks that are trained, by name; the first says where data go.
        optimizers: Theirs, by the same names; one may train several.
        data: See `ImageRows`.
        batch_size: Rows a step.
        images: What chooses the rows of a batch; None for `ShuffledBatches`.
        transform: Applied to each batch.
        seed: Of all that is drawn.

    Attributes:
        iteration: Steps taken.
        drawn: Batches taken.
        forward_rows: Rows sent forward through a network, each network counted by itself, those of
            selection included.
        backward_rows: Rows whose gradients were sent back through a network, counted likewise.
        last: The last losses by name.

    Raises:
        ArgumentError: An argument is wrong; the message names it.
    """

    counters: ClassVar[tuple[str, ...]] = ("iteration", "drawn", "forward_rows", "backward_rows")

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        data: Any,
        *,
        batch_size: int,
        images: CoresetBatchSampler | None,
        transform: Transform | None,
        seed: int,
    ) -> None:
        for name, network in networks.items():
            if not isinstance(network, nn.Module):
                raise ArgumentError(
                    f"{name} must be a torch.nn.Module, not {type(network).__name__}"
                )
        for name, optimizer in optimizers.items():
            if not isinstance(optimizer, Optimizer):
                raise ArgumentError(
                    f"{name} must be a torch.optim.Optimizer, not {type(optimizer).__name__}"
                )
        self.networks, self._optimizers = dict(networks), dict(optimizers)
        first = next(iter(networks.values()))
        self.device = next((p.device for p in first.parameters()), torch.device("cpu"))
        self.seed = whole_number("seed", seed)
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.data = ImageRows(data, self.device, transform)
        self._plain = ShuffledBatches(len(self.data), self.batch_size, self.seed)
        self._images = _sampler(images, data, self.batch_size)
        self._draws = torch.Generator().manual_seed(self.seed)
        self._watch = Stopwatch(self.device)
        self.iteration = self.drawn = self.forward_rows = self.backward_rows = 0
        self.last: dict[str, float] = {}

    @property
    def epoch(self) -> int:
        """Whole passes over the data: rows trained on, divided by the rows that there are."""
        return self.drawn * self.batch_size // len(self.data)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far, selection included; `sample` doesn't count."""
        return self._watch.seconds

    @property
    def selection_seconds(self) -> float:
        """Wall-clock seconds of selection so far."""
        return self._watch.selection_seconds

    @property
    def cpu_seconds(self) -> float:
        """As `seconds`, in processor time of all threads of this process."""
        return self._watch.cpu_seconds

    @property
    def selection_cpu_seconds(self) -> float:
        """As `selection_seconds`, in processor time."""
        return self._watch.selection_cpu_seconds

    def fit(self, steps: int) -> dict[str, float]:
        """Take further steps, with all networks in training mode.

        Args:
            steps: How many.

        Returns:
            The losses of the last step, by name.

        Raises:
            LossDivergedError: A loss became NaN or infinite.
        """
        count = whole_number("steps", steps)
        for network in self.networks.values():
            network.train()
        with self._watch.training():
            for _ in range(count):
                self._step()
                self.iteration += 1
        return dict(self.last)

    def save(self, path: str | Path) -> None:
        """Save everything that the next step depends on; the data are not part of it.

        Args:
            path: Target file, safetensors; it is replaced only when the new one is complete.

        Raises:
            ArgumentError: A state holds more than tensors and plain values.
            OSError: The disk is full or the folder can't be written; the old file is kept.
        """
        save_trainer(self, path)

    def load(self, path: str | Path) -> None:
        """Go on from a saved state: on the CPU bit for bit as if there had been no break.

        The global random states are set too. Loading never runs code.

        Args:
            path: A file that `save` wrote.

        Raises:
            FormatError: The file is missing or damaged, or of a trainer made differently or of
                other data. A trainer that was only partly loaded should be made anew.
        """
        load_trainer(self, path)

    @abc.abstractmethod
    def _step(self) -> None:
        """Take one step."""

    def parts(self) -> dict[str, Any]:
        """Return what has a state of its own, by name; for `save`."""
        return {**self.networks, **self._optimizers, "clock": self._watch}

    def generators(self) -> dict[str, torch.Generator]:
        """Return the sources of randomness, by name; for `save`."""
        return {"draws": self._draws}

    def settings(self) -> dict[str, Any]:
        """Return what a resumed trainer must have in common with the saved one."""
        return {
            "data": self._checksum,
            "rows": len(self.data),
            "batch_size": self.batch_size,
            "images": None if self._images is None else self._images.settings(),
            "seed": self.seed,
            **{name: type(optimizer).__name__ for name, optimizer in self._optimizers.items()},
        }

    @cached_property
    def _checksum(self) -> str:
        return checksum_of(self.data.data)

    def _next_rows(self) -> Tensor:
        """Choose the rows of the next batch: int64 `[B]` on the CPU."""
        number, self.drawn = self.drawn, self.drawn + 1
        if self._images is None:
            return self._plain.batch(number)
        with self._watch.selecting():
            return torch.as_tensor(self._images.batch(number))

    def _finite(self, name: str, loss: Tensor) -> float:
        """Return a loss as a number, and stop the training where it is none."""
        value = float(loss.detach())
        if math.isfinite(value):
            return value
        bad = [key for key, network in self.networks.items() if not _is_finite(network)]
        left = (
            f"the parameters of {' and '.join(bad)} hold NaN or infinity already"
            if bad
            else "the parameters are those from before this update"
        )
        raise LossDivergedError(
            f"the loss {name!r} became {value} at iteration {self.iteration + 1}; {left}. Lower "
            "the learning rate, look for NaN in the data, and go on from the last saved state"
        )


def averaged_model(name: str, model: nn.Module, decay: float) -> AveragedModel | None:
    """Make the running average of a network's parameters; its buffers are the network's own.

    Args:
        name: Of the network, for the message.
        model: The network.
        decay: From 0 to below 1: how much of the average stays in a step; 0 for no average.

    Returns:
        The average, which is updated by `update_parameters`; or None.

    Raises:
        ArgumentError: If the decay is out of range or the network can't be copied.
    """
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < 1:
        raise ArgumentError(f"ema must be at least 0 and below 1, not {decay!r}")
    if decay == 0:
        return None
    try:
        return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(
            f"ema: {name} can't be copied ({error}); make the trainer before the network's first "
            "pass, or use torch.nn.utils.parametrizations in place of hooks"
        ) from error


def trained_parameters(name: str, optimizer: Optimizer, *networks: nn.Module) -> list[Tensor]:
    """Return what an optimizer trains.

    Args:
        name: Of the optimizer, for the message.
        optimizer: The optimizer.
        *networks: Those that it must train; it may hold further parameters.

    Returns:
        Its parameters that require gradients.

    Raises:
        ArgumentError: If it holds no parameter of one of the networks.
    """
    held: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    own = {id(parameter) for parameter in held}
    for network in networks:
        parameters = list(network.parameters())
        if parameters and not any(id(parameter) in own for parameter in parameters):
            raise ArgumentError(
                f"{name} holds no parameter of its network {type(network).__name__}: make it over "
                "that network's parameters()"
            )
    return [parameter for parameter in held if parameter.requires_grad]


def chunks(count: int, size: int) -> Iterator[int]:
    """Cut a number into parts of a size and a rest."""
    for start in range(0, count, size):
        yield min(size, count - start)


def _sampler(images: object, data: Any, batch_size: int) -> CoresetBatchSampler | None:
    if images is None:
        return None
    if not isinstance(images, CoresetBatchSampler):
        raise ArgumentError(
            f"images must be a CoresetBatchSampler or None, not {type(images).__name__}"
        )
    images.require(data)
    if images.batch_size != batch_size:
        raise ArgumentError(
            f"images makes batches of {images.batch_size} where batch_size is {batch_size}"
        )
    return images


def _is_finite(network: nn.Module) -> bool:
    return all(bool(torch.isfinite(p).all()) for p in network.parameters())
