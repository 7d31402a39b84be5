"""Every buffer as an Avalanche storage policy.

`Buffer` is a `Memory` that Avalanche 0.6 takes wherever it takes an `ExemplarsBuffer`:
`ReplayPlugin(storage_policy=…)`, `RARPlugin`, `BiC`, the memory-based prototype updates. It keeps
copies of the exemplars, not references into the stream's data set; it never takes a replayed row
for a new one, since it reads the experience and not the loader; its view has the same tuple form
as the stream, so streams with and without task labels both work.
"""

from __future__ import annotations

from typing import Any

import torch
from avalanche.benchmarks.utils import concat_datasets
from avalanche.benchmarks.utils.data import AvalancheDataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from buffers.memory import Incoming, Memory, Transform
from buffers.stream import Rows, open_rows
from buffers.transforms import BatchTransform
from buffers.view import view_of
from clcore import Probe
from clcore.errors import ArgumentError


class Buffer(Memory, ExemplarsBuffer):  # type: ignore[misc]  # Avalanche has no types
    """A memory that is an Avalanche `ExemplarsBuffer`.

    Args:
        max_size: Budget in exemplars; or `max_bytes`. See `Memory` for all arguments.
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        Memory.__init__(
            self, max_size, max_bytes=max_bytes, seed=seed, device=device, transform=transform
        )
        self.attributes: tuple[str, ...] = ()
        """What the stream appends to (x, y) in each sample."""
        self.records_logits = False
        """Whether `post_adapt` stores the model's outputs with each exemplar (for DER)."""
        self._stream_train = BatchTransform()
        self._stream_evaluate = BatchTransform()
        self._views: dict[Any, AvalancheDataset[Any]] = {}
        self._viewed_version = -1

    # -- Avalanche asks for these -----------------------------------------------------------

    def post_adapt(self, agent: Any, exp: Any) -> None:
        """Offer an experience's samples to the memory.

        Args:
            agent: The strategy that has learned from it; its model is used by rules that need
                features or logits.
            exp: The experience; its `dataset` is read, not the (replay-mixed) loader.

        Raises:
            ArgumentError: The experience has no samples, no labels, or samples that differ in
                shape from those already held.
        """
        rows = open_rows(exp.dataset)
        self.offer_rows(rows, agent)

    def offer_rows(self, rows: Rows, agent: Any = None) -> Tensor:
        """Offer the rows of an opened data set; only those admitted are read.

        Args:
            rows: As `buffers.stream.open_rows` gives them.
            agent: The strategy, where there is one.

        Returns:
            The store row that each was written to, `[n]` int64; -1 for those not kept.
        """
        if int(rows.labels.min()) < 0:
            raise ArgumentError(f"labels: got {int(rows.labels.min())}; labels count from 0")
        self._adopt(rows)
        tasks = torch.zeros_like(rows.labels) if rows.tasks is None else rows.tasks
        columns = self._logits_column(rows, agent) if self.records_logits else {}
        incoming = Incoming(
            rows.raw, rows.labels, tasks, columns, agent=agent, evaluate=rows.evaluate
        )
        return self._take(incoming)

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Same as `post_adapt`; Avalanche's plugins still call this. Warns of nothing."""
        self.post_adapt(strategy, strategy.experience)

    def resize(self, strategy: Any, new_size: int) -> None:
        """Change the budget in exemplars (Avalanche's signature; `strategy` may be None)."""
        self.set_size(new_size)

    @property
    def buffer(self) -> AvalancheDataset[Any]:
        """The exemplars as an `AvalancheDataset`, in the stream's tuple form."""
        return self._view("all", None)

    @buffer.setter
    def buffer(self, new_buffer: Any) -> None:
        raise ArgumentError(
            "buffer: a clcore buffer is filled by `add` or `post_adapt`, its view can't be set"
        )

    @property
    def buffer_groups(self) -> dict[int, ClassGroup]:
        """One group per class that is held, as Avalanche's class-balanced buffer has them."""
        return {label: ClassGroup(self, label) for label in sorted(self.class_counts())}

    @property
    def buffer_datasets(self) -> list[AvalancheDataset[Any]]:
        """The exemplars of each class as a data set of its own."""
        return [group.buffer for group in self.buffer_groups.values()]

    # -- how -------------------------------------------------------------------------------

    def _view(self, key: Any, label: int | None) -> AvalancheDataset[Any]:
        if len(self) == 0:
            return concat_datasets([])
        if self._viewed_version != self.store.version:
            self._views.clear()
            self._viewed_version = self.store.version
        view = self._views.get(key)
        if view is None:
            everything = torch.arange(len(self))
            view = self._views[key] = view_of(
                self.store,
                everything if label is None else everything[(self.store.y == label).cpu()],
                train=self._stream_train,
                evaluate=self._stream_evaluate,
                attributes=(*self.attributes, *(("logits",) if self.records_logits else ())),
            )
        return view

    def _adopt(self, rows: Rows) -> None:
        """Remember how the stream transforms and labels its samples."""
        if rows.attributes != self.attributes:
            self.attributes = rows.attributes
            self._views.clear()
        if rows.train != self._stream_train or rows.evaluate != self._stream_evaluate:
            if self.transform is self._stream_train or self.transform is None:
                self.transform = rows.train if rows.train.steps else None
            self._stream_train, self._stream_evaluate = rows.train, rows.evaluate
            self.eval_transform = rows.evaluate
            self._views.clear()

    def _logits_column(self, rows: Rows, agent: Any) -> dict[str, Tensor]:
        if agent is None or not hasattr(agent, "model"):
            raise ArgumentError("agent: a strategy with a `model` is needed to record logits")
        probe = Probe(agent.model, device=getattr(agent, "device", None))
        logits = probe.logits(rows.evaluate(rows.raw()))
        self.spend(probe.cost)
        return {"logits": logits.detach().cpu()}

    def __getstate__(self) -> dict[str, Any]:
        # Views refer to Avalanche objects; a generator is pickled by its state.
        held = {k: v for k, v in self.__dict__.items() if k not in ("_views", "generator")}
        return {**held, "_generator_state": self.generator.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        generator_state = state.pop("_generator_state")
        self.__dict__.update(state)
        self._views, self._viewed_version = {}, -1
        self.generator = torch.Generator()
        self.generator.set_state(generator_state)


class ClassGroup:
    """The exemplars of one class, with the part of Avalanche's buffer interface that is read."""

    def __init__(self, buffer: Buffer, label: int) -> None:
        self._buffer = buffer
        self.label = label

    @property
    def max_size(self) -> int:
        """Exemplars of this class that are held."""
        return self._buffer.class_counts()[self.label]

    @property
    def buffer(self) -> AvalancheDataset[Any]:
        """The exemplars of this class as a data set."""
        return self._buffer._view(("class", self.label), self.label)
