"""The fast path for the stream itself.

In Avalanche 84 % of a replay epoch goes into loading samples one by one. An experience that fits
into memory is read once instead and iterated as tensors. The batches are those that Avalanche's
own loader would give: the same rows in the same order from the same random numbers.
"""

from __future__ import annotations

import logging
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin

from clcore.errors import ArgumentError
from strategies.continual.table import RefusedError, TableLoader, plan_of, read_table

_log = logging.getLogger(__name__)


class FastStream(SupervisedPlugin):
    """Iterates each experience as tensors, inside an unmodified Avalanche strategy.

    The rule is: what the stock loader would have loaded is read, whatever it is. A data set that
    another plugin put into `strategy.adapted_dataset` is therefore respected. If another plugin
    has put a loader of its own into `strategy.dataloader`, it stays; one that comes later in the
    list of plugins may still replace ours. Where the stream can't be read as tables (too large,
    samples with fields of their own, unequal shapes, a collate function), Avalanche's loader stays
    too, and the reason is logged once.

    Random transforms still draw for every row of every epoch; those of torchvision that pipelines
    are usually made of run batched. `num_workers` and `pin_memory` have no effect: there is
    nothing left for workers to do.

    An evaluator without metrics and loggers (`evaluator=None`) is set aside while training runs:
    it does nothing, in about 0.15 ms an iteration.

    Args:
        max_bytes: Largest experience that is read, in bytes of its untransformed rows.
        evaluate: Whether evaluation is sped up in the same way.
        passes: Training iterations on each mini-batch, one after the other, as online learners
            make them (several steps on what has just arrived, and then it is gone).

    Attributes:
        loader: The loader of the experience in training, or None where Avalanche's stayed.

    Raises:
        ArgumentError: `max_bytes` or `passes` is not a positive integer; in training, if `passes`
            is above 1 and the stream can't be read as tables.

    Example:
        >>> plugins = [FastStream()]  # for Naive(model=..., plugins=plugins, ...)
    """

    def __init__(self, *, max_bytes: int = 2**31, evaluate: bool = True, passes: int = 1) -> None:
        super().__init__()
        for name, value in (("max_bytes", max_bytes), ("passes", passes)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name}: got {value!r}; a positive integer is needed")
        self.passes = passes
        self.max_bytes = max_bytes
        self.evaluate = evaluate
        self.loader: TableLoader | None = None
        self._said: set[str] = set()
        self._set_aside: tuple[int, EvaluationPlugin] | None = None

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Put things back, should an earlier training have been interrupted."""
        self._bring_back(strategy)

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Read the experience and put our loader into place."""
        self.loader = self._faster(strategy, "train")
        if self.loader is not None:
            strategy.dataloader = self.loader
        evaluator = strategy.evaluator
        if type(evaluator) is EvaluationPlugin and not evaluator.metrics and not evaluator.loggers:
            self._put_aside(strategy, evaluator)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Let go of the experience's rows."""
        self.loader = None
        self._bring_back(strategy)

    def before_eval_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Put our loader into place for evaluation."""
        if self.evaluate:
            loader = self._faster(strategy, "eval")
            if loader is not None:
                strategy.dataloader = loader

    def _faster(self, strategy: Any, group: str) -> TableLoader | None:
        if isinstance(strategy.dataloader, TableLoader):
            return None if group == "eval" else strategy.dataloader
        try:
            datasets, plan = plan_of(strategy.dataloader)
            table = read_table(datasets, group, self.max_bytes)
        except RefusedError as reason:
            said = str(reason)
            if group == "train" and self.passes > 1:
                raise ArgumentError(
                    f"passes: {self.passes} steps on each mini-batch need the stream as tensors, "
                    f"but {said}"
                ) from reason
            if said not in self._said:
                self._said.add(said)
                what = "training" if group == "train" else "evaluation"
                _log.warning("Avalanche's own loader stays for %s: %s.", what, said)
            return None
        transform = table.train if group == "train" else table.evaluate
        return TableLoader(
            table,
            plan,
            len(strategy.dataloader),
            transform,
            repeats=len(datasets) > 1,
            passes=self.passes if group == "train" else 1,
        )

    def _put_aside(self, strategy: Any, evaluator: EvaluationPlugin) -> None:
        if self._set_aside is None and evaluator in strategy.plugins:
            self._set_aside = (strategy.plugins.index(evaluator), evaluator)
            # A new list: Avalanche is iterating over the old one at this moment.
            strategy.plugins = [p for p in strategy.plugins if p is not evaluator]

    def _bring_back(self, strategy: Any) -> None:
        if self._set_aside is not None:
            place, evaluator = self._set_aside
            self._set_aside = None
            strategy.plugins = [*strategy.plugins[:place], evaluator, *strategy.plugins[place:]]
