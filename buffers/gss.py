"""GSS: exemplars whose gradients point in different directions.

Source: Aljundi, Lin, Goujaud and Bengio 2019, "Gradient based sample selection for online continual
learning" (NeurIPS), algorithm 2 (greedy), section 3.3 (IQP); the authors' code (GSS-Clust). All
minimise Σ_{i,j ∈ M} cos(g_i, g_j) over the memory M, with g_i the gradient of sample i's loss.

Formula (`variant="greedy"`), for each mini-batch B of the stream: G are the gradients of r random
mini-batches of the memory, c_i = max cos(g_i, G), c_B = max cos(g_B, G).

- Not full: every row is stored with the score C_i = c_i; 0.1 for the first batch.
- Full: the rows that qualify, b of them, draw b distinct victims v, at random by C; row i takes the
  place (and score) of its victim with probability C'_v / (C'_v + c'_i), primes = (· + 1) / 2.

Two things are told differently, and are presets:

- `preset="paper"`: as in algorithm 2 each row qualifies by itself, c_i < threshold, and victims are
  drawn with probability proportional to C + 1.
- `preset="reference"`: as in the authors' code the whole batch qualifies, c_B < threshold, and
  victims are drawn with probability proportional to C scaled to [0, 1] by minimum and maximum, so
  that the row with the smallest score never is one (if all are equal, uniformly).

Scores here are cosines, from -1 to 1. The paper adds 1 to them ("to make the score positive"), so
its test c < 1 is our c < 0, and its C_v / (C_v + c_i) is the ratio above.

Defaults: r = 10 memory batches of 10, threshold 0, mini-batches of 10. The authors train with three
SGD steps a batch (ten on CIFAR-10), each followed by one on 10 exemplars:
`strategies.Replay(buffer, 10, update="iteration", separate=True)`.

`variant="iqp"` and `"cluster"`: see `gss_quadratic` and `gss_cluster`; both collect the last
`recent` rows and choose among them and the memory when they are complete (`gss_recent`).

Gradients are those of the whole network, exactly, from one forward and one backward pass over the
r · 10 + b samples and without a weight's gradient (`GradientSource`). An all-zero gradient has
cosine 0 with every other.

More rows than `batch_size` at once, as `post_adapt` gives them, are taken as mini-batches in order,
all with the present model. Rows stored in an earlier mini-batch of the same call count as memory.

Differences from reference codes: the authors' memory grows beyond M when M is no multiple of the
batch; Mammoth stores the score of the batch for every row while filling, which makes C nearly
constant. Avalanche's plugin leaves its gradients to be added to the next step, scores mixed batches
and so stores replayed rows again, and fills its loader with rows that were never written
(tests/buffers/methods/test_gss.py shows it).

Expected numbers: Split MNIST, 5 × 1,000 samples, M = 300 / 400 / 500 in the paper: greedy 82.6 /
84.6 / 84.8, IQP 75.9 / 82.1 / 84.1, cluster 75.7 / 81.4 / 83.9. The authors' imbalanced Split
MNIST, M = 300: greedy 77.96, IQP 76.49, reservoir 69.12. Ours, with the authors' initial weights:
82.1, 75.9 and 76.3 at M = 300; imbalanced 76.7, 80.0 and 72.0. A plain reservoir reaches 86.3 on
the balanced stream, so what speaks for GSS is imbalance; see `docs/benchmarks.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from buffers.base import Buffer
from buffers.gradients import GradientSource, Signal
from buffers.gss_recent import RecentRows
from buffers.incoming import Incoming, Transform
from buffers.presentation import Presentation
from buffers.signals import SignalSource
from clcore import Probe
from clcore.checks import whole_number
from clcore.errors import ArgumentError

Variant = Literal["greedy", "iqp", "cluster"]
Preset = Literal["paper", "reference"]
Exact = bool | Literal["auto"]

FIRST_SCORE = 0.1
"""Of rows that come when there is nothing to compare them with."""


class GSSBuffer(Buffer):
    """Keeps exemplars whose gradients differ in direction.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        variant: `"greedy"`; `"iqp"`, by a quadratic program; or `"cluster"`, by centroids.
        signal: Whose gradients: `"whole_network"`, exactly; `"last_layer"`; or `"projection"`.
            A column `gradients` given to `add` is used instead of either.
        memory_batches: Random mini-batches of the memory that rows are compared with (greedy).
        memory_batch_size: Rows of each of them.
        threshold: Cosine below which rows may enter a full memory (greedy).
        recent: Rows that are collected before the memory is chosen again (iqp, cluster). They lie
            beside the budget in exemplars, and within one in bytes.
        batch_size: Rows that are taken together (greedy).
        exact: Whether the quadratic program is solved exactly (iqp): by a relaxation (False), by
            branch and bound however long it takes (True), or exactly where there are few rows
            (`"auto"`).
        preset: `"paper"` or `"reference"`: by what rows qualify and victims are drawn (greedy).
        probe: Computes the gradients; the learner's model is used if None.

    Raises:
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> buffer = GSSBuffer(20, seed=0)
        >>> x = torch.randn(200, 8)
        >>> _ = buffer.add(x, torch.arange(200) % 5, gradients=x)
        >>> len(buffer)
        20
    """

    owned_columns: ClassVar[tuple[str, ...]] = ("score",)

    def __init__(
        self,
        max_size: int | None = None,
        *,
        variant: Variant = "greedy",
        signal: Signal = "whole_network",
        memory_batches: int = 10,
        memory_batch_size: int = 10,
        threshold: float = 0.0,
        recent: int = 100,
        batch_size: int = 10,
        exact: Exact = "auto",
        preset: Preset = "paper",
        probe: Probe | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            max_size, max_bytes=max_bytes, seed=seed, device=device, transform=transform
        )
        self.variant = _one_of("variant", variant, get_args(Variant))
        self.preset = _one_of("preset", preset, get_args(Preset))
        self.exact = _one_of("exact", exact, (True, False, "auto"))
        self.memory_batches = whole_number("memory_batches", memory_batches, least=1)
        self.memory_batch_size = whole_number("memory_batch_size", memory_batch_size, least=1)
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        recent = whole_number("recent", recent, least=1)
        self.threshold = _cosine("threshold", threshold)
        self.gradients = GradientSource(signal, SignalSource(probe))
        self._recent = None if variant == "greedy" else RecentRows(self, recent)

    @property
    def recent(self) -> int:
        """Rows that lie beside the memory and are chosen among when they are complete."""
        return 0 if self._recent is None else len(self._recent)

    @property
    def nbytes(self) -> int:
        """Bytes held by the exemplars' tensors and by those of the recent rows beside them."""
        return super().nbytes + (0 if self._recent is None else self._recent.nbytes)

    def _admit(self, incoming: Incoming) -> Tensor:
        if "score" in incoming.columns:
            raise ArgumentError(f"score: {type(self).__name__} writes this column itself")
        generator = self.generator.get_state()
        try:
            if self._recent is not None:
                return self._recent.admit(incoming)
            greedy = _Greedy(self, incoming)
            greedy.run()
        except BaseException:  # a later mini-batch may fail when others have drawn numbers
            self.generator.set_state(generator)
            raise
        incoming.columns["score"] = greedy.row_scores
        return greedy.slots()

    def _open_store(self, incoming: Incoming) -> None:
        if self._recent is not None:
            assert self.max_bytes is not None
            self._store = self._recent.fitted(incoming, self.max_bytes)
            self.max_size = self._store.capacity
            return
        given = incoming.columns
        incoming.columns = {**given, "score": given.get("score", torch.zeros(1))}
        try:
            super()._open_store(incoming)
        finally:
            incoming.columns = given

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        if "score" not in self.store.extra:
            return super()._keep_when_shrinking(new_size)
        scores = self.store.extra["score"][: len(self)].cpu()
        victims = self.draw_victims(scores, len(self) - new_size)
        stays = torch.ones(len(self), dtype=torch.bool)
        stays[victims] = False
        return torch.nonzero(stays).view(-1)

    def draw_victims(self, scores: Tensor, count: int) -> Tensor:
        """Draw distinct rows with probabilities that follow from their scores.

        Args:
            scores: `[n]`.
            count: How many, at most n.

        Returns:
            `[count]` int64. Rows with probability 0 come last, in random order.
        """
        scores = scores.double()
        weights = scores + 1 if self.preset == "paper" else scores - scores.min()
        waits = torch.empty(len(scores), dtype=torch.float64).exponential_(generator=self.generator)
        # The first arrivals at rates w: as if drawn one after the other in proportion to w.
        return torch.where(weights > 0, weights / waits, -waits).topk(count).indices

    def _settle(self, look: Presentation) -> None:
        super()._settle(look)
        if self._recent is not None:
            self._recent.settle(look)

    def _rule_state(self) -> dict[str, Any]:
        return {} if self._recent is None else self._recent.state_dict()

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        if self._recent is not None:
            self._recent.load_state_dict(state)


class _Greedy:
    """One call of the greedy rule: who holds each slot, mini-batch after mini-batch.

    Attributes:
        holders: The row in each slot, numbered as `GradientSource` does.
        scores: Its score.
        row_scores: The score of each offered row; 0 for those not stored.
        changed: Whether any offered row was given a slot.
    """

    def __init__(self, buffer: GSSBuffer, incoming: Incoming) -> None:
        store = buffer.store
        self.buffer, self.incoming, self.size = buffer, incoming, store.size
        self.holders = torch.arange(store.size)
        held = store.extra.get("score")
        self.scores = torch.empty(0) if held is None else held[: store.size].cpu().clone()
        self.row_scores = torch.zeros(len(incoming))
        self.changed = False

    def run(self) -> None:
        """Take the rows as mini-batches; one that fills the memory is cut there."""
        n, start, size = len(self.incoming), 0, self.buffer.batch_size
        while start < n:
            room = self.buffer.store.capacity - len(self.holders)
            stop = min(n, start - start % size + size, start + (room or n))
            rows = torch.arange(start, stop)
            if len(self.holders) == 0:
                self._append(rows, torch.full((len(rows),), FIRST_SCORE))
            else:
                single, batch = self._compare(rows)
                if room:
                    self._append(rows, single)
                else:
                    self._replace(rows, single, batch)
            start = stop

    def slots(self) -> Tensor:
        """Return the slot of each offered row, -1 for those not stored."""
        slots = torch.full((len(self.incoming),), -1)
        if not self.changed:
            return slots
        taken = torch.nonzero(self.holders >= self.size).view(-1)
        slots[self.holders[taken] - self.size] = taken
        return slots

    def _compare(self, rows: Tensor) -> tuple[Tensor, float]:
        """Return max cos(g_i, G) of each row and max cos(g_B, G)."""
        buffer, held = self.buffer, len(self.holders)
        size = min(buffer.memory_batch_size, held)
        drawn = torch.randperm(held, generator=buffer.generator)[: size * buffer.memory_batches]
        sizes = [size] * (len(drawn) // size)
        if len(drawn) % size:
            sizes.append(len(drawn) % size)
        single, batch = buffer.gradients.against_groups(
            buffer, self.incoming, rows, self.holders[drawn], sizes
        )
        return single.amax(1), float(batch.max())

    def _append(self, rows: Tensor, scores: Tensor) -> None:
        self.holders = torch.cat((self.holders, rows + self.size))
        self.scores = torch.cat((self.scores, scores))
        self.row_scores[rows] = scores
        self.changed = True

    def _replace(self, rows: Tensor, scores: Tensor, batch: float) -> None:
        buffer = self.buffer
        if buffer.preset == "paper":
            able = torch.nonzero(scores < buffer.threshold).view(-1)
        else:
            able = torch.arange(len(rows) if batch < buffer.threshold else 0)
        able = able[: len(self.holders)]
        if len(able) == 0:
            return
        victims = buffer.draw_victims(self.scores, len(able))
        theirs, mine = self.scores[victims].double() + 1, scores[able].double() + 1
        chance = torch.where(theirs + mine > 0, theirs / (theirs + mine), 0.5)
        luck = torch.rand(len(able), dtype=torch.float64, generator=buffer.generator)
        wins = luck < chance
        slots, entering = victims[wins], able[wins]
        self.changed = self.changed or len(slots) > 0
        self.holders[slots] = rows[entering] + self.size
        self.scores[slots] = scores[entering]
        self.row_scores[rows[entering]] = scores[entering]


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if not any(
        value is choice or (isinstance(value, str) and value == choice) for choice in allowed
    ):
        listed = ", ".join(map(repr, allowed))
        raise ArgumentError(f"{name}: got {value!r}; one of {listed} is needed")
    return value


def _cosine(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
        raise ArgumentError(f"{name}: got {value!r}; a cosine from -1 to 1 is needed")
    return float(value)
