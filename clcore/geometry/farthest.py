"""Farthest-first traversal: each pick is the point farthest from all picks before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.geometry.points import Points
from clcore.geometry.rules import DeviceRules, quota_columns, take_all
from clcore.geometry.threads import step_loop
from clcore.quotas import Allowance

ACTIVE_SHARE, LEAST_ACTIVE, MOST_ACTIVE = 16, 64, 8192
"""How many rows are let in at a time: one in 16, within these bounds (measured at n = 5,000 to
1,000,000: half or double costs up to a tenth more)."""


@dataclass(frozen=True)
class Traversal:
    """What a farthest-first traversal found.

    Attributes:
        rows: int64 `[k]`: the picks, on the device of the points.
        radii: float64 `[k + 1]`, on the CPU: the covering radius before each pick and, at the end,
            after all of them; infinite where nothing was taken. It is the largest distance of any
            row (also of those that may not be picked) to the nearest that is taken, but for the
            ignored ones.
    """

    rows: Tensor
    radii: Tensor


def farthest_first(
    points: Points,
    k: int,
    *,
    allowance: Allowance,
    given: Tensor,
    first: int | None = None,
    ignored: int = 0,
    radius: float = -1.0,
) -> Traversal:
    """Pick points farthest-first, exactly.

    On the CPU most distances are never computed (see `farthest_lazy`), and those that decide are
    taken in double precision by direct differences, whatever the type of the points. Elsewhere
    each pick is one pass over the points, and nothing is read on the host before the end, unless
    there is a `radius` to stop at.

    Args:
        points: All points.
        k: How many to pick; no more than the allowance permits.
        allowance: Which may be picked; the picks are recorded in it.
        given: int64 `[g]`: rows taken already.
        first: The first pick; None for the farthest, as in every later step (with nothing given
            all rows are infinitely far, and it is the first that may be picked).
        ignored: How many of the farthest rows are passed over in each step. Where only they are
            left to pick, the nearest of them is taken.
        radius: Stop as soon as the covering radius is not above this.

    Returns:
        The picks and radii. Ties go to the lowest row.
    """
    ignored = min(ignored, len(points) - 1)
    if first is None and len(given) == 0:
        first = int(allowance.open.to(torch.uint8).argmax())
    walk = _lazily if points.device.type == "cpu" and type(points) is Points else plainly
    with step_loop(points.step):
        return walk(points, k, allowance, given, first, ignored, radius)


def _lazily(
    points: Points, k: int, allowance: Allowance, given: Tensor, first: int | None,
    ignored: int, radius: float,
) -> Traversal:  # fmt: skip
    """Traverse with stale bounds."""
    from clcore.geometry.compiled import rounding
    from clcore.geometry.farthest_lazy import traverse

    rows = points.safe_rows().numpy()
    centres = torch.empty(len(given) + k, rows.shape[1], dtype=points.safe_rows().dtype)
    centres[: len(given)] = points.safe_rows()[given]
    keys, left = quota_columns(allowance)
    target = min(max(len(rows) // ACTIVE_SHARE, LEAST_ACTIVE), MOST_ACTIVE)
    picks, radii, made, pairs = traverse(
        rows, centres.numpy(), len(given), k, -1 if first is None else first,
        allowance.open.numpy(), keys.numpy(), left.numpy(), ignored, radius,
        rounding(rows), max(target, 4 * (ignored + 1)),
    )  # fmt: skip
    points.evaluations += pairs
    found = torch.from_numpy(picks[:made])
    take_all(allowance, found)
    return Traversal(found, torch.from_numpy(radii[: made + 1]))


def plainly(
    points: Points, k: int, allowance: Allowance, given: Tensor, first: int | None,
    ignored: int = 0, radius: float = -1.0,
) -> Traversal:  # fmt: skip
    """Traverse with one pass over all points a pick, on whatever device they are.

    The arguments are those of `farthest_first`, and so is the answer, but for the rounding of the
    distances. A row stays a tensor on the device from one step to the next.
    """
    closest, _ = points.nearest(given)
    rules = DeviceRules(allowance)
    picks: list[Tensor] = []
    radii = [_largest(closest, ignored)]
    for step in range(k):
        if step == 0 and first is not None:
            row = torch.full((1,), first, device=points.device)
        else:
            if radius >= 0 and float(radii[-1].sqrt()) <= radius:
                break
            row = _next(closest, rules.penalty, ignored, radii[-1])
        torch.minimum(closest, points.to_row(row), out=closest)
        rules.take(row)
        picks.append(row)
        radii.append(_largest(closest, ignored))
    rows = torch.cat(picks) if picks else given[:0]
    take_all(allowance, rows)
    return Traversal(rows, torch.stack(radii).to("cpu", torch.float64).sqrt())


def _largest(closest: Tensor, ignored: int) -> Tensor:
    """Return the largest value but `ignored`, as a tensor of no dimensions."""
    if ignored == 0:
        return closest.max()
    return closest.topk(ignored + 1, sorted=True).values[-1]


def _next(closest: Tensor, penalty: Tensor, ignored: int, radius: Tensor) -> Tensor:
    """Return the next pick, int64 `[1]`: the farthest open row that is not ignored."""
    scores = closest + penalty
    if ignored == 0:
        return scores.argmax(keepdim=True)
    # The ignored rows: all beyond the radius, and the first of those at it.
    beyond, at = closest > radius, closest == radius
    skip = ignored - beyond.sum()
    passed = beyond | (at & (at.cumsum(0) <= skip))
    usual = torch.where(passed, -torch.inf, scores)
    # Only ignored rows left to pick: the nearest of them, the last of equals.
    nearest = torch.where(penalty == 0, -closest, -torch.inf).flip(0)
    last = len(closest) - 1 - nearest.argmax(keepdim=True)
    return torch.where(usual.max() == -torch.inf, last, usual.argmax(keepdim=True))
