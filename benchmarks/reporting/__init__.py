"""What a run leaves behind: results.json, tables, pages, pictures and wandb runs.

Everything here reads our own records (`results.json` and each cell's `events.jsonl`), so a report
or a dashboard can be made again at any time, on another machine, from the run folder alone. wandb
and matplotlib are imported only by the modules that need them.
"""

from benchmarks.reporting.aggregate import Spread, Summary, aggregate
from benchmarks.reporting.events import EventLog, read_events
from benchmarks.reporting.results import (
    SCHEMA,
    BaseResults,
    Results,
    Run,
    read_any_results,
    read_results,
    results_schema,
    write_results,
)

__all__ = [
    "SCHEMA",
    "BaseResults",
    "EventLog",
    "Results",
    "Run",
    "Spread",
    "Summary",
    "aggregate",
    "read_any_results",
    "read_events",
    "read_results",
    "results_schema",
    "write_results",
]
