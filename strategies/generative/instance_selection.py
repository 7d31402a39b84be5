"""A data set less its thin parts: instance selection before a generative model is trained.

Source: DeVries, Drozdzal & Taylor, "Instance selection for GANs", NeurIPS 2020. The scores and
their formulas are in the selector `instance-selection`; here they meet a data set. What is gained
in precision is lost in recall, so both belong beside each other in a report.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils.data import Subset

from clcore.checks import integer_column
from clcore.errors import ArgumentError
from clcore.pool import Pool
from clcore.probe.source import column_of
from clcore.selectors.instance_selection import Density, InstanceSelection
from strategies.generative.embeddings import Embeddings, vectors_for


def select_instances(
    data: Any,
    embeddings: Embeddings | Tensor | Any,
    retention: float = 0.5,
    *,
    density: Density = "gaussian",
    labels: Any = None,
    per_class: bool = True,
    **options: Any,
) -> Subset[Any]:
    """Keep the densest part of a data set.

    Args:
        data: A map-style data set.
        embeddings: Of the same rows: `Embeddings`, whose checksum is compared, or vectors `[n, d]`.
        retention: The share that is kept, above 0 and at most 1.
        density: `"gaussian"`, `"ppca"` or `"k-nn"`.
        labels: Integers `[n]`; by default those of the data set. Without any it is one class.
        per_class: Fit and keep class by class; else over all rows at once.
        **options: Further options of `InstanceSelection`.

    Returns:
        The subset, in the order of the data set: `round(retention * n)` rows, at least one, each
        class in proportion.

    Raises:
        ArgumentError: If the embeddings are of other data, or an argument is wrong.

    Example:
        >>> import torch
        >>> x = torch.randn(100, 4)
        >>> len(select_instances(torch.utils.data.TensorDataset(x), x, 0.4))
        40
    """
    if isinstance(retention, bool) or not 0 < retention <= 1:
        raise ArgumentError(f"retention must be above 0 and at most 1, not {retention!r}")
    vectors = vectors_for(data, embeddings)
    column = None
    if per_class:
        given = column_of(data, 1) if labels is None else labels
        column = None if given is None else integer_column("labels", given, len(vectors))
    method = InstanceSelection(per_label=per_class, density=density, **options)
    count = max(1, round(retention * len(vectors)))
    coreset = method.select(Pool(features=vectors, labels=column), count)
    return Subset(data, coreset.indices.sort().values.tolist())
