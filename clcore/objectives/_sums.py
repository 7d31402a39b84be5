"""Each row's sum of similarities to the picks, brought up to date when a row is asked."""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.objectives._similarity import Similarity


class SumsToPicks:
    """Σ_{s ∈ S} sim(x, s) of every row x.

    On the CPU a row's sum lacks the picks that were made since it was last asked; they are added
    then. On a GPU all rows follow each pick at once, so that nothing need be read back.

    Args:
        rows: Size of the pool.
        device: Where the pool lies.
        at_once: Whether all rows follow each pick; by default on a GPU.
    """

    def __init__(self, rows: int, device: torch.device, at_once: bool | None = None) -> None:
        self.at_once = device.type != "cpu" if at_once is None else at_once
        self.sums = torch.zeros(rows, dtype=torch.float64, device=device)
        self._seen = torch.zeros(rows, dtype=torch.int64, device=device)
        self._picks = torch.zeros(64, dtype=torch.int64, device=device)
        self._count = 0

    def add(self, row: Tensor, similarity: Similarity) -> None:
        """Make a pick.

        Args:
            row: int64 `[1]`.
            similarity: What is summed.
        """
        if self.at_once:
            self.sums += similarity.between(row)[0]
        if self._count == len(self._picks):
            self._picks = torch.cat([self._picks, torch.zeros_like(self._picks)])
        self._picks[self._count] = row[0]
        self._count += 1

    def at(self, rows: Tensor, similarity: Similarity) -> Tensor:
        """Return the sums of some rows.

        Args:
            rows: int64 `[m]`.
            similarity: What is summed.

        Returns:
            float64 `[m]`.
        """
        if not self.at_once and len(rows):
            seen = self._seen[rows]
            oldest = int(seen.min())
            if oldest < self._count:
                self._catch_up(rows, seen, oldest, similarity)
        return self.sums[rows]

    def _catch_up(self, rows: Tensor, seen: Tensor, oldest: int, similarity: Similarity) -> None:
        picks = self._picks[oldest : self._count]
        if 4 * len(rows) >= len(self.sums):  # nearly all rows: no need to copy them
            block = similarity.between(picks)[:, rows].t()
        else:
            block = similarity.between(rows, picks)
        place = torch.arange(oldest, self._count, device=rows.device)
        unseen = place >= seen.unsqueeze(1)
        self.sums[rows] += (block * unseen).sum(dim=1, dtype=torch.float64)
        self._seen[rows] = self._count
