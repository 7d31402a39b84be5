"""Loss-aware reservoir sampling (LARS): what the model has learned already gives way.

Source: Buzzega, Boschini, Porrello and Calderara 2020, "Rethinking Experience Replay: a Bag of
Tricks for Continual Learning", the trick "loss-aware reservoir sampling". Row number n (from 0) is
stored if a slot is free; else j is drawn uniformly from {0, …, n} and the row is admitted if j < M.
It overwrites exemplar i with probability

    P(i) = (q_i − min q) / Σ_j (q_j − min q)

by a score q that falls with the exemplar's stored loss ℓ_i: q_i = −ℓ_i, or, balanced (LABRS),

    q_i = m_i − (mean m / mean |ℓ|) ℓ_i,    m_i exemplars held of the class of i,

which puts both on one scale. If all scores are equal every exemplar is equally likely.

Defaults: `balanced=False`; the cross-entropy in evaluation mode for the loss of each admitted row;
`refresh="drawn"`: losses of exemplars that were read by `sample` since are computed anew, in one
pass with those of the admitted rows, before exemplars are chosen to go. `refresh="all"` computes
them anew for the whole memory (for memories that are updated once an experience, or read by
Avalanche's `ReplayPlugin`, which doesn't say what it replays), None never. Rows that are not
admitted cost no pass. Where losses are given (`add(x, y, losses=...)`) they are stored and no model
is asked; pass newer ones for stored rows to `update_losses`. Shrinking the budget draws those that
go by the same rule.

Differs from reference codes: the authors' (and Mammoth's) draw j from {0, …, n − 1} before the row
is counted, which admits too many; scale the loss by 1 / (mean m · mean |ℓ|), so that the balance
decides nearly alone wherever classes differ in size; and take losses from the training step, in
training mode and with augmentation.

Takes one draw and O(M) operations for each admitted row, about M/n of the rows.

Expected: wrong labels have large losses and stay, so prefer `BalancedReservoirBuffer` where there
are many. On scikit-learn's digits (as in `buffers/aser.py`) 78 % where a reservoir has 74. CPU time
of an online step, setting as there, with two rows admitted on average: 3.7 ms, plain replay 1.1; a
step that admits none 1.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from buffers.balanced_reservoir import slots_of
from buffers.base import Buffer
from buffers.exemplars import Exemplars
from buffers.incoming import Incoming, Transform
from buffers.retrieval import Retrieval
from buffers.retrieval._drawing import untouched_on_error
from buffers.signals import SignalSource
from clcore import Probe
from clcore.checks import require_finite
from clcore.errors import ArgumentError

_REFRESH = ("drawn", "all", None)


class LossAwareReservoirBuffer(Buffer):
    """Admits as a reservoir does and overwrites exemplars of small loss.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        balanced: Whether exemplars of classes that have many go sooner, too.
        refresh: Which stored losses are computed anew when rows are admitted: those of exemplars
            `"drawn"` since, `"all"`, or None.
        probe: Computes the losses; without one they are taken from a column `losses` given to
            `add`, or from the model of the strategy in `post_adapt`.

    Raises:
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> buffer = LossAwareReservoirBuffer(50)
        >>> _ = buffer.add(torch.rand(400, 8), torch.arange(400) % 5, losses=torch.rand(400))
        >>> float(buffer.store.extra["losses"].mean()) > 0.55
        True
    """

    owned_columns: ClassVar[tuple[str, ...]] = ("losses",)

    def __init__(
        self,
        max_size: int | None = None,
        *,
        balanced: bool = False,
        refresh: Literal["drawn", "all"] | None = "drawn",
        probe: Probe | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            max_size, max_bytes=max_bytes, seed=seed, device=device, transform=transform
        )
        if not isinstance(balanced, bool):
            raise ArgumentError(f"balanced: got {balanced!r}; True or False is needed")
        if refresh not in _REFRESH:
            raise ArgumentError(f"refresh: got {refresh!r}; 'drawn', 'all' or None is allowed")
        self.balanced = balanced
        self.refresh = refresh
        self.source = SignalSource(probe)
        self._drawn = torch.empty(0, dtype=torch.bool)  # rows read since their loss was computed

    def sample(self, n: int, retrieval: str | Retrieval = "uniform", **context: Any) -> Exemplars:
        """Draw exemplars; see `Memory.sample`."""
        drawn = super().sample(n, retrieval, **context)
        if self.refresh == "drawn":
            self._mark(drawn.index.cpu())
        return drawn

    def update_losses(self, rows: Tensor, losses: Tensor) -> None:
        """Store newer losses of exemplars, for instance those of the training step.

        Args:
            rows: Rows of the store, `[m]` int64, as `Exemplars.index` gives them.
            losses: `[m]`, finite.

        Raises:
            ArgumentError: The parts don't fit, or a row is not in use.
            SignalError: A loss is NaN or infinite.
        """
        if rows.ndim != 1 or rows.shape != losses.shape or rows.dtype != torch.int64:
            raise ArgumentError(
                f"rows, losses: got {rows.dtype} {tuple(rows.shape)} and {tuple(losses.shape)}; "
                "int64 rows [m] and as many losses are needed"
            )
        if len(rows) == 0:
            return
        if int(rows.min()) < 0 or int(rows.max()) >= len(self):
            raise ArgumentError(
                f"rows: from {int(rows.min())} to {int(rows.max())}, but {len(self)} are held"
            )
        require_finite("losses", losses)
        self._put_losses(rows.cpu(), losses.detach())

    def _admit(self, incoming: Incoming) -> Tensor:
        self._check_losses(incoming)
        with untouched_on_error(self.generator):
            return self._draw_slots(incoming)

    def _draw_slots(self, incoming: Incoming) -> Tensor:
        store = self.store
        n, free = len(incoming), min(len(incoming), store.capacity - store.size)
        # One row of two numbers for each sample, so the cut into batches changes no admission.
        uniform = torch.rand((n - free, 2), dtype=torch.float64, generator=self.generator)
        number = torch.arange(self.seen + free + 1, self.seen + n + 1)
        admitted = torch.nonzero(uniform[:, 0] * number < store.capacity).view(-1)
        rows = torch.cat((torch.arange(free), admitted + free))
        if len(rows) == 0:
            return torch.full((n,), -1)
        self._read_losses(incoming, rows, overwrites=len(admitted) > 0)
        given = incoming.columns["losses"]
        slots = dict(zip(range(store.size, store.size + free), range(free), strict=True))
        if len(admitted):
            held = store.extra.get("losses", given)[: store.size].double().cpu()
            scores = _Scores(
                torch.cat((held, given[:free].double().cpu())),
                torch.cat((store.y.cpu(), incoming.y[:free])),
                self.balanced,
            )
            late = rows[free:]
            losses, labels = given[late.to(given.device)].tolist(), incoming.y[late].tolist()
            draws = uniform[admitted, 1].tolist()
            for row, loss, label, draw in zip(late.tolist(), losses, labels, draws, strict=True):
                slot = scores.victim(draw)
                scores.replace(slot, loss, label)
                slots[slot] = row
        self._mark(torch.tensor(list(slots)), False)
        return slots_of(slots, n)

    def _check_losses(self, incoming: Incoming) -> None:
        losses = incoming.columns.get("losses")
        if losses is None:
            if self.source.probe is None and not hasattr(incoming.agent, "model"):
                none = torch.empty(0, dtype=torch.int64)
                self.source.read(["losses"], self, incoming, none, none)  # says what to give
            return
        if losses.ndim != 1 or not losses.is_floating_point():
            raise ArgumentError(
                f"losses: got {losses.dtype} {tuple(losses.shape)}; one float for each row is "
                "needed"
            )
        self.source.check(losses, "losses")

    def _read_losses(self, incoming: Incoming, rows: Tensor, *, overwrites: bool) -> None:
        """Give the admitted rows their losses, and the stored ones newer ones where due."""
        if "losses" in incoming.columns:
            return
        stored = torch.empty(0, dtype=torch.int64)
        if overwrites and self.refresh == "all":
            stored = torch.arange(len(self))
        elif overwrites and self.refresh == "drawn":
            stored = torch.nonzero(self._drawn).view(-1)
        losses = self.source.read(["losses"], self, incoming, stored, rows)["losses"]
        losses = losses.detach().float().cpu()
        column = torch.zeros(len(incoming))
        column[rows] = losses[len(stored) :]
        incoming.columns["losses"] = column
        if len(stored):
            self._put_losses(stored, losses[: len(stored)])

    def _put_losses(self, rows: Tensor, losses: Tensor) -> None:
        column = self.store.extra["losses"]
        column[rows.to(column.device)] = losses.to(column.device, column.dtype)
        self.store.version += 1
        self._mark(rows, False)

    def _mark(self, rows: Tensor, drawn: bool = True) -> None:
        size = int(rows.max()) + 1
        if size > len(self._drawn):
            new = torch.zeros(size - len(self._drawn), dtype=torch.bool)
            self._drawn = torch.cat((self._drawn, new))
        self._drawn[rows] = drawn

    def _open_store(self, incoming: Incoming) -> None:
        # A loss is a float; the base class would count an integer.
        given = incoming.columns.get("losses")
        incoming.columns["losses"] = torch.zeros(1) if given is None else given
        super()._open_store(incoming)
        if given is None:
            del incoming.columns["losses"]

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        store = self.store
        losses = store.extra["losses"][: store.size].double().cpu()
        left = torch.arange(store.size)
        y = store.y.cpu()
        for draw in torch.rand(
            store.size - new_size, dtype=torch.float64, generator=self.generator
        ).tolist():
            gone = _Scores(losses[left], y[left], self.balanced).victim(draw)
            left = torch.cat((left[:gone], left[gone + 1 :]))
        drawn = torch.zeros(store.size, dtype=torch.bool)
        drawn[: len(self._drawn)] = self._drawn
        self._drawn = drawn[left]
        return left

    def _rule_state(self) -> dict[str, Any]:
        return {"drawn": self._drawn.clone()}

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        self._drawn = state["drawn"].clone()


class _Scores:
    """Which exemplar goes; the losses and classes as they are after each exchange."""

    def __init__(self, losses: Tensor, labels: Tensor, balanced: bool) -> None:
        self.losses, self.balanced = losses.clone(), balanced
        self.labels = labels.clone()

    def victim(self, draw: float) -> int:
        """The slot that a uniform number in [0, 1) hits."""
        scores = -self.losses
        if self.balanced:
            _, of_class, counts = torch.unique(self.labels, return_inverse=True, return_counts=True)
            members = counts[of_class].double()
            size = float(self.losses.abs().mean())
            scale = float(members.mean()) / size if size > 0 else 0.0
            scores = members - scale * self.losses
        scores -= scores.min()
        total = scores.cumsum(0)
        whole = float(total[-1])
        if whole <= 0:
            return int(draw * len(scores))
        # The first whose cumulated score reaches a number in (0, whole]: never one of score 0.
        return int(torch.searchsorted(total, (1 - draw) * whole))

    def replace(self, slot: int, loss: float, label: int) -> None:
        """Put a new exemplar into a slot."""
        self.losses[slot], self.labels[slot] = loss, label
