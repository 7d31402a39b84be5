"""Which rows: one selection, from data and a model to a coreset.

The selector's signals are computed by the probe when they are needed, and not at all where they are
given (`signals=`) or recorded while training (forgetting events). What does not depend on the
model is chosen once.
"""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch

from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.pool import Pool
from clcore.probe import Probe
from clcore.recorder import TrainingRecorder
from clcore.selection import count_of, select
from clcore.selector import Selector
from clcore.selectors import registry
from clcore.within import SIGNALS, select_within
from strategies.offline.data import TrainingData

RECORDED = ("forgetting_events", "loss_trajectories")
"""Signals that come from training itself."""

_TOLERANCE = 0.02
"""By what share more rows than needed may be chosen, where the selector is not greedy."""

_EVEN = ("herding", "kernel-herding")
"""Selectors that give every class as many picks, whatever its size."""


class Choice:
    """How rows are chosen.

    Args:
        selector: A registered name or a selector.
        fraction: How many: a share, a percentage as text, or a whole number.
        data: What to choose from.
        probe: Computes the signals.
        per_class: True: every class gets its share; False: one choice over all rows; None: as the
            selector does by itself.
        validation: Rows whose loss counts, for selectors with an option `validation`; or None.
        signals: Signals that do not depend on the model, `[n, ...]` by name.
        error: Choose as few rows as keep this relative error (see `select_within`), in place of
            the fraction; or None.

    Attributes:
        selector: The selector.
        k: How many rows are chosen; None where that goes by the error.

    Raises:
        UnknownNameError: There is no such selector.
        ArgumentError: The selector can't be used so, or the fraction leaves a class empty.
    """

    def __init__(
        self,
        selector: str | Selector,
        fraction: int | float | str,
        data: TrainingData,
        probe: Probe,
        *,
        per_class: bool | None = None,
        validation: TrainingData | None = None,
        signals: Mapping[str, Any] | None = None,
        error: float | None = None,
    ) -> None:
        self.data, self.probe, self.validation = data, probe, validation
        self.signals = dict(signals or {})
        self.selector = _with_scope(_made(selector), per_class)
        if validation is not None and not _has(self.selector, "validation"):
            raise ArgumentError(
                f"validation: {self.selector.name} has no use for validation rows; glister, "
                "gradmatch and gradmatch-per-batch have"
            )
        self.error = _checked_error(error)
        self.k = None if error is not None else _count(fraction, len(data))
        by_class = per_class or bool(getattr(self.selector, "per_label", False))
        self.quotas = self._quotas(per_class)
        if self.k is not None:
            self._require_classes(self.k, by_class)
        self._fixed = self._fixed_pool()
        self._told = False

    @property
    def records(self) -> bool:
        """Whether the selector reads what training records."""
        return any(name in RECORDED and name not in self.signals for name in self._needed())

    @property
    def depends_on_model(self) -> bool:
        """Whether another model may mean other rows."""
        return self._fixed is None

    @property
    def once(self) -> bool:
        """Whether choosing again would give the same rows."""
        return self._fixed is not None and not self.selector.randomised

    def pool(self, recorder: TrainingRecorder | None = None) -> Pool:
        """Make the pool of a selection, with lazy signals of the model as it is now.

        Args:
            recorder: What training showed, where the selector reads it.

        Returns:
            The same pool each time where nothing depends on the model.
        """
        if self._fixed is not None:
            return self._fixed
        known = {**self.signals, **(recorder.signals() if recorder is not None else {})}
        if not any(name in known for name in self._needed()):
            return self.model_pool()
        wanted = [name for name in self._needed() if name not in known]
        computed = {}
        if wanted:
            computed = self.probe.signals(wanted, self.data.for_probe, self.data.labels)
        device = self.probe.device if wanted else None
        moved = {k: torch.as_tensor(v).to(device) for k, v in known.items()}
        return Pool(**moved, **computed, labels=self.data.labels)

    def model_pool(self) -> Pool:
        """Make a pool whose signals are those of the model as it is now, computed when read."""
        return Pool.of(self.data.for_probe, self.probe, labels=self.data.labels)

    def choose(self, pool: Pool, generator: torch.Generator) -> Coreset:
        """Choose rows.

        Args:
            pool: What `pool` made.
            generator: Randomness of the selector.

        Returns:
            The coreset, on the CPU.
        """
        selector = self._with_validation()
        if self.k is not None:
            coreset = select(selector, pool, self.k, generator=generator, quotas=self.quotas)
        else:
            coreset = select_within(
                selector,
                pool,
                self.error or 0.0,
                measured=self._measured,
                tolerance=_TOLERANCE,
                generator=generator,
            )
        coreset = replace(
            coreset,
            indices=coreset.indices.cpu(),
            weights=coreset.weights.cpu(),
            gains=coreset.gains.cpu(),
        )
        self._tell_of_empty_classes(coreset)
        return coreset

    def _needed(self) -> tuple[str, ...]:
        """Signals that the selector reads, and those that an error is measured in."""
        measured = () if self.error is None else SIGNALS[self._measured]
        return tuple(dict.fromkeys((*self.selector.signals, *measured)))

    @property
    def _measured(self) -> str:
        """Which gradients an error is of: the selector's, else those for the logits."""
        own = str(getattr(self.selector, "gradients", "")).replace("-", "_")
        return own if own in SIGNALS else "features" if self.data.labels is None else "logits"

    def _fixed_pool(self) -> Pool | None:
        if _has(self.selector, "validation") or any(n not in self.signals for n in self._needed()):
            return None
        kept = {name: torch.as_tensor(values) for name, values in self.signals.items()}
        for name, values in kept.items():
            if values.ndim == 0 or len(values) != len(self.data):
                raise ArgumentError(
                    f"signals: {name!r} has shape {tuple(values.shape)} for {len(self.data)} rows"
                )
        if not kept and self.data.labels is None:
            kept = {"rows": torch.arange(len(self.data))}
        return Pool(**kept, labels=self.data.labels)

    def _with_validation(self) -> Selector:
        if self.validation is None:
            return self.selector
        validation = Pool.of(self.validation.for_probe, self.probe, labels=self.validation.labels)
        options: dict[str, Any] = {"validation": validation}
        return replace(self.selector, **options)

    def _quotas(self, per_class: bool | None) -> dict[int, int] | None:
        """Share `k` out by class for a selector that does not go by class itself."""
        if not per_class:
            return None
        if self.data.labels is None:
            raise ArgumentError("per_class: the targets of data are no class labels")
        if _has(self.selector, "per_label"):
            return None
        if self.k is None:
            raise ArgumentError(
                f"error: {self.selector.name} has no per_label, and shares by class need a fraction"
            )
        classes, sizes = torch.unique(self.data.labels, return_counts=True)
        counts = dict.fromkeys(classes.tolist(), 0)
        for label in turns(dict(zip(classes.tolist(), sizes.tolist(), strict=True)), self.k):
            counts[label] += 1
        return counts

    def _require_classes(self, k: int, by_class: bool) -> None:
        if self.data.labels is None:
            return
        classes, sizes = torch.unique(self.data.labels, return_counts=True)
        share = dict(zip(classes.tolist(), sizes.tolist(), strict=True))
        by_class = by_class and self.selector.name not in _EVEN
        # Which rows a free choice takes is not known yet; fewer than classes can't reach them all.
        reached = set(share) if k >= len(share) else set()
        if by_class:
            reached = set(turns(share, k))
        empty = [label for label in share if label not in reached]
        if not empty:
            return
        if by_class:
            missing, needed = set(share), 0
            for needed, label in enumerate(turns(share, len(self.data)), start=1):  # noqa: B007
                missing.discard(label)
                if not missing:
                    break
            which = f"leaves class {_listed(empty)} empty"
            other = "; or choose over all rows with per_class=False"
        else:
            needed, other = len(share), ""
            which = f"can't hold a row of each of the {len(share)} classes"
        raise ArgumentError(
            f"fraction: {k} of {len(self.data)} rows {which}; at least {needed} rows are "
            f"needed (a share of {needed / len(self.data):.2g}){other}"
        )

    def _tell_of_empty_classes(self, coreset: Coreset) -> None:
        labels = self.data.labels
        if labels is None or self._told:
            return
        reached = torch.unique(labels[coreset.indices])
        if len(reached) == len(classes := torch.unique(labels)):
            return
        empty = [label for label in classes.tolist() if label not in set(reached.tolist())]
        self._told = True
        warnings.warn(
            f"{self.selector.name} chose no row of class {_listed(empty)}: a model trained on the "
            "coreset will not learn it. per_class=True gives every class its share",
            stacklevel=2,
        )


def _count(fraction: int | float | str, rows: int) -> int:
    try:
        k = count_of(fraction, rows)
    except ArgumentError as error:
        raise ArgumentError(f"fraction: {error}") from None
    if not 1 <= k <= rows:
        raise ArgumentError(f"fraction must give 1 to {rows} rows, and {fraction!r} gives {k}")
    return k


def _checked_error(error: float | None) -> float | None:
    number = isinstance(error, int | float) and not isinstance(error, bool)
    if error is not None and not (number and 0 < error < float("inf")):
        raise ArgumentError(f"error must be a finite number above 0, not {error!r}")
    return error


def turns(sizes: Mapping[int, float], k: int) -> list[int]:
    """Give out `k` turns in proportion to sizes, one at a time (Webster and Sainte-Laguë).

    Args:
        sizes: Rows by class: none gets more turns than it has rows.
        k: Turns to give.

    Returns:
        The classes in turn; fewer where there are fewer rows.

    Example:
        >>> turns({3: 6, 5: 3}, 3)
        [3, 5, 3]
    """
    due = [(-float(size), place, label, 0) for place, (label, size) in enumerate(sizes.items())]
    heapq.heapify(due)
    given: list[int] = []
    while due and len(given) < k:
        _, place, label, count = heapq.heappop(due)
        given.append(label)
        if count + 1 < sizes[label]:
            heapq.heappush(due, (-sizes[label] / (2 * count + 3), place, label, count + 1))
    return given


def _made(selector: Any) -> Selector:
    if isinstance(selector, str):
        return registry.create(selector)
    if not isinstance(selector, Selector):
        raise ArgumentError(f"selector must be a name or a Selector, not {selector!r}")
    return selector


def _with_scope(selector: Selector, per_class: bool | None) -> Selector:
    if per_class is None or not _has(selector, "per_label"):
        return selector
    options: dict[str, Any] = {"per_label": per_class}
    return replace(selector, **options)


def _has(selector: Selector, option: str) -> bool:
    return any(field.name == option for field in fields(selector))


def _listed(labels: list[int]) -> str:
    shown = ", ".join(map(str, labels[:10]))
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more"
