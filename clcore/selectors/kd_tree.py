"""k-d tree: CRAIG's weighted cover by cells of a k-d tree, in time n log k.

Source: Bentley, "Multidimensional binary search trees used for associative searching",
Communications of the ACM 18(9), 1975, for the division; Mirzasoleiman, Bilmes & Leskovec, "Coresets
for data-efficient training of machine learning models", ICML 2020, for what is bounded. The carry
is error diffusion: Floyd & Steinberg, "An adaptive algorithm for spatial greyscale", 1976.

Formula: the rows of each class c are divided into k_c cells, Σ_c k_c = k. One row s of each cell A
stands for it, with the weight γ_s = Σ_{x ∈ A} w(x), and by the triangle inequality

    ‖ Σ_x w(x) g(x) − Σ_s γ_s g(s) ‖  ≤  Σ_A Σ_{x ∈ A} w(x) ‖ g(x) − g(s) ‖  =  error_bound

of the report: what CRAIG minimises by facility location, here made small by cutting. The cell cut
next is that with the largest √(w(A) Σ w(x) ‖ g(x) − ḡ_A ‖²), ḡ_A its weighted mean, which bounds
its part of the sum; it is cut at the mean of the coordinate that deviates most. So all cells come
to add about as much, and crowded places get more of them.

Defaults: the pick of a cell is the row nearest to ḡ_A − e / w(A), where e = Σ γ_s (g(s) − ḡ) over
the cells before, which lie beside it: what these have too much, the next makes up for, and the
error of the sum stays about as small as that of one cell. `carry=False` takes the row nearest to
ḡ_A; the error bound is a tenth smaller then, the error itself a hundred times as large.

`gradients`, `per_label` and the shares of the classes are those of `craig`. A class too small for
a pick counts with the nearest pick of any class. `gradients="last_layer"` multiplies the gradients
out, C·(d + 1) numbers a row, and refuses more than 4,096. Where quotas are by other keys than
labels, each key of a label is a part of its own. Rows in `given` count in the weights; that they
cover their surroundings already is not used. Equal rows are divided by number, so the picks of a
permuted pool may be other copies.

The picks stand in turn of the classes, and within a class in the order in which their cells were
made: a shorter coreset is no prefix. Works on the CPU, on one thread, and copies a class at a time.

Differences from reference codes: none known.

Expected numbers: 10 % of the 581,012 × 54 rows of Covertype, standardised, `gradients="features"`:
0.7 s on one core; error bound 309,832 (`carry=False` 281,251; craig 203,670, in 44.6 s); error of
the sum of features 45 (4,744; craig 2,767; random rows of each class 4,900 to 8,200). More in
docs/selectors.md, "Measured: a large table".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.selector import Selector
from clcore.selectors.craig import SIGNALS, Gradients, highest_averages

Array = NDArray[Any]

WIDEST = 4096
"""The most coordinates that gradients of a last layer are multiplied out to."""


@dataclass(frozen=True)
class KDTree(Selector):
    """Cells of a k-d tree in each class, one row for each, weighted by its cell.

    Args:
        gradients: `"logits"`, `"last_layer"` or `"features"`.
        bias: Whether the last layer has a bias; for `last_layer` alone.
        per_label: Whether each label is a problem of its own.
        carry: Whether each pick makes up for those before.
    """

    gradients: Gradients = "logits"
    bias: bool = True
    per_label: bool = True
    carry: bool = True

    signals: ClassVar[tuple[str, ...]] = SIGNALS["logits"]
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.gradients not in get_args(Gradients):
            raise ArgumentError(
                f"gradients must be 'logits', 'last_layer' or 'features', not {self.gradients!r}"
            )
        for name in ("bias", "per_label", "carry"):
            if not isinstance(getattr(self, name), bool):
                raise ArgumentError(f"{name} must be True or False, not {getattr(self, name)!r}")
        object.__setattr__(self, "signals", SIGNALS[self.gradients])

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        from clcore.geometry import cell_loops as loops
        from clcore.geometry.compiled import rounding

        matrix = self._matrix(pool)
        is_open = allowance.open.cpu().numpy()
        ones = torch.ones(len(pool), dtype=torch.float64)
        weights = (ones if pool.weights is None else pool.weights.double().cpu()).numpy()
        parts = self._parts(pool, allowance)
        turns = highest_averages(
            [float(weights[rows].sum()) for rows in parts], k, _Seats(parts, is_open, allowance)
        )
        picks, sizes = np.empty(k, np.int64), np.zeros(k)
        place, away = np.full(len(pool), -1, np.int64), np.zeros(len(pool))
        turn, pairs = np.array(turns), 0
        for number, rows in enumerate(parts):
            seats = np.flatnonzero(turn == number)
            if not len(seats):
                continue
            found = _cells(matrix[rows], weights[rows], is_open[rows], len(seats), self.carry)
            picks[seats], sizes[seats] = rows[found[0]], found[1]
            place[rows], away[rows] = seats[found[2]], found[3]
            pairs += 2 * len(rows)
        left = np.flatnonzero(place < 0)
        if len(left):
            centres = matrix[picks]
            loops.nearest_of(matrix, left, centres, rounding(matrix), place, away)
            sizes += np.bincount(place[left], weights[left], minlength=k)
            pairs += len(left) * k
        return Coreset.of(
            torch.from_numpy(picks).to(pool.device),
            weights=torch.from_numpy(sizes),
            distance_evaluations=pairs,
            report={"error_bound": float(np.sqrt(away) @ weights)},
        )

    def _matrix(self, pool: Pool) -> Array:
        """Return the gradients, `[n, d]`."""
        first = as_matrix(pool.signal(self.signals[0])).cpu()
        if self.gradients != "last_layer":
            return first.numpy()
        second = as_matrix(pool.signal("features")).cpu()
        columns = first.shape[1] * (second.shape[1] + int(self.bias))
        if columns > WIDEST:
            raise ArgumentError(
                f"gradients='last_layer' has {columns} coordinates a row here, and kd-tree takes "
                f"at most {WIDEST}; use 'logits' or 'features', or craig"
            )
        if self.bias:
            second = torch.cat([second, torch.ones_like(second[:, :1])], dim=1)
        return (first.unsqueeze(2) * second.unsqueeze(1)).flatten(1).numpy()

    def _parts(self, pool: Pool, allowance: Allowance) -> list[Array]:
        """Split the rows by label and by what the quotas bind."""
        columns = [] if allowance.keys is None else [allowance.keys.cpu()]
        if self.per_label:
            if pool.labels is None:
                raise ArgumentError("kd-tree needs a pool with labels, or per_label=False")
            columns.append(pool.labels.cpu())
        if not columns:
            return [np.arange(len(pool))]
        # The label comes first, as in the turns of craig.
        _, part = torch.unique(torch.stack(columns[::-1]), dim=1, return_inverse=True)
        order = torch.argsort(part, stable=True)
        return [rows.numpy() for rows in torch.split(order, torch.bincount(part).tolist())]


class _Seats:
    """Says whether a part has room for one more pick, and takes it."""

    def __init__(self, parts: list[Array], is_open: Array, allowance: Allowance) -> None:
        self.free = [int(is_open[rows].sum()) for rows in parts]
        self.key_of: list[int] = []
        self.room: dict[int, int] = {}
        if allowance.keys is not None:
            keys = allowance.keys.cpu().numpy()
            self.key_of = [int(keys[rows[0]]) for rows in parts]
            self.room = {int(keys[rows[0]]): capacity for rows, capacity in allowance.parts()}

    def __call__(self, part: int) -> bool:
        if self.key_of:
            key = self.key_of[part]
            if self.room[key] <= 0 or self.free[part] <= 0:
                return False
            self.room[key] -= 1
        self.free[part] -= 1
        return self.free[part] >= 0


def _cells(
    matrix: Array, weights: Array, is_open: Array, cells: int, carry: bool
) -> tuple[Array, Array, Array, Array]:
    """Divide rows and pick one for each cell.

    Args:
        matrix: `[m, d]`; changed.
        weights: float64 `[m]`, not negative.
        is_open: bool `[m]`.
        cells: How many; at most as many as there are open rows.
        carry: See `represent`.

    Returns:
        Picks `[cells]` and weights `[cells]`; of each row the cell and the squared distance to its
        pick, `[m]`.
    """
    from clcore.geometry import cell_loops as loops

    rows = len(matrix)
    order, place, away = np.arange(rows), np.empty(rows, np.int64), np.empty(rows)
    starts, stops = np.empty(cells, np.int64), np.empty(cells, np.int64)
    picks, sizes = np.empty(cells, np.int64), np.empty(cells)
    # Open rows of no weight have to be divided too where there are many picks.
    light = 1e-9 * (weights.max(initial=0.0) or 1.0)
    counted = np.where(is_open, np.maximum(weights, light), 0.0)
    loops.divide(matrix, order, counted, is_open, starts, stops)
    loops.represent(
        matrix, order, weights, is_open, starts, stops, carry, picks, sizes, place, away
    )
    return picks, sizes, place, away
