"""What is printed of the rows: a line a contestant while they run, a markdown table at the end."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.speed.side_by_side.outcome import Outcome, why_not_counted
from benchmarks.speed.side_by_side.row import Row

PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "scikit-learn",
    "faiss-cpu",
    "apricot-select",
    "submodlib-py",
    "kmedoids",
    "scikit-activeml",
)

Results = Sequence[tuple[Row, Mapping[str, Outcome]]]


def seconds(value: float) -> str:
    """Write seconds with a unit that suits their size."""
    if math.isnan(value):
        return "–"
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def ratio(ours: Outcome, theirs: Outcome) -> float:
    """Divide their processor seconds by ours; NaN where one of them has none."""
    return theirs.cpu / ours.cpu if ours.finished and theirs.finished and ours.cpu else math.nan


def verdict(row: Row, ours: Outcome, theirs: Outcome) -> str:
    """Say whether a ratio counts.

    Args:
        row: The row.
        ours: Our outcome.
        theirs: Another contestant's.

    Returns:
        `"yes"`, `"no: "` and the reason, or what became of a contestant that did not finish.
    """
    if not theirs.finished:
        return f"{theirs.status}: {theirs.reason}"
    reason = why_not_counted(ours, theirs, better=row.about.better, slack=row.about.slack)
    return "yes" if reason is None else f"no: {reason}"


def goals(row: Row, outcomes: Mapping[str, Outcome]) -> str:
    """Write the goals of a row with met, missed or open behind each."""
    words = {True: "met", False: "missed", None: "open"}
    return "; ".join(f"{goal.words}: {words[goal.met(outcomes)]}" for goal in row.goals)


def line(row: Row, ours: Outcome, outcome: Outcome) -> str:
    """Write one contestant's figures in a line of text.

    Args:
        row: The row.
        ours: Our outcome.
        outcome: The contestant's, which may be ours.

    Returns:
        The line.
    """
    cells = _cells(row, ours, outcome)
    if not outcome.finished:
        return f"  {outcome.name}: {cells['counted']}"
    text = f"  {outcome.name}: CPU {cells['cpu']}, wall {cells['wall']}, peak {cells['peak']} MB"
    text += f", {row.about.objective} {cells['objective']}"
    if outcome is not ours:
        text += f", {cells['ratio']} ours" if cells["ratio"] else ""
        text += f", counted: {cells['counted']}"
    return text


def markdown(results: Results) -> str:
    """Write the table for the documentation.

    Args:
        results: The rows with the outcomes of their contestants, ours first.

    Returns:
        The table; where a row has goals they stand in our own line.
    """
    head = (
        "| row | contestant | CPU | wall | peak MB | objective | CPU / ours | counted | goal |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    lines = list(head)
    for row, outcomes in results:
        ours = next(iter(outcomes.values()))
        for outcome in outcomes.values():
            cells = _cells(row, ours, outcome)
            own = outcome is ours
            title = f"{row.title} ({row.about.objective})" if own else ""
            goal = goals(row, outcomes) if own else ""
            figures = (cells[name] for name in ("cpu", "wall", "peak", "objective"))
            shown = [title, outcome.name, *figures, cells["ratio"], cells["counted"], goal]
            lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _cells(row: Row, ours: Outcome, outcome: Outcome) -> dict[str, str]:
    times = ratio(ours, outcome)
    own = outcome is ours
    objective = "–" if math.isnan(outcome.objective) else f"{outcome.objective:.5g}"
    if outcome.error > 0:
        objective += f" ± {outcome.error:.2g}"
    own_status = "" if outcome.finished else f"{outcome.status}: {outcome.reason}"
    return {
        "cpu": seconds(outcome.cpu),
        "wall": seconds(outcome.wall),
        "peak": f"{outcome.peak_bytes / 1e6:.3g}" if outcome.finished else "–",
        "objective": objective,
        "ratio": "" if own or math.isnan(times) else f"{times:.2f}×",
        "counted": own_status if own else verdict(row, ours, outcome),
    }


def as_json(results: Results) -> list[dict[str, Any]]:
    """Return all figures, for the JSON file.

    Args:
        results: The rows with the outcomes of their contestants, ours first.

    Returns:
        One dictionary a row.
    """
    return [
        {
            "row": row.name,
            "task": row.task,
            "data": row.data,
            "n": row.n,
            "d": row.d,
            "k": row.k,
            "threads": row.threads,
            "objective": {"name": row.about.objective, "better": row.about.better},
            "goals": [{"goal": goal.words, "met": goal.met(outcomes)} for goal in row.goals],
            "contestants": [
                outcome.as_dict() | {"counted": _counted(row, outcomes, outcome)}
                for outcome in outcomes.values()
            ],
        }
        for row, outcomes in results
    ]


def _counted(row: Row, outcomes: Mapping[str, Outcome], outcome: Outcome) -> bool | None:
    ours = next(iter(outcomes.values()))
    return None if outcome is ours else verdict(row, ours, outcome) == "yes"


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def machine_line() -> str:
    """Say in one line what the figures were measured on."""
    found = machine()
    packages = ", ".join(
        f"{name} {number}" for name, number in found["packages"].items() if number is not None
    )
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB, "
        f"{found['system']}, Python {found['python']}; {packages}"
    )


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for text in listing.read_text().splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor() or "processor unknown"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
