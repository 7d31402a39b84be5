"""Herds in feature space: the mean of the rows themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.geometry.herds import Herd, evenly


class MeanHerd(Herd):
    """A herd on the CPU, with the picks of double precision.

    Args:
        matrix: float32 or float64 `[n, d]`, contiguous; kept, not copied.
        scale: float64 `[n]`: what each row is multiplied by first.
        rows: int64 `[m]`, ascending: which rows the herd has.
        is_given: bool `[n]`: rows that count as picks made before.
        weights: `[n]`: how much each row counts in the mean; None for evenly. Where no row of the
            herd has any weight, all count evenly.
    """

    def __init__(
        self,
        matrix: Tensor,
        scale: Tensor,
        rows: Tensor,
        is_given: Tensor,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__(rows, is_given)
        self.matrix, self.scale = matrix, scale
        self.mean = self._mean(evenly(rows, weights))
        # −Σ (p − mean) over the picks so far.
        given = scale[self.taken] @ matrix[self.taken].to(torch.float64)
        self.lag = self.count * self.mean - given
        self.distance = float((self.lag / self.count if self.count else self.mean).norm())
        self._prepare()

    def _mean(self, shares: Tensor) -> Tensor:
        from clcore.geometry.herding_loop import weighted_mean

        return torch.from_numpy(
            weighted_mean(
                self.matrix.numpy(), self.rows.numpy(), self.scale.numpy(), shares.numpy()
            )
        )

    def _prepare(self) -> None:
        from clcore.geometry.herding_loop import pack

        self._row_data = (
            self.matrix.numpy(), self.rows.numpy(), self.scale.numpy(), self.mean.numpy(),
        )  # fmt: skip
        self._packed = pack(*self._row_data)

    def _advance(self, k: int) -> tuple[Tensor, Tensor]:
        from clcore.geometry.herding_loop import herd

        places = torch.empty(k, dtype=torch.int64)
        distances = torch.empty(k, dtype=torch.float64)
        made = herd(
            *self._row_data, *self._packed, self.is_open.numpy(), self.lag.numpy(), self.count,
            places.numpy(), distances.numpy(),
        )  # fmt: skip
        assert made == k, "more picks were asked for than rows are open"
        return places, distances


class DeviceMeanHerd(MeanHerd):
    """The same on any device: one product a pick, and nothing is read on the host within `more`.

    The scores are rounded to the type of the matrix, so that near ties may fall otherwise.
    """

    def _mean(self, shares: Tensor) -> Tensor:
        self._centred = self.matrix[self.rows].to(torch.float64) * self.scale[self.rows, None]
        return shares @ self._centred

    def _prepare(self) -> None:
        kind = self.matrix.dtype
        # Stored with one feature a row: the product then streams through memory.
        self._columns = (self._centred - self.mean).to(kind).t().contiguous()
        del self._centred
        self._half = self._columns.square().sum(dim=0) / -2

    def _advance(self, k: int) -> tuple[Tensor, Tensor]:
        bias = torch.where(self.is_open, self._half, -torch.inf)
        places, distances = [self.rows[:0]], [self.lag[:0]]
        for step in range(k):
            scores = torch.addmv(bias, self._columns.t(), self.lag.to(bias.dtype))
            best = scores.argmax(keepdim=True)
            bias.index_fill_(0, best, -torch.inf)
            self.lag -= self._columns.index_select(1, best).squeeze(1)
            places.append(best)
            distances.append(self.lag.norm().reshape(1) / (self.count + step + 1))
        picked = torch.cat(places)
        self.is_open[picked] = False
        return picked, torch.cat(distances).cpu()


def inverse_lengths(matrix: Tensor) -> Tensor:
    """Return what scales each row to Euclidean length 1: float64 `[n]`; 1 for a row of zeros.

    Args:
        matrix: float32 or float64 `[n, d]`.
    """
    if matrix.device.type == "cpu":
        from clcore.geometry.herding_loop import lengths as exact_lengths

        lengths = torch.from_numpy(exact_lengths(matrix.numpy()))
    else:
        lengths = torch.linalg.vector_norm(matrix, dim=1, dtype=torch.float64)
    return torch.where(lengths > 0, 1 / lengths, torch.ones_like(lengths))
