"""The candidates of one selection, and what is known of each of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clcore.checks import as_tensor, integer_column, require_finite, weight_column
from clcore.coreset import Cost
from clcore.errors import ArgumentError, SignalError
from clcore.probe.closed_forms import cross_entropy_gradients, last_layer_norms

if TYPE_CHECKING:
    from clcore.probe import Probe
    from clcore.probe.source import Source


_DERIVED = ("logit_gradients", "gradient_norms")


class Pool:
    """The candidates of one selection.

    Made from tensors, `Pool(features=x, labels=y)`, or from data and a probe,
    `Pool.of(dataset, probe)`, which computes signals when they are first asked for.

    Two signals follow from others and are derived when first asked for, unless they are given:
    `logit_gradients` = softmax(logits) − onehot(labels) from logits `[n, C]` and labels, and
    `gradient_norms` = ‖e‖·√(1 + ‖h‖²) from logit gradients e and features h.

    Arrays and tensors are taken as they are, without a copy: memory-mapped ones
    (`numpy.load(..., mmap_mode="r")`, `torch.from_file`, safetensors) stay on the disk.

    Args:
        features: `[n, ...]`: one row a candidate; more than two dimensions count as flattened.
        labels: Integers `[n]`.
        groups: Integers `[n]`: the task, source or domain of each row.
        weights: Numbers `[n]`, none negative: how much each row counts.
        **signals: Further signals `[n, ...]` by name, for example `logits` or `losses`.

    Raises:
        ArgumentError: If the rows do not agree, or a column is not what it should be.
        SignalError: If a signal holds NaN or infinity; names the signal and the first row.

    Example:
        >>> pool = Pool(features=torch.eye(3), labels=[0, 1, 1])
        >>> len(pool), pool.has("features"), pool.has("losses")
        (3, True, False)
    """

    def __init__(
        self,
        features: Any = None,
        *,
        labels: Any = None,
        groups: Any = None,
        weights: Any = None,
        **signals: Any,
    ) -> None:
        if features is not None:
            signals = {"features": features, **signals}
        self._signals = {name: _signal(name, values) for name, values in signals.items()}
        self._source: Source | None = None
        self._derived = Cost()
        size, device = self._agree()
        self._set_columns(size, device, labels=labels, groups=groups, weights=weights)

    @classmethod
    def of(
        cls,
        data: Any,
        probe: Probe,
        *,
        labels: Any = None,
        groups: Any = None,
        weights: Any = None,
        task: Any = None,
    ) -> Pool:
        """Make a pool whose signals are computed by a probe when first asked for.

        Args:
            data: Inputs as a tensor `[n, ...]`, or a dataset of `(x, y)` or `(x, y, t)` tuples.
            probe: Computes features, logits and losses.
            labels: Integers `[n]`; by default those of the dataset.
            groups: Integers `[n]`.
            weights: Numbers `[n]`.
            task: Integers `[n]` or one integer, handed to the model; by default the dataset's.

        Returns:
            A pool on the probe's device.

        Raises:
            ArgumentError: If the data or a column is not what it should be.
        """
        from clcore.probe.source import ProbeSource

        source = ProbeSource(data, probe, labels=labels, task=task)
        pool = cls.__new__(cls)
        pool._signals, pool._source, pool._derived = {}, source, Cost()
        pool._set_columns(
            len(source), source.device, labels=source.labels, groups=groups, weights=weights
        )
        return pool

    @classmethod
    def open(
        cls, folder: str | Path, *, labels: Any = None, groups: Any = None, weights: Any = None
    ) -> Pool:
        """Make a pool of signals that `Probe.write` left in a folder; they stay on the disk.

        A signal is mapped into memory, and checked block by block, when it is first asked for.

        Args:
            folder: Where they lie.
            labels: Integers `[n]`; by default those that were written.
            groups: Integers `[n]`.
            weights: Numbers `[n]`.

        Returns:
            A pool on the CPU.

        Raises:
            FormatError: If the folder holds no signals, or damaged or unfinished ones.
            ArgumentError: If a column is not what it should be.
        """
        from clcore.probe.storage import FolderSource

        source = FolderSource(Path(folder))
        pool = cls.__new__(cls)
        pool._signals, pool._source, pool._derived = {}, source, Cost()
        labels = source.column("labels") if labels is None else labels
        pool._set_columns(len(source), source.device, labels=labels, groups=groups, weights=weights)
        return pool

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        columns = [
            name for name in ("labels", "groups", "weights") if getattr(self, name) is not None
        ]
        return f"Pool({len(self)} rows, signals={list(self.names)}, columns={columns})"

    @property
    def labels(self) -> Tensor | None:
        """int64 `[n]`, or None."""
        return self._labels

    @property
    def groups(self) -> Tensor | None:
        """int64 `[n]`: task, source or domain; or None."""
        return self._groups

    @property
    def weights(self) -> Tensor | None:
        """Float `[n]`: how much each row counts; or None."""
        return self._weights

    @property
    def device(self) -> torch.device:
        """Where the signals lie, and where a selection's indices will."""
        return self._device

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that can be had, computed or not."""
        lazy = self._source.names if self._source else ()
        derived = [name for name in _DERIVED if self._derivable(name)]
        return tuple(dict.fromkeys((*self._signals, *derived, *lazy)))

    @property
    def cost(self) -> Cost:
        """What was spent so far on computing signals."""
        return self._derived + (self._source.cost if self._source else Cost())

    def has(self, name: str) -> bool:
        """Say whether a signal can be had, without computing it."""
        return name in self.names

    def signal(self, name: str) -> Tensor:
        """Return a signal, computing it if need be.

        Args:
            name: For example `"features"`, `"logits"` or `"losses"`.

        Returns:
            Tensor `[n, ...]`, finite, the same one each time.

        Raises:
            SignalError: If the pool has no such signal, or it holds NaN or infinity.
        """
        self.compute(name)
        return self._signals[name]

    def compute(self, *names: str) -> None:
        """Make sure that these signals are there; all that are missing share one pass.

        What follows from signals that are there already is derived without a pass.

        Args:
            *names: Signals to compute.

        Raises:
            SignalError: If the pool has no such signal, or one holds NaN or infinity.
            ArgumentError: If a label is no column of the logits that gradients are derived from.
        """
        missing = [name for name in names if name not in self._signals]
        unknown = [name for name in missing if not self.has(name)]
        if unknown:
            raise SignalError(
                f"this pool has no signal {unknown[0]!r}; it has {', '.join(self.names) or 'none'}"
            )
        passed = [name for name in missing if not self._derivable(name)]
        if passed and self._source is not None:
            self._keep(self._source.compute(passed))
        started = time.perf_counter()
        derived = [name for name in missing if name not in self._signals]
        for name in derived:
            self._derive(name)
        if derived:
            self._derived = self._derived + Cost(seconds=time.perf_counter() - started)

    def subset(self, indices: Any) -> Pool:
        """Make a pool of some of the rows; signals not computed yet stay lazy.

        Args:
            indices: Integers `[m]`: rows of this pool, in the order wanted.

        Returns:
            A pool of `m` rows: row `j` is row `indices[j]` of this one.

        Raises:
            ArgumentError: If an index is out of range.
        """
        rows = row_indices("indices", indices, len(self), self.device)
        part = type(self).__new__(type(self))
        part._signals = {name: values[rows] for name, values in self._signals.items()}
        part._source = self._source.subset(rows) if self._source else None
        part._derived = Cost()
        part._size, part._device = len(rows), self._device
        part._labels = None if self._labels is None else self._labels[rows]
        part._groups = None if self._groups is None else self._groups[rows]
        part._weights = None if self._weights is None else self._weights[rows]
        return part

    def _derivable(self, name: str) -> bool:
        """Say whether a signal follows from those that are there, without a pass."""
        if name == "logit_gradients":
            logits, source = self._signals.get("logits"), self._source
            entropy = source is None or source.cross_entropy
            return entropy and logits is not None and logits.ndim == 2 and self._labels is not None
        if name == "gradient_norms":
            errors = "logit_gradients" in self._signals or self._derivable("logit_gradients")
            last = self._source is None or self._source.last_layer
            return last and errors and "features" in self._signals
        return False

    def _derive(self, name: str) -> None:
        if name == "gradient_norms":
            if "logit_gradients" not in self._signals:
                self._derive("logit_gradients")
            errors, features = self._signals["logit_gradients"], self._signals["features"]
            self._keep({name: last_layer_norms(errors, features)})
        elif self._labels is not None:
            logits = self._signals["logits"]
            self._keep({name: cross_entropy_gradients(logits, self._labels)})

    def _keep(self, computed: dict[str, Tensor]) -> None:
        for name, values in computed.items():
            require_finite(name, values)
        self._signals.update(computed)

    def _agree(self) -> tuple[int | None, torch.device | None]:
        """Return the size and the device on which all given signals agree."""
        size, device, first = None, None, ""
        for name, values in self._signals.items():
            if size is None:
                size, device, first = len(values), values.device, name
            if len(values) != size:
                raise ArgumentError(
                    f"signal {name!r} has {len(values)} rows where {first!r} has {size}"
                )
            if values.device != device:
                raise ArgumentError(
                    f"signal {name!r} is on {values.device} where {first!r} is on {device}"
                )
        return size, device

    def _set_columns(self, size: int | None, device: torch.device | None, **given: Any) -> None:
        """Check labels, groups and weights, and settle size and device."""
        columns: dict[str, Tensor | None] = {}
        for name, values in given.items():
            columns[name] = None
            if values is not None:
                check = weight_column if name == "weights" else integer_column
                columns[name] = column = check(name, values, size)
                size, device = len(column), device or column.device
        if size is None:
            raise ArgumentError("a pool needs at least one signal or column, such as features=")
        self._size, self._device = size, device or torch.device("cpu")
        # Labels often stay on the CPU while the features are on a GPU: bring them together.
        moved = {k: None if v is None else v.to(self._device) for k, v in columns.items()}
        self._labels, self._groups = moved["labels"], moved["groups"]
        self._weights = moved["weights"]


def row_indices(name: str, indices: Any, rows: int, device: torch.device) -> Tensor:
    """Check row numbers.

    Args:
        name: The argument's name, for the message.
        indices: Integers `[m]`, tensor or sequence; may be empty.
        rows: How many rows there are.
        device: Where the answer shall lie.

    Returns:
        int64 tensor `[m]`.

    Raises:
        ArgumentError: If an index is not an integer or out of range.
    """
    if not isinstance(indices, Tensor) and len(indices) == 0:
        return torch.empty(0, dtype=torch.int64, device=device)
    column = integer_column(name, indices, None).to(device)
    if len(column) and not 0 <= int(column.min()) <= int(column.max()) < rows:
        bad = column[(column < 0) | (column >= rows)][0].item()
        raise ArgumentError(f"{name} holds {bad}, which is not one of the rows 0 to {rows - 1}")
    return column


def _signal(name: str, values: Any) -> Tensor:
    """Turn one given signal into a checked tensor."""
    if isinstance(values, Mapping):
        raise ArgumentError(f"signal {name!r} must be a tensor with one row a candidate")
    tensor = as_tensor(f"signal {name!r}", values)
    if tensor.ndim == 0:
        raise ArgumentError(
            f"signal {name!r} must have one row a candidate, not be a single number"
        )
    tensor = tensor.detach()
    require_finite(name, tensor)
    return tensor
