"""What the online loop reports, and who listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor
from torch.nn import functional

from buffers.exemplars import Exemplars
from clcore.errors import ArgumentError

if TYPE_CHECKING:
    from strategies.continual.online_learner import OnlineLearner


class OnlinePlugin(Protocol):
    """What a plugin of `OnlineLearner` may have; each method may be left out."""

    def before_step(
        self, learner: OnlineLearner, x: Tensor, y: Tensor, task: Tensor | None
    ) -> None:
        """Called with each batch of the stream, before anything is done with it.

        Args:
            learner: The learner.
            x: Samples `[n, ...]`, untransformed.
            y: Class labels `[n]`.
            task: Task labels `[n]`, or None.
        """

    def after_step(self, learner: OnlineLearner, result: StepResult) -> None:
        """Called after the model and the buffer were updated."""

    def after_evaluation(self, learner: OnlineLearner, metrics: Any) -> None:
        """Called with what `evaluate` returned, in `train_stream`."""


_HOOKS = ("before_step", "after_step", "after_evaluation")


class Hooks:
    """The methods of the plugins, looked up once.

    Args:
        plugins: The plugins.

    Raises:
        ArgumentError: A plugin has none of the methods.
    """

    def __init__(self, plugins: Sequence[object]) -> None:
        self.before_step: list[Callable[..., None]] = []
        self.after_step: list[Callable[..., None]] = []
        self.after_evaluation: list[Callable[..., None]] = []
        for plugin in plugins:
            found = [name for name in _HOOKS if callable(getattr(plugin, name, None))]
            if not found:
                raise ArgumentError(
                    f"plugins: a {type(plugin).__name__} has none of the methods "
                    f"{', '.join(_HOOKS)}"
                )
            for name in found:
                getattr(self, name).append(getattr(plugin, name))


@dataclass(slots=True)
class StepResult:
    """One step of the online loop.

    Attributes:
        iteration: Steps made so far, this one included.
        loss: Loss of the step, a scalar.
        output: Model outputs `[n + m, ...]`: first the n rows of the stream, then m replayed.
        y: Class labels `[n + m]`.
        is_replay: bool `[n + m]`, True for the replayed rows. Don't write to it.
        replayed: The exemplars that were replayed, or None.
        slots: Store row of each row of the stream, -1 where not kept; None without a buffer.
    """

    iteration: int
    loss: Tensor
    output: Tensor
    y: Tensor
    is_replay: Tensor
    replayed: Exemplars | None
    slots: Tensor | None = None

    @property
    def accuracy(self) -> float:
        """Share of the stream's rows that were classified rightly before the step."""
        rows = self._rows
        return float((self.output[:rows].argmax(1) == self.y[:rows]).float().mean())

    @property
    def replay_loss(self) -> float | None:
        """Mean cross-entropy of the replayed rows; None where nothing was replayed."""
        if self.replayed is None:
            return None
        return float(functional.cross_entropy(self.output[self._rows :], self.y[self._rows :]))

    @property
    def _rows(self) -> int:
        return len(self.y) - (0 if self.replayed is None else len(self.replayed))


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What `train_stream` did.

    Attributes:
        batches: Batches of the stream.
        samples: Rows of the stream.
        seconds: Wall-clock seconds, evaluations included.
        evaluations: After how many batches, and what `evaluate` returned.
    """

    batches: int
    samples: int
    seconds: float
    evaluations: list[tuple[int, Any]] = field(default_factory=list)
