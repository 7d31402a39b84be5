"""`clcore list`: what there is, with a line about each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from benchmarks.commands.sentences import one_sentence

KINDS = ("methods", "suites", "datasets", "selectors", "objectives", "maximisers", "retrievals")
"""What can be listed."""


def listing(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS) + ".", show_default=False)],
) -> None:
    """List methods, suites, datasets, selectors, set functions, maximisers or retrievals."""
    with one_sentence():
        from clcore.errors import UnknownNameError

        tables: dict[str, Callable[[], list[tuple[str, str]]]] = {
            "methods": _methods,
            "suites": _suites,
            "datasets": _datasets,
            "selectors": _selectors,
            "objectives": _objectives,
            "maximisers": _maximisers,
            "retrievals": _retrievals,
        }
        if kind not in tables:
            raise UnknownNameError("list", kind, KINDS)
        rows = tables[kind]()
    width = max(len(name) for name, _ in rows)
    for name, about in rows:
        typer.echo(f"{name:<{width}}  {about}".rstrip())


def _methods() -> list[tuple[str, str]]:
    from benchmarks import methods

    return [(name, methods.find(name).title) for name in methods.names()]


def _suites() -> list[tuple[str, str]]:
    from benchmarks import suites

    found = [suites.find(name) for name in suites.names()]
    return [(suite.name, f"{suite.kind:<10}  {suite.title}") for suite in found]


def _datasets() -> list[tuple[str, str]]:
    from benchmarks import datasets

    rows = []
    for name in datasets.names():
        there = "" if datasets.is_available(name) else f"; get it with `clcore data get {name}`"
        rows.append((name, f"{datasets.REGISTRY.create(name).title}{there}"))
    return rows


def _selectors() -> list[tuple[str, str]]:
    from clcore.selectors import registry

    return [(name, _first_line(registry.get(name))) for name in registry.names()]


def _objectives() -> list[tuple[str, str]]:
    from clcore.objectives import registry

    return [(name, _first_line(registry.get(name))) for name in registry.names()]


def _maximisers() -> list[tuple[str, str]]:
    from clcore.maximisers import registry

    return [(name, _first_line(registry.get(name))) for name in registry.names()]


def _retrievals() -> list[tuple[str, str]]:
    from buffers.retrieval import RETRIEVALS

    return [(name, _first_line(RETRIEVALS.get(name))) for name in RETRIEVALS.names()]


def _first_line(entry: type) -> str:
    return (entry.__doc__ or "").strip().partition("\n")[0]
