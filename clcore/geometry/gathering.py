"""One result a row, from blocks of rows, without breaking up the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def gathered(
    parts: Iterable[Tensor],
    compute: Callable[[Tensor], Tensor],
    count: int,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """Compute numbers block by block.

    The result is made before the blocks. A list of small results, each allocated behind a large
    block that goes while it stays, keeps the allocator from ever using the block's place again:
    59,000 rows against each other took 22 GB that way where 8 MB are in use at a time.

    Args:
        parts: The blocks' rows, one block after the other.
        compute: From the rows of a block to a number for each.
        count: Rows in all blocks.
        dtype: Of the result.
        device: Of the result.

    Returns:
        `[count]`.

    Example:
        >>> gathered(torch.split(torch.arange(5), 2), lambda rows: rows.double() ** 2, 5)
        tensor([ 0.,  1.,  4.,  9., 16.], dtype=torch.float64)
    """
    result = torch.empty(count, dtype=dtype, device=device)
    start = 0
    for rows in parts:
        result[start : start + len(rows)] = compute(rows)
        start += len(rows)
    return result
