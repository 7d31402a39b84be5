"""Digits: handwritten digits, 8 x 8 grey, 1,797, bundled with scikit-learn.

Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
Repository, 1998 (its test part). The grey values 0 to 16 are scaled to 0 to 255 and rounded, so
`round(x / 255 * 16)` gives them back. There is no published division of these 1,797 images, so
ours is fixed here: within each class, the images are put in the order of the SHA-256 of
`digits:ROW`, and the first fifth is the test set. It depends on no random generator.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from benchmarks.datasets._base import Arrays, DataSet

_TEST_SHARE = 0.2
_GREYS = 16


class Digits(DataSet):
    """scikit-learn's digits with a fixed stratified division."""

    title = "scikit-learn's handwritten digits, 8 x 8 grey"
    classes = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    shape = (1, 8, 8)
    sizes = (1438, 359)
    licence = "BSD-3-Clause, with scikit-learn"
    bundled = True

    def local(self, folder: Path) -> Arrays:
        """Read the images from scikit-learn; `folder` plays no part."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = torch.from_numpy(bunch.images)
        x = (images * (255 / _GREYS)).round().to(torch.uint8).unsqueeze(1)
        y = torch.from_numpy(bunch.target).to(torch.int64)
        test = _test_rows(y.tolist())
        return Arrays(x[~test], y[~test], x[test], y[test])


def _test_rows(labels: list[int]) -> torch.Tensor:
    """Mark the rows of the test set: a fifth of each class, in the order of a hash."""
    by_class: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        by_class.setdefault(label, []).append(row)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for rows in by_class.values():
        rows.sort(key=lambda row: hashlib.sha256(f"digits:{row}".encode()).digest())
        chosen[rows[: round(len(rows) * _TEST_SHARE)]] = True
    return chosen
