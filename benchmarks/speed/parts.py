"""A group of several parts: settings by `key=value`, tables as they come, one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.settings import override, to_plain
from benchmarks.speed.comparison import single_thread
from benchmarks.speed.figures import Table
from benchmarks.speed.side_by_side.table import machine, machine_line
from clcore.errors import ArgumentError, DataUnavailableError


class Settings(Protocol):
    """Settings of a group: a frozen dataclass whose field `parts` says what is measured."""

    @property
    def parts(self) -> Sequence[str]:
        """Names of the parts to measure."""


S = TypeVar("S", bound=Settings)
Part = Callable[[S], Iterator[Table]]


def run_parts(
    group: str,
    parts: Mapping[str, Part[S]],
    settings: S,
    assignments: Sequence[str],
    out: Path | None,
    show: Callable[[str], None],
) -> int:
    """Measure the parts that the settings name, and show and write their tables.

    A part whose data set is not there is left out with a sentence that says how to get it; where
    nothing else was measured, that is the error.

    Args:
        group: Name of the group.
        parts: What can be measured: each yields its tables.
        settings: The group's, before `assignments`.
        assignments: `key=value` texts.
        out: Where to write the figures as JSON, if wanted; written anew after each table.
        show: Called with each line of text to show.

    Returns:
        The exit status, 0.

    Raises:
        ArgumentError: A setting is wrong, or no part is named.
        UnknownNameError: There is no such setting.
        DataUnavailableError: Nothing could be measured without a data set that is missing.
    """
    settings = override(settings, assignments)
    if not settings.parts:
        raise ArgumentError(f"parts: name at least one of {', '.join(parts)}")
    written: dict[str, Any] = {
        "group": group,
        "machine": machine(),
        "settings": to_plain(settings),
        "left_out": {},
        "tables": [],
    }
    missing: DataUnavailableError | None = None
    # torch, BLAS and OpenMP alike: processor time of several threads is no time of one.
    single_thread()
    with threadpool_limits(limits=1):
        for name in dict.fromkeys(settings.parts):
            try:
                for table in parts[name](settings):
                    show(table.markdown())
                    show("")
                    written["tables"].append(table.as_plain())
                    _write(out, written)
            except DataUnavailableError as error:
                missing = error
                written["left_out"][name] = str(error)
                show(f"{name} left out: {error}")
                show("")
    if missing is not None and not written["tables"]:
        raise missing
    _write(out, written)
    show(machine_line())
    return 0


def _write(out: Path | None, written: Mapping[str, Any]) -> None:
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(written, indent=1, allow_nan=False) + "\n")
