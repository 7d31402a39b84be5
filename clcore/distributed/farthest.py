"""Farthest-first over shards: no row of any process is far from a pick.

Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985; in two rounds
Malkomes, Kusner, Chen, Weinberger & Moseley, "Fast distributed k-center clustering with outliers on
massive data", NIPS 2015.

Formula: each process goes through its rows in parts and picks k in each, farthest first; the picks
of all parts are exchanged; the first process picks k among these, and tells the others. A part's
picks leave a radius of at most twice the optimum, and so do the picks among them, so the answer's
is at most four times it. The sum of both radii stands in the report as `radius_bound`.

`synchronous=True` gives the picks of one machine, at most twice the optimum, for one exchange a
pick: each process holds its rows in memory and offers its farthest, and the farthest of all is the
next. Distances are in double precision by direct differences there; ties go to the lowest row.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.clock import working_time
from clcore.coreset import Coreset, Cost
from clcore.distributed.greedy import PART_ROWS, nearest
from clcore.distributed.group import Group
from clcore.distributed.shards import Shards
from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix, farthest_first
from clcore.quotas import Allowance


def select_farthest(
    shards: Shards,
    k: int,
    *,
    signal: str = "features",
    synchronous: bool = False,
    exact: bool = False,
    part_rows: int = PART_ROWS,
    group: Group | None = None,
) -> Coreset:
    """Pick `k` rows of shards such that no row is far from all picks; every process calls this.

    Args:
        shards: The rows; each process reads its share of them.
        k: How many to pick.
        signal: What distances are of.
        synchronous: Whether to pick in step, as one machine would.
        exact: Whether the rows are read once more after two rounds, for `radius`.
        part_rows: The most rows of a part, for two rounds.
        group: The processes; by default `Group.join()`.

    Returns:
        The same coreset in every process: row numbers of the shards. In the report `radius_bound`,
        which no row is farther than from its nearest pick; with `synchronous` or `exact` that
        radius itself, `radius`.

    Raises:
        ArgumentError: If an argument is wrong.
        SignalError: If the signal is missing or holds NaN or infinity.
        WorkerError: If another process fails or is lost.
    """
    group = group or Group.join()
    k = whole_number("k", k, least=1)
    part_rows = whole_number("part_rows", part_rows, least=1)
    if k > len(shards):
        raise ArgumentError(f"k is {k}, and the shards have {len(shards)} rows")
    started = working_time()
    if synchronous:
        found = _in_step(group, shards, k, signal)
    else:
        found = _two_rounds(group, shards, k, signal, exact, part_rows)
    return replace(found, cost=found.cost + Cost(working_time() - started))


def _two_rounds(
    group: Group, shards: Shards, k: int, signal: str, exact: bool, part_rows: int
) -> Coreset:
    def round_one() -> dict[str, Tensor]:
        rows, kept, radii, evaluations = [], [], [0.0], 0
        for start, stop in shards.parts(group.rank, group.size, part_rows):
            points = Points(as_matrix(shards.pool(start, stop, names=[signal]).signal(signal)))
            picks, radius = _traverse(points, min(k, len(points)))
            rows.append(picks + start)
            kept.append(points.matrix[picks])
            radii.append(radius)
            evaluations += points.evaluations
        if not rows:
            return {}
        return {
            "index": torch.cat(rows),
            "rows": torch.cat(kept),
            "radius": torch.tensor([max(radii)], dtype=torch.float64),
            "evaluations": torch.tensor([evaluations]),
        }

    parts = [part for part in group.exchange(round_one) if part]
    index, rows = (torch.cat([part[name] for part in parts]) for name in ("index", "rows"))
    before = max(float(part["radius"]) for part in parts)
    evaluations = sum(int(part["evaluations"]) for part in parts)

    def round_two() -> dict[str, Tensor]:
        points = Points(rows)
        picks, radius = _traverse(points, k)
        return {
            "picks": picks,
            "radius": torch.tensor([radius], dtype=torch.float64),
            "evaluations": torch.tensor([points.evaluations]),
        }

    told = group.from_first(round_two)
    report = {"radius_bound": before + float(told["radius"]), "first_round": before}
    report["candidates"] = float(len(rows))
    evaluations += int(told["evaluations"])
    if exact:
        report["radius"] = _radius(group, shards, rows[told["picks"]], signal, part_rows)
        evaluations += len(shards) * k
    return Coreset.of(index[told["picks"]], distance_evaluations=evaluations, report=report)


def _traverse(points: Points, k: int) -> tuple[Tensor, float]:
    """Pick farthest first from the row nearest to the mean; returns the covering radius too."""
    nothing = torch.empty(0, dtype=torch.int64)
    found = farthest_first(
        points,
        k,
        allowance=Allowance(len(points), points.device),
        given=nothing,
        first=int(points.to_centre().argmin()),
    )
    return found.rows, float(found.radii[-1])


def _radius(group: Group, shards: Shards, centres: Tensor, signal: str, part_rows: int) -> float:
    """Return the largest distance of any row to its nearest pick."""

    def work() -> dict[str, Tensor]:
        most = torch.zeros(1, dtype=torch.float64)
        for part in shards.parts(group.rank, group.size, part_rows):
            matrix = as_matrix(shards.pool(*part, names=[signal]).signal(signal))
            most = torch.maximum(most, nearest(matrix, centres)[1].max())
        return {"most": most}

    return max(float(part["most"]) for part in group.exchange(work))


def _in_step(group: Group, shards: Shards, k: int, signal: str) -> Coreset:
    """Pick one row an exchange."""
    start, stop = shards.share(group.rank, group.size)
    matrix = torch.empty(0, 0)

    def load() -> dict[str, Tensor]:
        nonlocal matrix
        if start == stop:
            return {}
        matrix = as_matrix(shards.pool(start, stop, names=[signal]).signal(signal))
        return {"sum": matrix.sum(dim=0, dtype=torch.float64)}

    sums = [part["sum"] for part in group.exchange(load) if part]
    mean = torch.stack(sums).sum(dim=0) / len(shards)
    far = torch.full((stop - start,), torch.inf, dtype=torch.float64)
    picks: list[int] = []
    taken = torch.zeros(stop - start, dtype=torch.bool)
    radius = torch.inf

    def offer(score: Tensor) -> dict[str, Tensor]:
        """Offer the row with the largest score, and say how far the farthest is."""
        if start == stop:
            return {}
        row = int(score.masked_fill(taken, -torch.inf).argmax())
        return {
            "score": score[row : row + 1]
            if not taken[row]
            else torch.tensor([-torch.inf]).double(),
            "far": far.max().reshape(1),
            "index": torch.tensor([start + row]),
            "row": matrix[row].double(),
        }

    score = -_squared(matrix, mean) if start < stop else far
    for _ in range(k):
        offers = [part for part in group.exchange(partial(offer, score)) if part]
        best = max(offers, key=lambda part: (float(part["score"]), -int(part["index"])))
        row = int(best["index"])
        picks.append(row)
        if start <= row < stop:
            taken[row - start] = True
        if start < stop:
            far = torch.minimum(far, _squared(matrix, best["row"]))
        score = far
    last = [part["far"] for part in group.exchange(partial(offer, far)) if part]
    radius = max(float(value) for value in last) ** 0.5
    return Coreset.of(
        picks,
        distance_evaluations=len(shards) * (k + 1),
        report={"radius": radius, "radius_bound": radius},
    )


def _squared(matrix: Tensor, point: Tensor) -> Tensor:
    """Return the squared distances of rows to a point, in double precision."""
    from clcore.geometry.compiled import exact_to_point

    out = torch.empty(len(matrix), dtype=torch.float64)
    exact_to_point(matrix.numpy(), point.numpy(), out.numpy())
    return out
