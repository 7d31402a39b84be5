"""Online k-means memory (ER-k-means): one exemplar near each of K running centroids a class.

Source: Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning", section 4.1.
Every class has K centroids in feature space, each with one exemplar. A new row of the class with
features φ goes to its nearest centroid j,

    n_j ← n_j + 1,   c_j ← c_j + (φ − c_j) / n_j,

and takes the exemplar's place if φ is nearer to c_j than the exemplar is. The first rows of a class
become its centroids.

Defaults: `total_classes=None`: K follows from the classes seen. While a slot is free each row
begins a centroid; then a row of a class that has at least two fewer than the largest begins one in
a slot that the largest class gives up, the one with the fewest rows n_j. Every class ends with an
even share and the memory is filled as soon as it can be. With `total_classes` K = M / C is fixed as
in the paper: slots of classes not seen yet stay empty, what M / C leaves over goes to the first
classes, and one class more is an error. Shrinking the budget keeps the centroids with the most
rows.

Centroids and the exemplars' features are not recomputed when the model changes (the paper ignores
this too). Each exemplar costs twice its features' size beside its sample; that is counted in
`nbytes` and in `max_bytes`.

Rows are taken in order, exactly, but not with K distance computations each: for a block of rows of
one class the products with all centroids and with each other are two matrix products, and after a
row has moved centroid j only the block's products with j change, by a column of the second. The
cost is O(n (K + b) d) in matrix products for n rows in blocks of b, and O(n (K + b + d)) beside
them. How the stream is cut into batches matters only through the rounding of centroids to float32
in between. Of two equally near rows the exemplar stays (any two are, in a cluster of two).

Expected: Chaudhry et al. report it level with a ring buffer, ahead of a reservoir at 1 to 3
exemplars a class and behind at 13. See `docs/benchmarks.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from buffers.balanced_reservoir import slots_of
from buffers.base import Buffer
from buffers.centroids import Clusters
from buffers.incoming import Incoming, Transform
from buffers.members import Members, MembersCache
from buffers.signals import SignalSource
from clcore import Probe
from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.quotas import fair_shares


class KMeansBuffer(Buffer):
    """Keeps one exemplar near each of the online k-means centroids of its class.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        total_classes: How many classes there will be; None if that isn't known.
        probe: Computes the features; without one they are taken from a column `features` given
            to `add`, or from the model of the strategy in `post_adapt`.
        features: `"input"` to use the samples themselves, flattened, as features.

    Raises:
        ArgumentError: An option is not one of those allowed, or there are more classes than slots.

    Example:
        >>> buffer = KMeansBuffer(20, features="input")
        >>> _ = buffer.add(torch.rand(500, 8), torch.arange(500) % 5)
        >>> buffer.class_counts()
        {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}
    """

    owned_columns: ClassVar[tuple[str, ...]] = ("features", "centroid", "members")

    def __init__(
        self,
        max_size: int | None = None,
        *,
        total_classes: int | None = None,
        probe: Probe | None = None,
        features: Literal["input"] | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            max_size, max_bytes=max_bytes, seed=seed, device=device, transform=transform
        )
        if total_classes is not None:
            total_classes = whole_number("total_classes", total_classes, least=1)
            if max_size is not None and total_classes > max_size:
                raise ArgumentError(
                    f"total_classes: got {total_classes}, more than the {max_size} exemplars"
                )
        self.total_classes = total_classes
        self.source = SignalSource(probe, features)
        self._known: list[int] = []  # classes in the order in which they came
        self._cache = MembersCache()

    def _admit(self, incoming: Incoming) -> Tensor:
        for name in ("centroid", "members"):
            if name in incoming.columns:
                raise ArgumentError(f"{name}: {type(self).__name__} writes this column itself")
        labels = incoming.y.tolist()
        known = list(dict.fromkeys([*self._known, *labels]))
        if self.total_classes is not None and len(known) > self.total_classes:
            raise ArgumentError(
                f"y: class {known[self.total_classes]} is one more than the "
                f"{self.total_classes} announced by total_classes"
            )
        self._read_features(incoming)
        store = self.store
        held_features = store.extra.get("features")
        features = incoming.columns["features"]
        if held_features is not None and held_features.shape[1:] != features.shape[1:]:
            raise ArgumentError(
                f"features: rows are {tuple(features.shape[1:])}, but this buffer holds "
                f"{tuple(held_features.shape[1:])}"
            )
        self._known = known
        members = self._cache.of(store)
        clusters = Clusters(store, features)
        self._cluster(labels, members, clusters)
        self._cache.keep(store, members, store.version + (1 if clusters.held else 0))
        clusters.finish()
        return slots_of(clusters.held, len(labels))

    def _cluster(self, labels: list[int], members: Members, clusters: Clusters) -> None:
        """Take the rows in order; those that only move centroids wait to be taken together."""
        capacity = self.store.capacity
        limits = self._limits()
        sizes = {label: members.count(label) for label in self._known}
        most = max(sizes.values())
        waiting: dict[int, list[int]] = {label: [] for label in sizes}

        def settle(label: int) -> None:
            rows, waiting[label] = waiting[label], []
            clusters.move(members.slots.get(label, []), rows)

        for row, label in enumerate(labels):
            size = sizes[label]
            if len(members) < capacity and size < limits.get(label, capacity):
                settle(label)
                clusters.begin(members.append(label), row)
            elif self.total_classes is None and size + 2 <= most:
                largest = min(other for other, count in sizes.items() if count == most)
                settle(label)
                settle(largest)
                slot = clusters.fewest(members.slots[largest])
                members.replace(slot, label)
                clusters.begin(slot, row)
                sizes[largest] -= 1
                most = 0  # found anew below
            else:
                if size:
                    waiting[label].append(row)
                continue
            sizes[label] = size + 1
            most = max(most, size + 1) if most else max(sizes.values())
        for label in waiting:
            settle(label)

    def _limits(self) -> dict[int, int]:
        """The most exemplars of each class, where that is fixed."""
        if self.total_classes is None:
            return {}
        capacity = self.store.capacity
        shares = fair_shares(capacity, [capacity] * self.total_classes)
        return dict(zip(self._known, shares, strict=False))

    def _read_features(self, incoming: Incoming) -> None:
        if "features" not in incoming.columns:
            none = torch.empty(0, dtype=torch.int64)
            everything = torch.arange(len(incoming))
            signals = self.source.read(["features"], self, incoming, none, everything)
            incoming.columns["features"] = signals["features"].detach().cpu()
        else:
            self.source.check(incoming.columns["features"])

    def _open_store(self, incoming: Incoming) -> None:
        self._read_features(incoming)
        width = incoming.columns["features"][0].numel()
        incoming.columns["centroid"] = torch.zeros(1, width)
        super()._open_store(incoming)
        del incoming.columns["centroid"]

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        store = self.store
        y, counts = store.y.cpu(), store.extra["members"][: store.size].cpu()
        classes, sizes = torch.unique(y, return_counts=True)
        if self.total_classes is not None:
            shares = fair_shares(new_size, [new_size] * self.total_classes)
            limits = dict(zip(self._known, shares, strict=False))
            sizes = torch.tensor(
                [min(limits[c], s) for c, s in zip(classes.tolist(), sizes.tolist(), strict=True)]
            )
        kept: list[Tensor] = []
        shares = fair_shares(new_size, sizes.tolist())
        for label, share in zip(classes.tolist(), shares, strict=True):
            rows = torch.nonzero(y == label).view(-1)
            kept.append(rows[counts[rows].argsort(descending=True, stable=True)][:share])
        return torch.cat(kept).sort().values

    def _rule_state(self) -> dict[str, Any]:
        return {"known": torch.tensor(self._known, dtype=torch.int64)}

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        self._known = state["known"].tolist()
