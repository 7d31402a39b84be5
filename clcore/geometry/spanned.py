"""How much of each row the rows chosen so far span, kept up while they come and go."""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.geometry.factored import FactoredPoints
from clcore.memory import require_bytes


class Spanned:
    """‖g_i‖² + ridge less the part in the span of the chosen rows, for all rows.

    With L the Cholesky factor of G + ridge on the chosen rows and V = L⁻¹ G_{chosen, all}, what is
    left of row i is ‖g_i‖² + ridge − Σ_p V_pi². A row that is appended costs one product with V;
    one that goes costs those after it again.

    Args:
        points: All rows.
        ridge: Added to squared lengths.
    """

    def __init__(self, points: FactoredPoints, ridge: float) -> None:
        self.points, self.ridge = points, ridge
        self._whole = points.squares + ridge
        # What rounding can leave of a row that is spanned wholly.
        self._floor = self._whole * (1e-5 if points.dtype == torch.float32 else 1e-11)
        self._left = self._whole
        self._rows = torch.empty(0, dtype=torch.int64, device=points.device)
        self._halves = torch.empty(0, len(points), dtype=points.dtype, device=points.device)

    def __deepcopy__(self, memo: object) -> Spanned:
        # All of it follows from the rows: a copy is made up to date when it is first asked.
        return Spanned(self.points, self.ridge)

    @property
    def left(self) -> Tensor:
        """What is left of each row, infinite where that is nothing but rounding: `[n]`."""
        return torch.where(self._left > self._floor, self._left, torch.inf)

    def follow(self, rows: Tensor, factor: Tensor) -> int:
        """Bring `left` up to date.

        Args:
            rows: int64 `[p]`: the chosen rows, in the order of the factor.
            factor: float64 `[p, p]`: lower triangular, on the CPU.

        Returns:
            How many inner products were computed.

        Raises:
            NotEnoughMemoryError: If `[p, n]` numbers do not fit.
        """
        p, before = len(rows), len(self._rows)
        shared = min(p, before)
        changed = (rows[:shared] != self._rows[:shared]).nonzero()
        same = int(changed[0]) if len(changed) else shared
        if same == p == before:
            return 0
        self._make_room(p)
        factor = factor.to(self._halves)
        if same < p:
            fresh = self.points.inner_products(rows[same:])
            fresh -= factor[same:, :same] @ self._halves[:same]
            self._halves[same:p] = torch.linalg.solve_triangular(
                factor[same:, same:], fresh, upper=False
            )
        if same == before:
            self._left = self._left - self._halves[same:p].square().sum(dim=0)
        else:
            self._left = self._whole - self._halves[:p].square().sum(dim=0)
        self._rows = rows
        return (p - same) * len(self.points)

    def _make_room(self, size: int) -> None:
        if size <= len(self._halves):
            return
        room = max(16, size, 2 * len(self._halves))
        count = len(self.points)
        require_bytes(
            f"what {room:,} picks span of {count:,} rows",
            room * count * self._halves.element_size(),
            self.points.device,
            "choose by the correlations alone: look_ahead=False",
        )
        wider = torch.empty(room, count, dtype=self._halves.dtype, device=self._halves.device)
        wider[: len(self._halves)] = self._halves
        self._halves = wider
