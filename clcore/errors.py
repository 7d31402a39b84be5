"""What goes wrong at the door, and how it is said.

Every error that clcore raises on purpose derives from `ClcoreError`; each also derives from the
built-in exception that a caller would expect, so `except ValueError` keeps working.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ClcoreError(Exception):
    """Base class of every error that clcore raises on purpose."""


class ArgumentError(ClcoreError, ValueError):
    """An argument is wrong: the message says which, what was given and what is allowed."""


class UnknownNameError(ArgumentError):
    """A name is not registered.

    Args:
        kind: What was looked for, for example `"selector"`.
        name: The name that was given.
        known: The names that exist; the nearest are suggested.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(names)}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.kind, self.name, self.known = kind, name, names


class SignalError(ClcoreError, ValueError):
    """A signal holds NaN or infinity, or has the wrong shape; names the signal and the row."""


class FormatError(ClcoreError, RuntimeError):
    """A file is damaged, foreign, or written by another schema."""


class DataUnavailableError(ClcoreError, RuntimeError):
    """A data set is not in the cache and cannot be had here; says what to do."""


class NotEnoughMemoryError(ClcoreError, MemoryError):
    """A dense method would not fit into memory: the message says what would."""
