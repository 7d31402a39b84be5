"""Every buffer as an Avalanche storage policy.

`Buffer` is a `Memory` that Avalanche 0.6 takes wherever it takes an `ExemplarsBuffer`:
`ReplayPlugin(storage_policy=…)`, `RARPlugin`, `BiC`, the memory-based prototype updates. It keeps
copies of the exemplars, not references into the stream's data set; it never takes a replayed row
for a new one, since it reads the experience and not the loader; its view has the same tuple form
as the stream, so streams with and without task labels both work.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from avalanche.benchmarks.utils.data import AvalancheDataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from buffers.exemplars import Exemplars
from buffers.experiences import experience_number
from buffers.groups import ClassGroup
from buffers.hosts import reads_task_labels
from buffers.incoming import Incoming, Transform
from buffers.memory import Memory
from buffers.presentation import TASKS, Presentation
from buffers.retrieval import Retrieval
from buffers.store import ExemplarStore
from buffers.stream import Rows, open_rows
from buffers.transforms import BatchTransform
from buffers.view import view_of
from clcore import Probe
from clcore.errors import ArgumentError, FormatError

_log = logging.getLogger(__name__)


class Buffer(Memory, ExemplarsBuffer):
    """A memory that is an Avalanche `ExemplarsBuffer`.

    Args:
        max_size: Budget in exemplars; or `max_bytes`. See `Memory` for all arguments.

    Attributes:
        records_logits: Whether `post_adapt` stores the model's outputs with each exemplar, which
            then follow the task label in the view's samples (for DER).
        always_task_labels: Whether the view's samples carry a task label (0) even where the
            stream's don't.
        smallest_group: Class groups with fewer exemplars repeat them up to this number.
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
        self.records_logits = False
        self.always_task_labels = False
        self.smallest_group = 1
        self._look: Presentation | None = None
        self._settled = False  # exemplars are stored as the evaluation pipeline gives them
        self._awaits_stream = False  # loaded from a file, which holds no transforms
        self._views: dict[Any, AvalancheDataset[Any]] = {}
        self._views_of: Any = None

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
        self.offer_rows(open_rows(exp.dataset), agent, experience_number(exp))

    def update_from_dataset(self, new_data: Any, strategy: Any = None) -> None:
        """Offer a data set's samples to the memory; `FeatureReplay` calls this.

        Args:
            new_data: An `AvalancheDataset` with `targets`, or any data set of (x, y) items that
                has them.
            strategy: The strategy, where there is one.

        Raises:
            ArgumentError: As for `post_adapt`.
        """
        self.offer_rows(open_rows(new_data), strategy)

    def offer_rows(self, rows: Rows, agent: Any = None, experience: int | None = None) -> Tensor:
        """Offer the rows of an opened data set; only those admitted are read.

        Args:
            rows: As `buffers.stream.open_rows` gives them.
            agent: The strategy, where there is one.
            experience: Number of the experience; the one that the strategy is in by default.

        Returns:
            The store row that each was written to, `[n]` int64; -1 for those not kept.
        """
        if int(rows.labels.min()) < 0:
            raise ArgumentError(f"labels: got {int(rows.labels.min())}; labels count from 0")
        if rows.tasks is None and reads_task_labels(agent, self):
            self.always_task_labels = True
        self._adopt(rows)
        tasks = torch.zeros_like(rows.labels) if rows.tasks is None else rows.tasks
        columns = dict(rows.columns)
        if self.records_logits:
            columns["logits"] = self._logits(rows, agent)
        read, evaluate = (rows.settled, None) if self._settled else (rows.raw, rows.evaluate)
        if experience is None:
            experience = experience_number(getattr(agent, "experience", None))
        incoming = Incoming(
            read,
            rows.labels,
            tasks,
            columns,
            agent=agent,
            evaluate=evaluate,
            experience=experience,
        )
        return self.offer(incoming)

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Same as `post_adapt`; Avalanche's plugins still call this. Warns of nothing."""
        self.post_adapt(strategy, strategy.experience)

    def resize(self, strategy: Any, new_size: int) -> None:
        """Change the budget in exemplars (Avalanche's signature; `strategy` may be None)."""
        self.set_size(new_size)

    @property
    def buffer(self) -> AvalancheDataset[Any]:
        """The exemplars as an `AvalancheDataset`, in the stream's tuple form."""
        return self.view_of_class(None)

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

    # -- how exemplars look to the stream -----------------------------------------------------

    @property
    def attributes(self) -> tuple[str, ...]:
        """What the stream appends to (x, y) in each sample."""
        return () if self._look is None else self._look.attributes

    def adopt(self, dataset: Any) -> None:
        """Take over a stream's transforms and tuple form without storing anything.

        Buffers do this at every `post_adapt`; one that was loaded from a file, which holds no
        transforms, needs it before its exemplars are read.

        Args:
            dataset: The `dataset` of an experience.
        """
        self._adopt(open_rows(dataset))

    def _adopt(self, rows: Rows) -> None:
        """Remember how the stream transforms and labels its samples."""
        old, own = self._look, self._own_transform
        new = Presentation(
            rows.train, rows.evaluate, rows.attributes, rows.label_type, rows.collate
        )
        if old is not None and len(self) and not self._awaits_stream:
            if not self._settled and not old.evaluate.same_as(new.evaluate):
                self._settle(old)
            elif old.train.same_as(new.train):  # keep the objects, and the views with them
                new = replace(new, train=old.train, evaluate=old.evaluate)
        if self._settled:
            new = replace(new, train=BatchTransform(), evaluate=BatchTransform())
        self._awaits_stream = False
        if new == old:
            return
        if not own:
            self.transform = new.train if new.train.steps else None
        self.eval_transform = new.evaluate
        self._look, self._views_of = new, None

    @property
    def _own_transform(self) -> bool:
        """Whether the user gave a transform, which the stream's doesn't replace."""
        stream = None if self._look is None else self._look.train
        return self.transform is not None and self.transform is not stream

    def _settle(self, look: Presentation) -> None:
        """Turn stored rows into what their own stream's evaluation pipeline makes of them.

        A pipeline that changes between experiences (other than by frozen transforms, which are
        applied on reading) would otherwise be applied to the exemplars of earlier ones.
        """
        if self._own_transform:
            raise ArgumentError(
                "experience: its evaluation transforms differ from those of earlier experiences, "
                "so exemplars have to be stored transformed; that doesn't go with a `transform` "
                "of the buffer's own"
            )
        _log.warning(
            "The stream's evaluation transforms change between experiences: from now on exemplars "
            "are stored as those transforms give them, without further augmentation."
        )
        store, budget = self.store, self.max_bytes
        assert store.x is not None
        settled = look.evaluate(store.x[: store.size].cpu())
        capacity = store.capacity
        if budget is not None:
            extra = {name: column[:1] for name, column in store.extra.items()}
            capacity = max(1, budget // ExemplarStore.row_bytes(settled[:1], extra))
        room = torch.zeros((store.capacity, *settled.shape[1:]), dtype=settled.dtype)
        room[: store.size] = settled
        store.x = room.to(store.device)
        store.version += 1
        self._settled, self.transform = True, None
        if capacity < store.capacity:
            self.set_size(capacity)
            self.max_bytes = budget

    def view_of_class(self, label: int | None) -> AvalancheDataset[Any]:
        """The exemplars of one class as a data set; all of them for None."""
        if len(self) == 0:
            return AvalancheDataset([])
        store = self.store
        current = (id(store), store.version, self._sample_attributes(), self.smallest_group)
        if self._views_of != current:
            self._views, self._views_of = {}, current
        view = self._views.get(label)
        if view is None:
            self._check_known()
            look = replace(self._look or Presentation(), attributes=self._sample_attributes())
            view = self._views[label] = view_of(store, self._rows_of(label), look)
        return view

    def _rows_of(self, label: int | None) -> Tensor:
        if label is None:
            return torch.arange(len(self))
        rows = torch.nonzero(self.store.y == label).view(-1).cpu()
        if len(rows) < self.smallest_group:
            rows = rows.repeat(-(-self.smallest_group // len(rows)))[: self.smallest_group]
        return rows

    def _sample_attributes(self) -> tuple[str, ...]:
        names = self.attributes
        if self.always_task_labels and TASKS not in names:
            names = (TASKS, *names)
        return (*names, "logits") if self.records_logits else names

    def _check_known(self) -> None:
        if self._awaits_stream:
            raise ArgumentError(
                "buffer: it was loaded from a file, which holds no transforms; call "
                "`adopt(experience.dataset)` with an experience of the stream first"
            )

    def read(self, rows: Tensor, *, transform: Transform | bool | None = True) -> Exemplars:
        """Read given rows; see `Memory.read`.

        Raises:
            ArgumentError: The buffer was loaded from a file and hasn't met its stream.
        """
        if transform is True and self.transform is None:
            self._check_known()
        return super().read(rows, transform=transform)

    def sample(self, n: int, retrieval: str | Retrieval = "uniform", **context: Any) -> Exemplars:
        """Draw exemplars; see `Memory.sample`.

        Raises:
            ArgumentError: The buffer was loaded from a file and hasn't met its stream.
        """
        if self.transform is None:
            self._check_known()  # before a random number is drawn
        return super().sample(n, retrieval, **context)

    def _logits(self, rows: Rows, agent: Any) -> Tensor:
        if agent is None or not hasattr(agent, "model"):
            raise ArgumentError("agent: a strategy with a `model` is needed to record logits")
        probe = Probe(agent.model, device=getattr(agent, "device", None))
        logits = probe.logits(rows.settled(), task=rows.tasks)
        self.spend(probe.cost)
        return logits.detach().cpu()

    # -- saving ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, see `Memory.state_dict`.

        The stream's transforms are code and are not part of it.
        """
        look = self._look
        known = None
        if look is not None:
            known = {
                "attributes": list(look.attributes),
                "label_type": None if look.label_type is None else str(look.label_type)[6:],
                "transformed": bool(look.train.steps or look.evaluate.steps),
            }
        return {**super().state_dict(), "stream": known, "settled": self._settled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state, bit for bit.

        Args:
            state: As given by `state_dict` of a buffer of the same kind.

        Raises:
            FormatError: The state is of another kind of buffer, or incomplete.
        """
        if "stream" not in state or "settled" not in state:
            raise FormatError("the saved buffer doesn't say what stream it was filled from")
        super().load_state_dict(state)
        self._settled, known = bool(state["settled"]), state["stream"]
        if self._look is None and known is not None:
            self._awaits_stream = known["transformed"]
            label_type = known["label_type"]
            self._look = Presentation(
                attributes=tuple(known["attributes"]),
                label_type=None if label_type is None else getattr(torch, label_type),
            )
        self._views_of = None

    def __getstate__(self) -> dict[str, Any]:
        # Views refer to Avalanche objects; a generator is pickled by its state.
        held = {k: v for k, v in self.__dict__.items() if k not in ("_views", "generator")}
        return {**held, "_views_of": None, "_generator_state": self.generator.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        generator_state = state.pop("_generator_state")
        self.__dict__.update(state)
        self._views = {}
        self.generator = torch.Generator()
        self.generator.set_state(generator_state)
