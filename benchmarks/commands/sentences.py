"""Errors as one sentence, logged warnings as lines, and the exit codes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

WRONG_USE = 2
"""Exit code where the command line, a file or the data is at fault."""

FAILED = 1
"""Exit code where a run could not be finished."""

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class _Lines(logging.Handler):
    """Prints log records as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn our own errors into a sentence on stderr and an exit code; others pass.

    Yields:
        Nothing.

    Raises:
        typer.Exit: With code 2 for wrong use, 1 for a run that could not be finished.
    """
    # Raised by a library that Avalanche imports; nothing of ours needs a QP solver.
    warnings.filterwarnings("ignore", message="no QP solver found")
    from clcore.errors import ArgumentError, ClcoreError, FormatError, SignalError

    handler = _Lines(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    except ClcoreError as error:
        typer.echo(f"clcore: {error}", err=True)
        wrong_use = isinstance(error, ArgumentError | FormatError | SignalError)
        raise typer.Exit(WRONG_USE if wrong_use else FAILED) from error
    finally:
        root.removeHandler(handler)
