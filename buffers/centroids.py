"""Running centroids and the exemplars nearest to them, while a batch is taken in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from buffers.store import ExemplarStore

_Single = NDArray[np.float32]
_Double = NDArray[np.float64]
_Index = NDArray[np.int64]

# Rows whose products are computed together; the products of the rows with each other grow with it.
_BLOCK = 256

# A row is nearer only if it is so by more than rounding: of the two rows of a cluster both are
# equally near to its centroid, and the exemplar stays.
_NEARER = 1 - 1e-5


class Clusters:
    """The clusters of a store, one a slot, in its columns `centroid` and `members`.

    Centroids are kept in single precision; within a block of rows their moves add up in double.

    Args:
        store: Holds the exemplars' `features`; the two columns are made if it lacks them.
        features: Of the batch, `[n, ...]`; flattened to d numbers.

    Attributes:
        held: The row of the batch that each slot holds now, where it isn't a stored one.
    """

    def __init__(self, store: ExemplarStore, features: Tensor) -> None:
        self._rows = _matrix(features)
        if "centroid" not in store.extra:
            shape = (store.capacity, self._rows.shape[1])
            store.extra["centroid"] = torch.zeros(shape, device=store.device)
            store.extra["members"] = torch.zeros(
                store.capacity, dtype=torch.int64, device=store.device
            )
        self._store = store
        # Views of the columns on the CPU, copies elsewhere.
        self._centroid: _Single = store.extra["centroid"].cpu().numpy()
        self._count: _Index = store.extra["members"].cpu().numpy()
        self.held: dict[int, int] = {}

    def begin(self, slot: int, row: int) -> None:
        """Begin a cluster in a slot, at a row."""
        self._centroid[slot] = self._rows[row]
        self._count[slot] = 1
        self.held[slot] = row

    def fewest(self, slots: Sequence[int]) -> int:
        """The slot whose cluster has the fewest rows; the lowest of several."""
        ordered = np.sort(np.asarray(slots))
        return int(ordered[self._count[ordered].argmin()])

    def move(self, slots: Sequence[int], rows: Sequence[int]) -> None:
        """Take rows of one class, in order, into the nearest of its clusters.

        Args:
            slots: Its clusters.
            rows: Rows of the batch.
        """
        if not rows:
            return
        clusters = np.sort(np.asarray(slots))
        for start in range(0, len(rows), _BLOCK):
            self._move_block(clusters, np.asarray(rows[start : start + _BLOCK]))

    def finish(self) -> None:
        """Write the columns back where they are not on the CPU."""
        if self._store.device.type != "cpu":
            self._store.extra["centroid"].copy_(torch.from_numpy(self._centroid))
            self._store.extra["members"].copy_(torch.from_numpy(self._count))

    def _move_block(self, slots: _Index, rows: _Index) -> None:
        centroids = self._centroid[slots]
        # Seen from the middle of the class: single precision is then enough for the products.
        middle = centroids.mean(axis=0)
        centroids -= middle
        x = self._rows[rows] - middle
        counts = self._count[slots].astype(np.float64)
        # With the sums s_j = n_j c_j a move only adds: ⟨φ_i, s_j⟩ is kept right for the rows to
        # come, and ‖φ − c_j‖² less ‖φ‖² is ‖s_j‖² / n_j² − 2 ⟨φ, s_j⟩ / n_j.
        with_sums = (x @ centroids.T).astype(np.float64) * counts
        with_rows = (x @ x.T).astype(np.float64)
        offset = np.einsum("jd,jd->j", centroids, centroids).astype(np.float64)
        sum_squares = offset * counts**2
        slope = 2 / counts
        moved: dict[int, _Mover] = {}
        for i in range(len(rows)):
            j = int((offset - slope * with_sums[i]).argmin())
            mover = moved.get(j)
            if mover is None:
                exemplar = self._exemplar(int(slots[j])) - middle
                mover = moved[j] = _Mover(exemplar, centroids[j], counts[j])
            product, square = float(with_sums[i, j]), float(with_rows[i, i])
            sum_squares[j] += 2 * product + square
            with_sums[i + 1 :, j] += with_rows[i, i + 1 :]
            count = mover.take(i, x, with_rows, product, sum_squares[j])
            offset[j], slope[j] = sum_squares[j] / count**2, 2 / count
        for j, mover in moved.items():
            slot = int(slots[j])
            self._centroid[slot] = mover.sum(x) / mover.count + middle
            self._count[slot] = mover.count
            if mover.holder is not None:
                self.held[slot] = int(rows[mover.holder])

    def _exemplar(self, slot: int) -> _Single:
        """Features of the exemplar in a slot."""
        row = self.held.get(slot)
        if row is not None:
            exemplar: _Single = self._rows[row]
            return exemplar
        stored: _Single = _matrix(self._store.extra["features"][slot : slot + 1])[0]
        return stored


class _Mover:
    """A cluster that rows of a block come to."""

    def __init__(self, exemplar: _Single, centroid: _Single, count: float) -> None:
        self.exemplar, self.count = exemplar, int(count)
        self._start: _Double = centroid.astype(np.float64) * count
        self._came: list[int] = []
        self.holder: int | None = None
        wide = exemplar.astype(np.float64)
        self._square, self._with_sum = float(wide @ wide), float(wide @ self._start)

    def take(
        self, i: int, x: _Single, with_rows: _Double, product: float, sum_square: float
    ) -> int:
        """Add a row; make it the exemplar if it is nearer to the centroid.

        Args:
            i: The row of the block.
            x: Rows of the block, `[b, d]`.
            with_rows: Their products with each other, `[b, b]`.
            product: Of row i with the sum, before it was added.
            sum_square: Of the sum, with row i added.

        Returns:
            The number of rows now in the cluster.
        """
        square = float(with_rows[i, i])
        held = self.holder
        self._with_sum += float(with_rows[held, i] if held is not None else self.exemplar @ x[i])
        self.count += 1
        self._came.append(i)
        centroid_square = sum_square / self.count**2
        own = square - 2 * (product + square) / self.count + centroid_square
        old = self._square - 2 * self._with_sum / self.count + centroid_square
        if own < old * _NEARER:
            self.holder, self._square, self._with_sum = i, square, product + square
        return self.count

    def sum(self, x: _Single) -> _Double:
        """The sum of all rows in the cluster, `[d]`."""
        came: _Double = x[self._came].sum(axis=0, dtype=np.float64)
        return self._start + came


def _matrix(features: Tensor) -> _Single:
    matrix: _Single = features.detach().reshape(len(features), -1).float().cpu().numpy()
    return matrix
