"""Greedy coreset memory (Borsos et al. 2020): a bilevel coreset of each task, or of the stream.

Source: Borsos, Mutný & Krause, "Coresets via bilevel optimization for continual learning and
streaming", NeurIPS 2020: its continual learning and its streaming. The choice itself is `clcore`'s
selector `greedy-coreset`; the learner is not consulted. `strategies.continual.BilevelReplay` is the
training that goes with it.

*Tasks* (default): after task t a coreset of M / t rows of it is chosen; the tasks before keep the
first M / t of theirs, which take over the weight of those that go. Without task labels each
experience counts as a task.

*Streaming* (`streaming=True`): each `add` is a chunk of the stream and becomes a slot. When there
are more than `slots` of them two neighbours in time are merged and reduced to one (merge-reduce):
the newest two where the last but one stands for fewer chunks than the slot before it, else, of
neighbours that stand for equally many, those with the fewest. So each row of data goes through few
reductions, and each slot is a weighted coreset of an interval of the stream: which one an exemplar
is in follows from its number in the stream (`slot_numbers`). The chunk is merged as it is, without
a reduction of its own before. Weights of the candidates count in every choice, so merging keeps
what each exemplar stands for; a slot's weights sum to the weight of the rows that it saw.

Defaults: `features="input"`: the samples themselves, as the stream's evaluation transform gives
them; ten slots (the authors use one on imbalanced streams, with λ = 1e-4:
`selector=GreedyCoreset(regularisation=1e-4), slots=1`). The memory is always shared among the slots
in use, so it is full as soon as there were enough rows; the paper's slots are of M / s from the
beginning, and so are these once there are s. If all candidates stay, they keep their weight.

`preset="reference"` does with weights what the authors' code does: fitted ones are thrown away, so
that all exemplars of a task have weight 1, and those of a slot have equal shares of what it saw.

Differs from the authors' code: see the selector; it reduces a chunk before it merges it, and drops
a last chunk that is not full.

Expected: on the stream of their imbalanced Split MNIST (200 rows of each of the first four
tasks, 2000 of the last, M = 100) the authors' repository reports 92.30 ± 0.23 for the coreset,
89.71 ± 1.31 for class-balancing and 80.60 ± 4.36 for plain reservoir, with a convolutional network
and its kernel. Ours are in `docs/benchmarks.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from buffers.consolidating import Quota, Reselect, _Group
from buffers.incoming import Incoming, Transform
from buffers.selection import SelectorBuffer
from clcore import Coreset, Pool, Probe
from clcore.checks import whole_number
from clcore.errors import ArgumentError, FormatError
from clcore.selectors.greedy_coreset import GreedyCoreset


@dataclass
class _Slot(_Group):
    """A slot as it will be: its stored rows, those offered if it takes them, what it came from."""

    first: int = 0
    chunks: int = 1
    parts: int = 1


class GreedyCoresetBuffer(SelectorBuffer):
    """Keeps a bilevel coreset of each task, or of the stream.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        quota: Whether the budget is shared among each `"task"` (each experience, where the stream
            has no task labels), each `"class"`, or (None) not. Not used with `streaming`.
        reselect: Which groups choose again: those with `"new"` rows, the others keeping their
            first ones; or `"all"` that have new rows or must give some up. Not used with
            `streaming`.
        streaming: Whether each `add` is a chunk of a stream, kept by merge-reduce.
        slots: How many coresets the memory is shared among, with `streaming`; no more than M are
            used.
        preset: `"paper"`: weights are kept; `"reference"`: as in the authors' code, they are not.
        selector: The selector with other options; its defaults are the paper's.
        probe: Computes the features; without one they are taken from a column `features` given
            to `add`, or, with `features=None`, from the model of the strategy in `post_adapt`.
        features: `"input"` to use the samples themselves, flattened, as features.

    Raises:
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> buffer = GreedyCoresetBuffer(20)
        >>> for task in range(2):
        ...     _ = buffer.add(torch.rand(100, 8), torch.arange(100) % 5, task)
        >>> buffer.task_counts()
        {0: 10, 1: 10}
        >>> round(float(buffer.store.weight.sum()))
        200
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        quota: Quota | None = "task",
        reselect: Reselect = "new",
        streaming: bool = False,
        slots: int = 10,
        preset: Literal["paper", "reference"] = "paper",
        selector: GreedyCoreset | None = None,
        probe: Probe | None = None,
        features: Literal["input"] | None = "input",
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        if selector is not None and not isinstance(selector, GreedyCoreset):
            raise ArgumentError(f"selector: got {selector!r}; a GreedyCoreset or None is needed")
        super().__init__(
            GreedyCoreset() if selector is None else selector,
            max_size,
            quota=quota,
            reselect=reselect,
            probe=probe,
            features=None if probe is not None else features,
            max_bytes=max_bytes,
            seed=seed,
            device=device,
            transform=transform,
        )
        if not isinstance(streaming, bool):
            raise ArgumentError(f"streaming: got {streaming!r}; True or False is needed")
        if preset not in ("paper", "reference"):
            raise ArgumentError(f"preset: got {preset!r}; 'paper' or 'reference' is needed")
        self.streaming, self.preset = streaming, preset
        self.slots = whole_number("slots", slots, least=1)
        # Of each slot, oldest first: the number of its first row in the stream, and its chunks.
        self._slots: list[tuple[int, int]] = []

    @property
    def weighted(self) -> bool:
        """Whether the weights are kept."""
        return self.streaming or self.preset == "paper"

    @property
    def ranks_the_whole(self) -> bool:
        """Only in a stream: to rank rows that all stay takes as long as a choice of them all."""
        return self.streaming

    def slot_numbers(self) -> Tensor:
        """The slot of each exemplar, `[len]` int64, on the CPU; 0 is the oldest.

        Raises:
            ArgumentError: The buffer was made without `streaming`.
        """
        if not self.streaming:
            raise ArgumentError("slot_numbers: a buffer with streaming=True has slots")
        if len(self) == 0:
            return torch.empty(0, dtype=torch.int64)
        starts = torch.tensor([first for first, _ in self._slots])
        return torch.searchsorted(starts, self.store.born.cpu().contiguous(), right=True) - 1

    def slot_chunks(self) -> Tensor:
        """How many chunks each slot stands for, oldest first, `[slots]` int64, on the CPU.

        Raises:
            ArgumentError: The buffer was made without `streaming`.
        """
        if not self.streaming:
            raise ArgumentError("slot_chunks: a buffer with streaming=True has slots")
        return torch.tensor([chunks for _, chunks in self._slots], dtype=torch.int64)

    def choose(self, pool: Pool, k: int) -> Coreset:
        """Ask the selector; see `ConsolidatingBuffer.choose`."""
        coreset = super().choose(pool, k)
        held = torch.ones(len(pool)) if pool.weights is None else pool.weights
        if k == len(pool):
            return replace(coreset, weights=held[coreset.indices])
        if self.preset == "reference":
            alike = torch.full_like(coreset.weights, float(held.sum()) / k)
            return replace(coreset, weights=alike)
        return coreset

    def _admit(self, incoming: Incoming) -> Tensor:
        if not self.streaming:
            return super()._admit(incoming)
        slots = self._merged_slots(incoming)
        places = super()._admit(incoming)
        self._slots = [(slot.first, slot.chunks) for slot in slots]
        return places

    def _groups(self, incoming: Incoming) -> list[_Group]:
        if not self.streaming:
            return super()._groups(incoming)
        return list(self._merged_slots(incoming))

    def _merged_slots(self, incoming: Incoming) -> list[_Slot]:
        """The slots after this chunk, oldest first."""
        none = torch.empty(0, dtype=torch.int64)
        numbers = self.slot_numbers()
        by_rank = self.store.extra["rank"][: len(self)].cpu().argsort() if len(self) else none
        slots = []
        for number, (first, chunks) in enumerate(self._slots):
            rows = by_rank[numbers[by_rank] == number]
            if len(rows):  # else a smaller budget left nothing of it
                slots.append(_Slot(rows, none, first=first, chunks=chunks))
        slots.append(_Slot(none, torch.arange(len(incoming)), first=self.seen))
        while len(slots) > min(self.slots, self.store.capacity):
            place = _to_merge([slot.chunks for slot in slots])
            one, other = slots[place], slots.pop(place + 1)
            slots[place] = _Slot(
                torch.cat((one.stored, other.stored)),
                torch.cat((one.new, other.new)),
                first=one.first,
                chunks=one.chunks + other.chunks,
                parts=one.parts + other.parts,
            )
        return slots

    def _chooses(self, group: _Group) -> bool:
        return (
            super()._chooses(group)
            if not isinstance(group, _Slot)
            else (bool(len(group.new)) or group.parts > 1)
        )

    def _keys(self, y: Tensor, task: Tensor) -> Tensor:
        return self.slot_numbers() if self.streaming else super()._keys(y, task)

    def _rule_state(self) -> dict[str, Any]:
        slots = [list(slot) for slot in self._slots]
        return {**super()._rule_state(), "streaming": self.streaming, "slots": slots}

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        if state["streaming"] != self.streaming:
            raise FormatError(
                f"the saved buffer has streaming={state['streaming']!r}, this one "
                f"streaming={self.streaming!r}"
            )
        super()._load_rule_state(state)
        self._slots = [(first, chunks) for first, chunks in state["slots"]]


def _to_merge(chunks: list[int]) -> int:
    """Say which slot to merge with the one after it.

    Args:
        chunks: How many chunks each slot stands for, oldest first, at least two.

    Returns:
        The place of the older of the two.
    """
    last = len(chunks) - 2
    if last == 0 or chunks[last] < chunks[last - 1]:
        return last
    alike = [place for place in range(last + 1) if chunks[place] == chunks[place + 1]]
    if alike:
        return min(alike, key=lambda place: chunks[place])
    # After a smaller budget the numbers may be any.
    return min(range(last + 1), key=lambda place: chunks[place] + chunks[place + 1])
