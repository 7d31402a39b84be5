"""The data of the rows: clustered and unstructured features, last-layer gradients, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[Any]]


def clustered(n: int, d: int, seed: int = 0) -> Arrays:
    """Make 100 Gaussian clusters, unequal in size and spread.

    Args:
        n: Rows.
        d: Dimensions.
        seed: Of the draw.

    Returns:
        `features` float32 `[n, d]`.
    """
    return {"features": _clusters(n, d, torch.Generator().manual_seed(seed))[0].numpy()}


def _clusters(n: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the rows `[n, d]` and the cluster of each, 0 to 99."""
    centres = 3 * torch.randn(100, d, generator=generator)
    sizes = torch.rand(100, generator=generator) + 0.05
    spreads = torch.rand(100, generator=generator) + 0.5
    which = torch.multinomial(sizes, n, replacement=True, generator=generator)
    noise = torch.randn(n, d, generator=generator)
    return centres[which] + noise * spreads[which, None], which


def unstructured(n: int, d: int, seed: int = 0) -> Arrays:
    """Make one isotropic Gaussian: no structure that pruning could use.

    Args:
        n: Rows.
        d: Dimensions.
        seed: Of the draw.

    Returns:
        `features` float32 `[n, d]`.
    """
    return {"features": torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).numpy()}


def gradients(n: int, d: int, seed: int = 0, classes: int = 10) -> Arrays:
    """Make the factors of last-layer gradients of a half-trained classifier.

    The features are clustered, each cluster of one class, and cut off at 0 as after a ReLU; the
    logits are those of a random last layer that leans towards the right class.

    Args:
        n: Rows.
        d: Width of the last layer's input; a gradient has `classes · (d + 1)` numbers.
        seed: Of the draw.
        classes: Classes.

    Returns:
        `features` float32 `[n, d]`, `logit_gradients` float32 `[n, classes]` (p − y) and `labels`
        int64 `[n]`.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, clusters = _clusters(n, d, generator)
    features, labels = rows.clamp_min(0) / 3, clusters % classes
    layer = torch.randn(d, classes, generator=generator) / d**0.5
    targets = torch.nn.functional.one_hot(labels, classes).float()
    residuals = (features @ layer + targets).softmax(dim=1) - targets
    return {
        "features": features.numpy(),
        "logit_gradients": residuals.numpy(),
        "labels": labels.numpy(),
    }


def pictures(n: int, d: int, seed: int = 0) -> Arrays:
    """Make a batch for a classifier of ten classes.

    Args:
        n: Rows.
        d: Numbers a row.
        seed: Of the draw.

    Returns:
        `features` float32 `[n, d]` between 0 and 1, and `labels` int64 `[n]`.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (n,), generator=generator)
    return {"features": torch.rand(n, d, generator=generator).numpy(), "labels": labels.numpy()}


KINDS = {
    "clustered": clustered,
    "unstructured": unstructured,
    "gradients": gradients,
    "pictures": pictures,
}


def write(folder: Path, kind: str, n: int, d: int) -> dict[str, Path]:
    """Write the arrays of one data set, once.

    Args:
        folder: Where to.
        kind: One of `KINDS`.
        n: Rows.
        d: Dimensions.

    Returns:
        The .npy files by array name.
    """
    files = folder / f"{kind}-{n}-{d}"
    if not files.is_dir():
        files.mkdir(parents=True)
        for name, values in KINDS[kind](n, d).items():
            np.save(files / f"{name}.npy", values)
    return {path.stem: path for path in sorted(files.glob("*.npy"))}


def read(files: dict[str, Path]) -> Arrays:
    """Map the arrays into memory and touch each page, so that reading is no one's work.

    Args:
        files: As `write` returned them.

    Returns:
        The arrays by name; writing into them changes a private copy.
    """
    arrays: Arrays = {name: np.load(path, mmap_mode="c") for name, path in files.items()}
    for values in arrays.values():
        values.sum()
    # Plain arrays over the same pages: some packages look at the exact type.
    return {name: np.asarray(values) for name, values in arrays.items()}
