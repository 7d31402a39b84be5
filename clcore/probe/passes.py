"""One pass over the data, from which every signal that is asked for comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clcore.guard import guard
from clcore.probe.calling import loss_gradients
from clcore.probe.closed_forms import cross_entropy_gradients, last_layer_norms
from clcore.probe.differentiation import Differentiation
from clcore.probe.layers import Reader, attached, feature_reader
from clcore.probe.source import Batch, batches, rows_from

if TYPE_CHECKING:
    from clcore.probe.running import Runner

Signals = dict[str, Tensor]


class Pass:
    """Computes signals batch by batch.

    Args:
        runner: Model, loss and options.
        names: The signals wanted; checked.
    """

    def __init__(self, runner: Runner, names: Sequence[str]) -> None:
        self.runner, self.names = runner, set(names)
        last = "gradient_norms" in self.names and runner.last_layer
        self.reader: Reader | None = None
        if last or "features" in self.names:
            self.reader = feature_reader(runner.model, runner.feature_layer)
        # What the norms of the last layer are made of is computed beside them.
        self.needs = self.names | ({"logit_gradients"} if last else set())
        network = "gradient_norms" in self.names and not runner.last_layer
        self.network = Differentiation(runner, None) if network else None
        self.layer: Differentiation | None = None
        if "projected_gradients" in self.names:
            layer = runner.projection.find(runner.model)
            self.layer = Differentiation(runner, layer)

    def gather(self, data: Any, targets: Tensor | None, tasks: Tensor | None) -> Signals:
        """Return the signals of all rows."""
        parts: dict[str, list[Tensor]] = {}

        def keep(_row: int, signals: Signals) -> None:
            for name, values in signals.items():
                parts.setdefault(name, []).append(values)

        # Where features are read may be settled only by the last batch.
        self._run(data, targets, tasks, keep, start=0)
        found = {name: torch.cat(values) for name, values in parts.items()}
        if self.reader is not None:
            features = self.reader.result()
            found["features"] = self._flat(torch.cat(features) if features else torch.empty(0))
        return self._finished(found)

    def stream(
        self,
        data: Any,
        targets: Tensor | None,
        tasks: Tensor | None,
        keep: Callable[[int, Signals], None],
        start: int = 0,
    ) -> None:
        """Hand over the signals of each batch as it is done.

        Args:
            data: Tensor or dataset.
            targets: Labels `[n]` or None.
            tasks: Task labels `[n]` or None.
            keep: Called with the first row of a batch and its signals.
            start: Where to begin: a multiple of the batch size, so that batches are the same.

        Raises:
            ArgumentError: If the place where features are read changes between batches.
        """

        def finish(row: int, signals: Signals) -> None:
            if self.reader is not None:
                signals["features"] = self._flat(self.reader.latest())
            keep(row, self._finished(signals))

        self._run(data, targets, tasks, finish, start)

    def _run(
        self,
        data: Any,
        targets: Tensor | None,
        tasks: Tensor | None,
        keep: Callable[[int, Signals], None],
        start: int,
    ) -> None:
        runner, row = self.runner, start
        data, targets, tasks = rows_from(start, data, targets, tasks)
        alone = runner.draws_from_torch_alone(data)
        with guard(runner.model, seed=0, torch_alone=alone):
            runner.model.eval()
            waiting = iter(batches(data, runner.batch_size, targets, tasks))
            while True:
                # Seeded by the row, so that a pass that goes on in the middle draws the same.
                with guard(seed=row, torch_alone=alone):
                    batch = next(waiting, None)
                    if batch is None:
                        return
                    signals = self._batch(batch, row)
                keep(row, signals)
                row += len(batch[0])

    def _batch(self, batch: Batch, row: int) -> Signals:
        x, labels, task = self.runner.placed(batch)
        deep = [part for part in (self.network, self.layer) if part is not None]
        for part in deep:
            part.begin(x, task)
        with ExitStack() as recorded, torch.set_grad_enabled(bool(deep)):
            # Only for this run: others follow that are none of the reader's business.
            recorded.enter_context(attached(self.reader))
            for part in deep:
                recorded.enter_context(part.recording.attached())
            logits = self.runner.run(x, task)
        self.runner.spend(len(x), len(x) if deep else 0)
        if self.reader is not None:
            self.reader.collect(len(x))
        # The recorded graph first: everything else works on values.
        signals = self._differentiated(x, logits, labels, task) if deep else {}
        logits = logits.detach()
        if "logits" in self.needs:
            signals["logits"] = logits
        if "losses" in self.needs:
            signals["losses"] = self.runner.losses_of(logits, labels).detach()
        if "logit_gradients" in self.needs:
            signals["logit_gradients"] = self._errors(logits, labels)
        if "perturbed_logits" in self.needs:
            signals["perturbed_logits"] = self._perturbed(x, task, row)
        if "boundary_distances" in self.needs:
            signals["boundary_distances"] = self._distances(x, logits, task)
        return signals

    def _differentiated(
        self, x: Tensor, logits: Tensor, labels: Tensor | None, task: Tensor | None
    ) -> Signals:
        runner = self.runner
        found: Signals = {}
        with torch.enable_grad():
            losses = runner.losses_of(logits, labels)
        if self.layer is not None:
            keep = self.network is not None
            factors = self.layer.factors(x, labels, task, losses, retain=keep)
            sizes = {name: p.numel() for name, p in self.layer.parameters.named.items()}
            like = losses.detach()
            projected = runner.projection.project(factors, sizes, len(x), like)
            found["projected_gradients"] = projected
        if self.network is not None:
            factors = self.network.factors(x, labels, task, losses)
            squares = [factor.squares() for factor in factors.values()]
            total = torch.stack(squares).sum(0) if squares else torch.zeros_like(losses)
            found["gradient_norms"] = total.detach().sqrt()
        return found

    def _errors(self, logits: Tensor, labels: Tensor | None) -> Tensor:
        labels = self.runner.required("logit_gradients", labels)
        if self.runner.cross_entropy and logits.ndim == 2:
            return cross_entropy_gradients(logits, labels)
        return loss_gradients(self.runner.loss, logits, labels)

    def _perturbed(self, x: Tensor, task: Tensor | None, row: int) -> Tensor:
        runner = self.runner

        def run(inputs: Tensor, exchanged: Any) -> Tensor:
            runner.spend(len(inputs), 0)
            with torch.no_grad():
                return runner.run(inputs, task, exchanged)

        return runner.perturbation.logits(runner.model, x, run, row)

    def _distances(self, x: Tensor, logits: Tensor, task: Tensor | None) -> Tensor:
        runner = self.runner
        inputs = runner.transformed(x)
        needed = [p for p in runner.model.parameters() if p.requires_grad]
        for parameter in needed:
            # The gradient goes to the inputs alone.
            parameter.requires_grad_(False)

        def run(changed: Tensor, rows: Tensor) -> Tensor:
            part = None if task is None else task[rows]
            return runner.run_transformed(changed, part)

        try:
            return runner.boundary.distances(inputs, logits, run, runner.spend)
        finally:
            for parameter in needed:
                parameter.requires_grad_(True)

    def _finished(self, found: Signals) -> Signals:
        if "gradient_norms" in self.names and self.runner.last_layer and "features" in found:
            errors = found.get("logit_gradients")
            errors = found["features"][:0] if errors is None else errors
            found["gradient_norms"] = last_layer_norms(errors, found["features"])
        empty = torch.empty(0)
        return {name: found.get(name, empty) for name in sorted(self.names)}

    def _flat(self, features: Tensor) -> Tensor:
        features = features.flatten(1) if features.ndim > 1 else features[:, None]
        return features.float() if self.runner.autocast is not None else features
