"""From a name to a suite."""

from __future__ import annotations

from benchmarks.suites._base import AnySuite
from clcore.registry import Registry

REGISTRY: Registry[AnySuite] = Registry(
    kind="suite", package="benchmarks.suites", base=AnySuite, entry_points="clcore.suites"
)


def names() -> list[str]:
    """The registered suites, sorted, without importing any of them."""
    return REGISTRY.names()


def find(name: str) -> AnySuite:
    """Return a suite.

    Args:
        name: Registered name, with hyphens or underscores.

    Raises:
        UnknownNameError: There is no such suite; suggests the nearest.
    """
    return REGISTRY.create(name)
