"""Selection in two rounds over shards: pick within parts, then among what the parts picked.

Source: Mirzasoleiman, Karbasi, Sarkar & Krause, "Distributed submodular maximization", NIPS 2013
(GreeDi); Barbosa, Ene, Nguyen & Ward, "The power of randomization", ICML 2015 (RandGreeDi); for
picks that carry the weight of their cells Har-Peled & Mazumdar, "On coresets for k-means and
k-median clustering", STOC 2004.

Formula: each process goes through its rows in parts and picks k in each, with the weights of their
cells; the candidates of all parts are exchanged; the first process picks k among them, each with
its weight, and tells the others. Two exchanges in all, and each row is read once.

What holds: with E₁ the sum of the parts' certified errors and E₂ that of the second round, both on
the scale Σ w min ‖g − g(pick)‖, the triangle inequality gives E ≤ E₁ + E₂ for the answer on all
rows, whatever the order of the rows; it stands in the report of methods that have an `error_bound`.
Where the rows lie in the parts at random and the function is monotone and submodular, RandGreeDi
has at least ½ (1 − 1/e) of the best value in expectation, the better of this answer and the parts'
own picks being taken; that comparison, which would read all rows once a part, is left out here. So
shuffle the rows when the shards are written, as for training.

Memory: one part and all candidates; nothing of n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.clock import working_time
from clcore.coreset import Coreset, Cost
from clcore.distributed.group import Group
from clcore.distributed.shards import Shards
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix
from clcore.pool import Pool
from clcore.selection import ready_selector
from clcore.selector import Selector
from clcore.selectors import registry

PART_ROWS = 131_072
"""Rows of a part unless told otherwise: 32 MiB of 64 float32 numbers each."""

BLOCK = 2**22
"""Distances computed together."""


def select_partitioned(
    selector: str | Selector,
    shards: Shards,
    k: int,
    *,
    first: str | Selector | None = None,
    per_part: int | None = None,
    part_rows: int = PART_ROWS,
    exact: bool = False,
    seed: int = 0,
    group: Group | None = None,
    **options: Any,
) -> Coreset:
    """Pick `k` rows of shards; every process of the group must call this, with the same arguments.

    Args:
        selector: The method, by name or ready; of the second round and, by default, of the first.
        shards: The rows; each process reads its share of them (`Shards.share`).
        k: How many to pick.
        first: The method of the first round; None for the same. One that is given by name has
            the `gradients`, `bias` and `per_label` of `selector`, where it has such options.
            `"kd-tree"` is quick.
        per_part: Picks a part in the first round; None for k, as the guarantee wants.
        part_rows: The most rows of a part.
        exact: Whether the rows are read once more, to give each to the nearest of the picks, within
            labels where the method has `per_label`: exact weights and `error_bound`.
        seed: Seed of the randomness, where the methods have any.
        group: The processes; by default `Group.join()`.
        **options: Options of `selector`; only with a name.

    Returns:
        The same coreset in every process, on the CPU: indices are row numbers of the shards. In the
        report: `error_bound`, where the methods report one or with `exact`; `first_round`, its
        share E₁; `candidates`. The cost is that of all processes together, but its seconds are
        those of this call.

    Raises:
        ArgumentError: If an argument is wrong.
        SignalError: If a signal is missing or holds NaN or infinity.
        WorkerError: If another process fails or is lost.
    """
    group = group or Group.join()
    method = ready_selector(selector, options)
    opening = method if first is None else _opening(first, method)
    k = whole_number("k", k, least=1)
    per_part = k if per_part is None else whole_number("per_part", per_part, least=1)
    part_rows = whole_number("part_rows", part_rows, least=1)
    if k > len(shards):
        raise ArgumentError(f"k is {k}, and the shards have {len(shards)} rows")
    names = tuple(dict.fromkeys((*method.signals, *opening.signals)))
    if exact and len(method.signals) != 1:
        raise ArgumentError(f"exact is for methods that read one signal, not {method.signals}")
    started = working_time()

    def round_one() -> dict[str, Tensor]:
        parts = shards.parts(group.rank, group.size, part_rows)
        found = [
            _candidates(opening, shards, part, per_part, names, seed, method.signals)
            for part in parts
        ]
        return _joined(found)

    rows = _joined(group.exchange(round_one))
    columns = {name: rows[name] for name in method.signals}
    pool = Pool(labels=rows.get("labels"), weights=rows.get("weights"), **columns)

    def round_two() -> dict[str, Tensor]:
        if len(pool) < k:
            raise ArgumentError(f"per_part: the parts picked {len(pool)} rows where k is {k}")
        generator = torch.Generator().manual_seed(seed)
        found = method.select(pool, k, generator=generator)
        bound = found.report.get("error_bound", torch.nan)
        return {
            "picks": found.indices,
            "weights": found.weights,
            "gains": found.gains,
            "bound": torch.tensor([bound], dtype=torch.float64),
            "evaluations": torch.tensor([found.cost.distance_evaluations]),
        }

    told = group.from_first(round_two)
    picks, weights = told["picks"], told["weights"]
    before, bound = float(rows["bound"].sum()), float(told["bound"])
    report = {"candidates": float(len(pool))}
    if bound == bound and before == before:
        report |= {"error_bound": before + bound, "first_round": before}
    evaluations = int(rows["evaluations"].sum() + told["evaluations"])
    if exact:
        centres = as_matrix(columns[method.signals[0]][picks])
        labels = rows["labels"][picks] if getattr(method, "per_label", False) else None
        weights, report["error_bound"] = _nearest(
            group, shards, method.signals[0], centres, labels, part_rows
        )
        evaluations += len(shards) * k
    coreset = Coreset.of(rows["index"][picks], weights=weights, gains=told["gains"], report=report)
    return replace(coreset, cost=Cost(working_time() - started, distance_evaluations=evaluations))


def _opening(first: str | Selector, method: Selector) -> Selector:
    """Make the method of the first round, which must look at what the second one looks at."""
    if not isinstance(first, str):
        return ready_selector(first, {})
    known = {field.name for field in fields(registry.get(first))}
    shared = {"gradients", "bias", "per_label"} & known & {field.name for field in fields(method)}
    return ready_selector(first, {name: getattr(method, name) for name in shared})


def _candidates(
    method: Selector,
    shards: Shards,
    part: tuple[int, int],
    k: int,
    names: Sequence[str],
    seed: int,
    kept: Sequence[str],
) -> dict[str, Tensor]:
    """Pick in one part; returns the rows picked with all that the second round needs of them."""
    pool = shards.pool(*part, names=names)
    # The part's first row stands for it, however many processes there are.
    generator = torch.Generator().manual_seed(seed * 1_000_003 + part[0])
    found = method.select(pool, k, generator=generator)
    chosen = {
        "index": found.indices + part[0],
        "bound": torch.tensor([found.report.get("error_bound", torch.nan)], dtype=torch.float64),
        "evaluations": torch.tensor([found.cost.distance_evaluations]),
        **{name: pool.signal(name)[found.indices] for name in kept},
    }
    if pool.labels is not None:
        chosen["labels"] = pool.labels[found.indices]
    if method.weighted:
        chosen["weights"] = found.weights.double()
    elif pool.weights is not None:
        chosen["weights"] = pool.weights[found.indices].double()
    return chosen


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join the candidates of parts, in the order of the rows."""
    full = [part for part in parts if part]
    if not full:
        return {}
    return {name: torch.cat([part[name] for part in full]) for name in full[0]}


def _nearest(
    group: Group,
    shards: Shards,
    name: str,
    centres: Tensor,
    labels: Tensor | None,
    part_rows: int,
) -> tuple[Tensor, float]:
    """Give every row to its nearest pick: weights `[k]` and the certified error."""

    def work() -> dict[str, Tensor]:
        sizes = torch.zeros(len(centres), dtype=torch.float64)
        error = torch.zeros(1, dtype=torch.float64)
        for part in shards.parts(group.rank, group.size, part_rows):
            pool = shards.pool(*part, names=[name])
            weights = torch.ones(len(pool)) if pool.weights is None else pool.weights
            own = None if labels is None else pool.labels
            place, away = nearest(as_matrix(pool.signal(name)), centres, own, labels)
            sizes.index_add_(0, place, weights.double())
            error += away @ weights.double()
        return {"sizes": sizes, "error": error}

    parts = group.exchange(work)
    sizes = torch.stack([part["sizes"] for part in parts]).sum(dim=0)
    return sizes, float(sum(part["error"] for part in parts))


def nearest(
    rows: Tensor, centres: Tensor, labels: Tensor | None = None, theirs: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Find the nearest centre of each row, of the row's label where one of them is.

    Args:
        rows: `[n, d]`.
        centres: `[k, d]`.
        labels: int64 `[n]`, or None.
        theirs: int64 `[k]`: of the centres.

    Returns:
        Places int64 `[n]`, and the distances float64 `[n]`, by direct differences.
    """
    if labels is not None and theirs is not None:
        place = torch.zeros(len(rows), dtype=torch.int64)
        for label in torch.unique(labels).tolist():
            mine = (labels == label).nonzero().squeeze(1)
            there = (theirs == label).nonzero().squeeze(1)
            if not len(there):
                there = torch.arange(len(centres))
            place[mine] = there[_places(rows[mine], centres[there])]
    else:
        place = _places(rows, centres)
    away = torch.empty(len(rows), dtype=torch.float64)
    size = max(1, BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), size):
        here = slice(start, start + size)
        apart = rows[here].double() - centres[place[here]].double()
        away[here] = torch.linalg.vector_norm(apart, dim=1)
    return place, away


def _places(rows: Tensor, centres: Tensor) -> Tensor:
    """Find the nearest centres by the expansion of the square."""
    middle = centres.mean(dim=0)
    centred = centres - middle
    squares, columns = centred.square().sum(dim=1), centred.t().contiguous()
    size = max(1, BLOCK // max(1, len(centres)))
    blocks = [
        torch.addmm(squares, block - middle, columns, alpha=-2.0).argmin(dim=1)
        for block in torch.split(rows, size)
    ]
    return torch.cat(blocks)
