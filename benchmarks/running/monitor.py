"""Watches training step by step: counts passes, samples losses, evaluates now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

OnTrain = Callable[[int, dict[str, Any]], None]
OnEvaluate = Callable[[int], None]


@dataclass
class Counts:
    """What training has done so far.

    Attributes:
        iteration: Steps taken.
        forward: Samples sent forward through the network.
        backward: Samples sent backward.
    """

    iteration: int = 0
    forward: int = 0
    backward: int = 0


class Monitor:
    """Follows the steps of a learner.

    Args:
        counts: Continued from here.
        on_train: Called at evenly spaced steps with the iteration and a `train` event's numbers.
        on_evaluate: Called at evenly spaced steps with the iteration.
        on_progress: Called at the same steps as `on_train`.
    """

    def __init__(
        self,
        counts: Counts,
        *,
        on_train: OnTrain,
        on_evaluate: OnEvaluate,
        on_progress: Callable[[], None],
    ) -> None:
        self.counts = counts
        self.on_train, self.on_evaluate, self.on_progress = on_train, on_evaluate, on_progress
        self._log_at: set[int] = set()
        self._evaluate_at: set[int] = set()

    def begin_experience(self, steps: int, log_points: int, evaluations: int) -> None:
        """Plan the next experience.

        Args:
            steps: How many it takes.
            log_points: How many of them to log; the last is among them.
            evaluations: How many evaluations before the one at the end.
        """
        now = self.counts.iteration
        self._log_at = {now + -(-steps * k // log_points) for k in range(1, log_points + 1)}
        points = {now + steps * k // (evaluations + 1) for k in range(1, evaluations + 1)}
        self._evaluate_at = points - {now, now + steps}

    def step(
        self, loss: Tensor, logits: Tensor, y: Tensor, is_replay: Tensor | None, *, passes: int = 1
    ) -> None:
        """Take note of one step.

        Args:
            loss: The loss that was minimised, a scalar.
            logits: The network's outputs before the step, `[b, classes]`.
            y: Labels, `[b]`.
            is_replay: Which rows were replayed, `[b]` bool; None for none.
            passes: How often the rows went through the network.
        """
        counts = self.counts
        counts.iteration += 1
        counts.forward += passes * len(y)
        counts.backward += passes * len(y)
        if counts.iteration in self._log_at:
            self.on_train(counts.iteration, losses(loss, logits, y, is_replay))
            self.on_progress()
        if counts.iteration in self._evaluate_at:
            self.on_evaluate(counts.iteration)


def losses(
    loss: Tensor, logits: Tensor, y: Tensor, is_replay: Tensor | None
) -> dict[str, float | None]:
    """The numbers of a `train` event.

    Args:
        loss: The loss of the whole batch.
        logits: `[b, classes]`.
        y: `[b]`.
        is_replay: `[b]` bool, or None.

    Returns:
        `loss`; `accuracy` on the rows of the stream; `replay_loss`, the mean cross-entropy of the
        replayed rows, None where there is none.
    """
    with torch.no_grad():
        replayed = torch.zeros(len(y), dtype=torch.bool) if is_replay is None else is_replay
        fresh = ~replayed
        right = logits[fresh].argmax(dim=1) == y[fresh]
        some = bool(replayed.any())
        return {
            "loss": float(loss),
            "accuracy": float(right.float().mean()),
            "replay_loss": float(cross_entropy(logits[replayed], y[replayed])) if some else None,
        }
