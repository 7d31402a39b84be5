"""From a name on the command line to a method."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.methods._base import Method
from clcore.errors import ArgumentError, UnknownNameError
from clcore.registry import Registry
from clcore.selectors import registry as selectors

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe

OPTION = "nem"
"""Suffix, after a plus sign, for classifying by the nearest mean of the exemplars."""

REGISTRY: Registry[Method] = Registry(
    kind="method", package="benchmarks.methods", base=Method, entry_points="clcore.methods"
)


def names() -> list[str]:
    """All methods, sorted, without importing them: those with a file, then further selectors."""
    return sorted({*REGISTRY.names(), *selectors.names()})


def find(name: str) -> Method:
    """Make the method that a name means.

    Args:
        name: A registered method, or a selector of the engine, with hyphens or underscores;
            `"+nem"` after it for classifying by the nearest mean of the exemplars.

    Returns:
        The method.

    Raises:
        UnknownNameError: There is neither; suggests the nearest names.
        ArgumentError: There is no such option, or the method has no memory to classify by.
    """
    base, *options = name.strip().lower().replace("_", "-").split("+")
    if base in REGISTRY:
        method = REGISTRY.create(base)
    elif base in selectors:
        method = _of_selector(base)
    else:
        raise UnknownNameError("method", base, names())
    if not options:
        return method
    if options != [OPTION]:
        raise ArgumentError(
            f"methods: {name!r} has an unknown option; the one there is, is {base}+{OPTION}"
        )
    if not method.has_memory:
        raise ArgumentError(
            f"methods: {base!r} keeps no exemplars, so it can't classify by their means"
        )
    return replace(method, nearest_mean=True)


def _of_selector(selector: str) -> Method:
    """A memory chosen again by a selector after each experience, under equal quotas per class."""

    class Chosen(Method):
        name = selector
        title = f"The selector {selector!r} chooses again after each experience, by class."
        helps = "see [Selectors](selectors.md)"
        checked = "see the selector"

        def build_buffer(
            self, memory_size: int, *, seed: int, probe: Probe | None = None
        ) -> Buffer:
            from buffers import SelectorBuffer

            return SelectorBuffer(selector, memory_size, seed=seed, probe=probe)

    return Chosen()
