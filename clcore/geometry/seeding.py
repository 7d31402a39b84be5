"""D² seeding: rows drawn in proportion to their distance to the nearest row drawn before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.geometry.points import Points
from clcore.geometry.rules import DeviceRules, quota_columns, take_all
from clcore.geometry.threads import step_loop
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Seeding:
    """What a seeding drew.

    Attributes:
        rows: int64 `[k]`: the rows drawn, in order, on the device of the points.
        falls: float64 `[k]`, on the CPU: by how much each brought down the sum over all rows of
            the squared distance to the nearest; 0 for the very first. None if not asked for.
    """

    rows: Tensor
    falls: Tensor | None


def seed_by_distance(
    points: Points,
    k: int,
    *,
    allowance: Allowance,
    given: Tensor,
    generator: torch.Generator,
    weights: Tensor | None = None,
    power: float = 2.0,
    with_falls: bool = True,
) -> Seeding:
    """Draw rows with probability ∝ w(x) D(x)^power, D the distance to the nearest taken before.

    The distribution is exact. On the CPU most distances are never computed, by rejection from
    stale bounds (see `seeding_lazy`); elsewhere each draw is one pass over the points, and nothing
    is read on the host before the end. The falls need all distances once, on any device.

    Args:
        points: All points.
        k: How many to draw; no more than the allowance permits.
        allowance: Which may be drawn; the draws are recorded in it.
        given: int64 `[g]`: rows taken already. Without any the first is drawn by weight alone.
        generator: One number is drawn from it, whatever `k` is: it seeds all draws, so fewer draws
            are the first of more.
        weights: `[n]`: w; by default ones. Where no row has any mass left the draw is by weight,
            and where none has weight it is uniform.
        power: Of the distance; above 0.
        with_falls: Whether the falls are computed.

    Returns:
        The rows and falls. Devices draw differently from one seed.
    """
    drawn = torch.randint(-(2**63), 2**63 - 1, (1,), generator=generator, device=generator.device)
    draw = _lazily if points.device.type == "cpu" and type(points) is Points else plainly
    with step_loop(points.step):
        return draw(points, k, allowance, given, int(drawn), weights, power, with_falls)


def _lazily(
    points: Points, k: int, allowance: Allowance, given: Tensor, seed: int,
    weights: Tensor | None, power: float, with_falls: bool,
) -> Seeding:  # fmt: skip
    """Draw with stale bounds."""
    from clcore.geometry.compiled import rounding
    from clcore.geometry.seeding_lazy import falls, seed_centres

    rows = points.safe_rows()
    centres = torch.empty(len(given) + k, rows.shape[1], dtype=rows.dtype)
    centres[: len(given)] = rows[given]
    keys, left = quota_columns(allowance)
    factors = torch.ones(len(rows)) if weights is None else weights
    state = torch.tensor([seed]).numpy().view("uint64")
    factor = rounding(rows.numpy())
    picks, pairs = seed_centres(
        rows.numpy(), centres.numpy(), len(given), k, factors.double().contiguous().numpy(),
        power, allowance.open.numpy(), keys.numpy(), left.numpy(), state, factor,
    )  # fmt: skip
    points.evaluations += pairs
    found = torch.from_numpy(picks)
    take_all(allowance, found)
    if not with_falls:
        return Seeding(found, None)
    points.evaluations += len(centres) * len(rows)
    return Seeding(
        found, torch.from_numpy(falls(rows.numpy(), centres.numpy(), len(given), factor))
    )


def plainly(
    points: Points, k: int, allowance: Allowance, given: Tensor, seed: int,
    weights: Tensor | None = None, power: float = 2.0, with_falls: bool = True,
) -> Seeding:  # fmt: skip
    """Draw with one pass over all points a draw, on whatever device they are.

    The arguments are those of `seed_by_distance` but for the seed, an int64.
    """
    closest, _ = points.nearest(given)
    anything = len(given) > 0
    rules = DeviceRules(allowance)
    plain = torch.ones_like(closest, dtype=torch.float64)
    factors = plain if weights is None else weights.to(torch.float64)
    uniform = torch.rand(k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
        points.device
    )
    picks: list[Tensor] = []
    sums: list[Tensor] = []
    for step in range(k):
        mass = factors * closest.double().pow(power / 2) if anything else factors
        row = _draw((mass, factors, plain), rules.penalty, uniform[step : step + 1])
        before = closest
        closest = torch.minimum(closest, points.to_row(row))
        if with_falls:
            fall = (before - closest).sum(dtype=torch.float64)
            sums.append(fall if anything else torch.zeros_like(fall))
        anything = True
        rules.take(row)
        picks.append(row)
    rows = torch.cat(picks)
    take_all(allowance, rows)
    return Seeding(rows, torch.stack(sums).cpu() if with_falls else None)


def _draw(masses: tuple[Tensor, ...], penalty: Tensor, uniform: Tensor) -> Tensor:
    """Draw an open row, int64 `[1]`, by the first of the masses of which any open row has some."""
    row = torch.zeros(1, dtype=torch.int64, device=penalty.device)
    found = torch.zeros(1, dtype=torch.bool, device=penalty.device)
    for mass in masses:
        cumulated = torch.where(penalty == 0, mass, 0.0).cumsum(0)
        total = cumulated[-1:]
        # Never at the total itself, where rows without mass lie.
        threshold = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
        drawn = torch.searchsorted(cumulated, threshold, right=True)
        row = torch.where(found, row, drawn)
        found = found | (total > 0)
    return row
