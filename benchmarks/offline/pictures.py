"""Pictures of a cell: the rows that weighed most, and hard rows that were never chosen."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.offline.course import Course
from benchmarks.offline.data import OfflineData
from benchmarks.reporting.images import exemplar_grid, is_image_batch, write_picture

HEAVIEST, NEVER = "heaviest.png", "never-chosen.png"
"""Files in a cell's folder."""

COLUMNS = 10


def draw(folder: Path, data: OfflineData, course: Course, losses: Tensor) -> None:
    """Draw both pictures, a row a class, where rows are images and some were chosen.

    Args:
        folder: The cell's folder.
        data: The training rows.
        course: Knows how much each row has weighed.
        losses: Of each training row at the end, `[n]`.
    """
    if course.coreset is None or not is_image_batch(data.images):
        return
    total = course.total_weight
    # Where all rows weigh alike, those that a method picked first come first.
    place = torch.full((len(total),), len(total), dtype=torch.float64)
    picks = course.coreset.indices.cpu()
    place[picks] = torch.arange(len(picks), dtype=torch.float64)
    weight = total - place / (2 * len(total)) * (total > 0)
    _draw(folder / HEAVIEST, data, weight, total > 0)
    _draw(folder / NEVER, data, losses.double(), total == 0)


def _draw(file: Path, data: OfflineData, score: Tensor, allowed: Tensor) -> None:
    """Draw the rows of each class with the greatest scores."""
    kept = []
    for label in torch.unique(data.y):
        rows = (allowed & (data.y == label)).nonzero().flatten()
        kept.append(rows[score[rows].argsort(descending=True, stable=True)[:COLUMNS]])
    rows = torch.cat(kept)
    if len(rows):
        write_picture(exemplar_grid(data.images[rows], data.y[rows], columns=COLUMNS), file)
