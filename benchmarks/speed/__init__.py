"""How fast we are, measured side by side with what users have today.

One group a file (`clcore speed buffers`, `clcore speed engine`). A group either yields comparisons
(`measure`): ratios between ways of doing the same work, timed in turn in one process, so that a
machine whose speed drifts slows both alike. Or it runs and shows everything itself (`report`).
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clcore.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed.comparison import Comparison

_HELPERS = {
    *("comparison", "repeats", "figures", "parts", "workloads", "training"),
    *("contestants", "side_by_side", "coreset", "streaming", "batches"),
}
"""Modules of this package that are no groups."""

_FLAGS = {"assignments": "set"}
"""Options whose name on the command line differs."""


def groups() -> list[str]:
    """Names of the groups: the modules of this package that define `measure` or `report`."""
    found = {m.name for m in pkgutil.iter_modules(__path__)} - _HELPERS
    return sorted(name.replace("_", "-") for name in found)


def run(
    group: str,
    out: Path | None = None,
    *,
    quick: bool = False,
    show: Callable[[str], None] = print,
    **options: Any,
) -> int:
    """Measure one group and show its table.

    Args:
        group: Name of the group.
        out: Where to write the figures as JSON, if wanted.
        quick: Leave out what takes minutes (peers that need them) and repeat less.
        show: Called with each line of text to show.
        **options: Options of the group's own.

    Returns:
        The exit status, 0.

    Raises:
        UnknownNameError: No such group.
        ArgumentError: The group has no such option.
    """
    if group not in groups():
        raise UnknownNameError("speed group", group, groups())
    module = importlib.import_module(f"benchmarks.speed.{group.replace('-', '_')}")
    known = inspect.signature(module.report).parameters if hasattr(module, "report") else {}
    for option in sorted(options.keys() - known):
        raise ArgumentError(f"the group {group!r} has no option {_FLAGS.get(option, option)!r}")
    if known:
        status: int = module.report(out, quick=quick, show=show, **options)
        return status
    results: list[Comparison] = []
    with _without_warnings():
        for comparison in module.measure(quick=quick):
            results.append(comparison)
            show(comparison.line())
    from benchmarks.speed.comparison import machine, markdown

    show("")
    show(markdown(results))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        report = {"group": group, "machine": machine(), "figures": [c.as_dict() for c in results]}
        out.write_text(json.dumps(report, indent=1) + "\n")
    return 0


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence warnings by not showing them: Avalanche resets the filters at each step."""
    before = warnings.showwarning
    warnings.showwarning = lambda *args, **kwargs: None
    try:
        yield
    finally:
        warnings.showwarning = before
