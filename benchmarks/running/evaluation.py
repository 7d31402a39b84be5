"""Accuracy on every experience's test set, on tensors, without a trace in the learner."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.scenarios import Scenario

Predictor = Callable[[Tensor], Tensor]
"""Inputs `[n, ...]` to predicted labels `[n]`."""


class Evaluator:
    """Measures a learner on all test sets of a scenario.

    Args:
        scenario: Whose test sets.
        transform: From uint8 images to the network's input.
        batch_size: Rows classified at once; the same always, since it can change the last bit. What
            200 rows leave between the layers of a small network stays in a processor's cache.

    Attributes:
        seconds: Wall-clock seconds spent so far.
    """

    def __init__(
        self, scenario: Scenario, transform: Callable[[Tensor], Tensor], batch_size: int = 200
    ) -> None:
        self.tests = [(e.test_x, e.test_y) for e in scenario.evaluation]
        self.transform = transform
        self.batch_size = batch_size
        self.seconds = 0.0

    def accuracies(self, predict: Predictor) -> list[float]:
        """Share of right answers on each test set, `[E]` rates."""
        started = time.perf_counter()
        rates = []
        with torch.no_grad():
            for x, y in self.tests:
                right = 0
                for start in range(0, len(y), self.batch_size):
                    rows = slice(start, start + self.batch_size)
                    right += int((predict(self.transform(x[rows])) == y[rows]).sum())
                rates.append(right / len(y))
        self.seconds += time.perf_counter() - started
        return rates


def network_predictor(model: nn.Module) -> Predictor:
    """Classify by a network's highest output; its training mode is put back each time."""

    def predict(x: Tensor) -> Tensor:
        training = model.training
        model.eval()
        try:
            labels: Tensor = model(x).argmax(dim=1)
        finally:
            model.train(training)
        return labels

    return predict
