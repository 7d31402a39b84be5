"""What the selectors by coverage share: which way is taken to the picks."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry.coverage import exact_coverage, has_plain_points
from clcore.geometry.coverage_balls import ball_coverage
from clcore.geometry.coverage_graph import NEIGHBOURS, Cover, graph_coverage
from clcore.geometry.kernels import Shape
from clcore.geometry.neighbours import Index, check_index
from clcore.greedy import GreedySelector
from clcore.maximiser import Maximiser, Stop
from clcore.maximisers.lazy import Lazy
from clcore.objectives.kernel_coverage import KernelCoverage, cell_weights
from clcore.pool import Pool
from clcore.quotas import Allowance

Neighbours = int | Literal["auto"] | None

EXACT = 8192
"""Rows up to which `neighbours="auto"` is exact: there it takes about a second (measured)."""


@dataclass(frozen=True)
class CoverageSelector(GreedySelector):
    """Base of the greedy selectors by coverage; write `objective`."""

    @abc.abstractmethod
    def objective(self, pool: Pool) -> KernelCoverage:
        """Make the set function for a pool."""

    def graph(self) -> tuple[Neighbours, Index]:
        """Return the size of the neighbour lists, and how neighbours are found."""
        return None, "auto"

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        objective = self.objective(pool)
        objective.start(given)
        neighbours, index = self.graph()
        found = cover(
            objective,
            k,
            allowance=allowance,
            generator=generator,
            maximiser=self._maximiser,  # type: ignore[attr-defined]
            stop=self.stop,
            neighbours=neighbours,
            index=index,
        )
        return coverage_coreset(objective, found, weighted=self.weighted)


def check_neighbours(neighbours: Neighbours, index: str) -> None:
    """Check the options of the graph.

    Args:
        neighbours: `"auto"`, None or at least 2.
        index: See `clcore.geometry.neighbours`.

    Raises:
        ArgumentError: If one is none of these.
    """
    check_index(index)
    if isinstance(neighbours, str):
        if neighbours != "auto":
            raise ArgumentError(
                f"neighbours must be 'auto', None or a whole number, not {neighbours!r}"
            )
    elif neighbours is not None:
        whole_number("neighbours", neighbours, least=2)


def cover(
    objective: KernelCoverage,
    k: int,
    *,
    allowance: Allowance,
    generator: torch.Generator,
    maximiser: Maximiser,
    stop: Stop | None = None,
    neighbours: Neighbours = None,
    index: Index = "auto",
) -> Cover:
    """Maximise coverage: by the compiled lazy greedy or the graph on the CPU, else step by step.

    Args:
        objective: Coverage; its set is built upon, and then holds the picks.
        k: The most picks.
        allowance: Which rows may be picked.
        generator: For maximisers that draw.
        maximiser: Taken as it is, unless it is `lazy` and the rows are on the CPU.
        stop: When to stop sooner.
        neighbours: Size of the neighbour lists; None for none; `"auto"` for lists where there are
            more than `EXACT` rows, on the CPU.
        index: How neighbours are found.

    Returns:
        The picks.

    Raises:
        ArgumentError: If a graph is asked for rows that are not on the CPU, or with another
            maximiser than `lazy`.
    """
    compiled = (
        isinstance(maximiser, Lazy)
        and objective.device.type == "cpu"
        and has_plain_points(objective)
    )
    if not compiled:
        if isinstance(neighbours, int):
            raise ArgumentError(
                f"neighbours={neighbours} needs features on the CPU and maximiser='lazy'; "
                "leave it out"
            )
        picks = maximiser.maximise(
            objective, k, allowance=allowance, generator=generator, stop=stop
        )
        return Cover(picks)
    if neighbours is None or (neighbours == "auto" and len(objective) <= EXACT):
        if objective.kernel.shape is Shape.TOP_HAT:
            found = ball_coverage(objective, k, allowance=allowance, stop=stop)
            if found is not None:
                return Cover(found)
        return Cover(exact_coverage(objective, k, allowance=allowance, stop=stop))
    width = NEIGHBOURS if neighbours == "auto" else int(neighbours)
    return graph_coverage(
        objective, k, allowance=allowance, stop=stop, neighbours=width, index=index
    )


def coverage_coreset(objective: KernelCoverage, found: Cover, *, weighted: bool) -> Coreset:
    """Make the answer of picks.

    Args:
        objective: Whose set holds the picks.
        found: The picks.
        weighted: Whether weights are the sizes of the cells; else they are ones.

    Returns:
        The coreset; `report["value"]` is the objective's.
    """
    rows = torch.tensor(found.picks.rows, dtype=torch.int64, device=objective.device)
    weights = None
    if weighted:
        _, place = assigned(objective, found)
        weights = cell_weights(place, len(rows), objective.pool.weights)
    return Coreset.of(
        rows,
        weights=weights,
        gains=found.picks.gains,
        distance_evaluations=objective.evaluations,
        report={"value": objective.value(), **found.report},
    )


def assigned(objective: KernelCoverage, found: Cover) -> tuple[Tensor, Tensor]:
    """Give each row to its nearest pick; rows that were given count with theirs, too.

    Args:
        objective: Whose set holds the picks.
        found: The picks.

    Returns:
        Squared distances `[n]`, and places among the picks, int64 `[n]`; the first of several that
        are equally near.
    """
    if found.place is not None:
        return objective.nearest, found.place
    rows = torch.tensor(found.picks.rows, dtype=torch.int64, device=objective.device)
    return objective.assigned(rows)
