"""A native loop for online streams: one step for each small batch that arrives.

Avalanche sets up an experience, a loader and an evaluator for every ten samples of an online
stream, about 3 ms before anything is learned. This loop has none of that; it uses the same
buffers and retrieval rules.

Source: Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning", algorithm 1: draw
from memory, step on the incoming batch and the drawn one together, then update the memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.optim import Optimizer

from buffers.door import check_batch, task_column
from buffers.exemplars import Exemplars
from buffers.incoming import Incoming
from buffers.memory import Memory
from buffers.retrieval import Retrieval, retrieval_rule
from clcore.errors import ArgumentError
from strategies.continual.joining import ReplayMask, ReplayWeights, append_samples
from strategies.continual.online_events import Hooks, StepResult, StreamResult
from strategies.continual.weighted_loss import WeightedLoss
from strategies.learner_state import load_learner_state, take_learner_state

Transform = Callable[[Tensor], Tensor]
Evaluate = Callable[["OnlineLearner"], Any]


class OnlineLearner:
    """Learns from a stream of (x, y) batches, with replay.

    Args:
        model: The model. Multi-task models of Avalanche are given the task labels.
        optimizer: Its optimizer.
        loss: `loss(output, y)`; cross-entropy by default.
        buffer: Any buffer; None for no replay. If it has no transform of its own it takes
            `transform`, so it may hold the stream's raw samples.
        batch_size_memory: Exemplars drawn for each step.
        retrieval: Which: the name of a retrieval rule, or one of your own.
        passes: Steps on each incoming batch, each with exemplars drawn anew; the buffer is updated
            after the last.
        weighted: Whether exemplar weights reach the loss, as in `Replay`.
        device: Where to compute; where the model's parameters are by default. The model is moved.
        plugins: Objects with some of the methods of `OnlinePlugin`.
        transform: Applied to incoming samples before the model sees them, batched (uint8 images to
            floats, augmentation); the buffer is given the samples as they came.

    Attributes:
        iterations: Steps made.
        samples_seen: Rows of the stream seen.

    Raises:
        ArgumentError: An argument is wrong.

    Example:
        >>> from buffers import ReservoirBuffer
        >>> model = nn.Linear(8, 3)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> learner = OnlineLearner(model, optimizer, buffer=ReservoirBuffer(50))
        >>> result = learner.observe(torch.rand(10, 8), torch.arange(10) % 3)
        >>> learner.iterations, len(learner.buffer), result.replayed
        (1, 10, None)
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        loss: Callable[..., Tensor] | None = None,
        buffer: Memory | None = None,
        batch_size_memory: int = 10,
        retrieval: str | Retrieval = "uniform",
        passes: int = 1,
        weighted: bool = True,
        device: str | torch.device | None = None,
        plugins: Sequence[object] = (),
        transform: Transform | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model: got a {type(model).__name__}; a torch Module is needed")
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"optimizer: got a {type(optimizer).__name__}; a torch optimizer is needed"
            )
        if buffer is not None and not isinstance(buffer, Memory):
            raise ArgumentError(
                f"buffer: got a {type(buffer).__name__}; one of the classes in `buffers` is needed"
            )
        for name, value in (("batch_size_memory", batch_size_memory), ("passes", passes)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name}: got {value!r}; a positive integer is needed")
        self.model = model
        self.optimizer = optimizer
        self.loss = nn.CrossEntropyLoss() if loss is None else loss
        self.buffer = buffer
        self.batch_size_memory = batch_size_memory
        self.retrieval = retrieval_rule(retrieval)
        self.passes = passes
        self.weighted = weighted
        self.plugins = tuple(plugins)
        self.transform = transform
        if device is None:
            first = next(model.parameters(), None)
            self.device = torch.device("cpu") if first is None else first.device
        else:
            self.device = torch.device(device)
            model.to(self.device)
        if buffer is not None and buffer.transform is None:
            buffer.transform = buffer.eval_transform = transform
        self.iterations = 0
        self.samples_seen = 0
        self._hooks = Hooks(self.plugins)
        self._mask = ReplayMask()
        self._weights = None if buffer is None else ReplayWeights(buffer)
        self._weighted_loss: WeightedLoss | None = None

    # -- learning ----------------------------------------------------------------------------

    def observe(self, x: Tensor, y: Tensor, task: Tensor | int | None = None) -> StepResult:
        """Learn from one batch of the stream.

        Args:
            x: Samples `[n, ...]`, as the buffer shall keep them.
            y: Class labels `[n]`.
            task: Task labels `[n]`, or one for all.

        Returns:
            What happened in the last pass.

        Raises:
            ArgumentError: The batch is empty, its parts don't fit, it holds NaN or infinity, or a
                label is negative or beyond the model's outputs.
        """
        check_batch(x, y)
        device = self.device
        tasks = None if task is None else task_column(task, y)
        if not self.model.training:
            self.model.train()
        for hook in self._hooks.before_step:
            hook(self, x, y, tasks)
        targets = y.to(device, torch.int64)
        for _ in range(self.passes):
            inputs = x.to(device)
            if self.transform is not None:
                inputs = self.transform(inputs)
            result = self._step(inputs, targets, None if tasks is None else tasks.to(device))
        if self.buffer is not None:
            labels = y.to("cpu", torch.int64)
            kept_tasks = torch.zeros_like(labels) if tasks is None else tasks
            result.slots = self.buffer.offer(Incoming(x, labels, kept_tasks, {}, agent=self))
        self.samples_seen += len(y)
        for hook in self._hooks.after_step:
            hook(self, result)
        return result

    def train_stream(
        self,
        batches: Iterable[Sequence[Any]],
        evaluate: Evaluate | None = None,
        every: int | None = None,
    ) -> StreamResult:
        """Learn from all batches of a stream.

        Args:
            batches: `(x, y)` or `(x, y, task)` for each batch.
            evaluate: Called with this learner at the end, and after every `every` batches; may
                return anything.
            every: Batches between evaluations; None for one at the end.

        Returns:
            Counts, seconds and the evaluations.

        Raises:
            ArgumentError: `every` is not positive, or was given without `evaluate`; or a batch is
                wrong, see `observe`.
        """
        if every is not None and (isinstance(every, bool) or every < 1 or evaluate is None):
            raise ArgumentError(
                f"every: got {every!r}; a positive number of batches, together with `evaluate`"
            )
        started, before = time.perf_counter(), self.samples_seen
        evaluations: list[tuple[int, Any]] = []
        count = 0
        for count, batch in enumerate(batches, 1):
            if not 2 <= len(batch) <= 3:
                raise ArgumentError(
                    f"batches: batch {count} has {len(batch)} parts; (x, y) or (x, y, task)"
                )
            self.observe(*batch)
            if evaluate is not None and every is not None and count % every == 0:
                evaluations.append((count, self._evaluated(evaluate)))
        if evaluate is not None and (not evaluations or evaluations[-1][0] != count):
            evaluations.append((count, self._evaluated(evaluate)))
        seconds = time.perf_counter() - started
        return StreamResult(count, self.samples_seen - before, seconds, evaluations)

    # -- using what was learned --------------------------------------------------------------

    @torch.no_grad()
    def predict(
        self, x: Tensor, task: Tensor | int | None = None, *, batch_size: int = 1024
    ) -> Tensor:
        """Class labels for samples.

        Args:
            x: Samples `[n, ...]`, as given to `observe`.
            task: Task labels `[n]`, or one for all.
            batch_size: Samples at once.

        Returns:
            `[n]` int64, on the CPU.
        """
        was_training = self.model.training
        self.model.eval()
        tasks = None if task is None else task_column(task, x)
        parts = []
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            inputs = x[rows].to(self.device)
            if self.transform is not None:
                inputs = self.transform(inputs)
            task_rows = None if tasks is None else tasks[rows].to(self.device)
            parts.append(self._forward(inputs, task_rows).argmax(1).cpu())
        self.model.train(was_training)
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def accuracy(self, x: Tensor, y: Tensor, task: Tensor | int | None = None) -> float:
        """Share of samples that are classified rightly, in [0, 1].

        Args:
            x: Samples `[n, ...]`, as given to `observe`.
            y: Class labels `[n]`.
            task: Task labels `[n]`, or one for all.

        Raises:
            ArgumentError: There are no samples, or not one label for each.
        """
        if len(x) == 0 or y.shape != (len(x),):
            raise ArgumentError(
                f"x, y: got {len(x)} samples and labels of shape {tuple(y.shape)}; at least one "
                "sample and one label for each are needed"
            )
        return float((self.predict(x, task) == y.cpu()).float().mean())

    # -- saving ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Model, optimizer, buffer, counters, plugins with a state, and global random states."""
        return {
            **take_learner_state(self.model, self.optimizer, self._parts()),
            "iterations": self.iterations,
            "samples_seen": self.samples_seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state, bit for bit (on the CPU).

        Raises:
            FormatError: The state is incomplete, or of another model, optimizer or buffer.
        """
        load_learner_state(state, self.model, self.optimizer, self._parts())
        self.iterations, self.samples_seen = state["iterations"], state["samples_seen"]

    # -- how ---------------------------------------------------------------------------------

    def _step(self, x: Tensor, y: Tensor, task: Tensor | None) -> StepResult:
        rows = len(y)
        drawn = self._draw(x, y, task)
        weights = None
        if drawn is not None:
            x = append_samples(x, drawn.x)
            y = torch.cat([y, drawn.y.to(y.device)])
            task = None if task is None else torch.cat([task, drawn.task.to(task.device)])
            if self.weighted and self._weights is not None:
                weights = self._weights.of(rows, drawn)
        self.optimizer.zero_grad()
        output = self._forward(x, task)
        if int(y.max()) >= output.shape[-1]:
            raise ArgumentError(
                f"y: got label {int(y.max())}, but the model has {output.shape[-1]} outputs"
            )
        loss = self.loss(output, y) if weights is None else self._weigh(output, y, weights)
        loss.backward()
        self.optimizer.step()
        self.iterations += 1
        mask = self._mask(rows, len(y) - rows, y.device)
        return StepResult(self.iterations, loss.detach(), output.detach(), y, mask, drawn)

    def _draw(self, x: Tensor, y: Tensor, task: Tensor | None) -> Exemplars | None:
        if self.buffer is None or len(self.buffer) == 0:
            return None
        return self.buffer.sample(
            self.batch_size_memory,
            self.retrieval,
            model=self.model,
            optimizer=self.optimizer,
            x=x,
            y=y,
            task=task,
        )

    def _forward(self, x: Tensor, task: Tensor | None) -> Tensor:
        output: Tensor = self.model(x) if task is None else avalanche_forward(self.model, x, task)
        return output

    def _weigh(self, output: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        if self._weighted_loss is None:
            self._weighted_loss = WeightedLoss(self.loss)
        return self._weighted_loss(output, y, weights.to(output.device))

    def _evaluated(self, evaluate: Evaluate) -> Any:
        metrics = evaluate(self)
        for hook in self._hooks.after_evaluation:
            hook(self, metrics)
        return metrics

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {} if self.buffer is None else {"buffer": self.buffer}
        for place, plugin in enumerate(self.plugins):
            if hasattr(plugin, "state_dict") and hasattr(plugin, "load_state_dict"):
                parts[f"plugin {place} {type(plugin).__name__}"] = plugin
        return parts
