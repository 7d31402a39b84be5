"""Shows at which stage a selection is, and lets Ctrl-C through while a kernel runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

T = TypeVar("T")

_BETWEEN = 0.2


class Stages:
    """One line on stderr: the stage and its seconds; nothing where stderr is no terminal.

    No share of the work is shown, for methods do not say how far they are.

    Attributes:
        left_running: Whether a job was interrupted and may still run.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.left_running = False

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Show a stage while the body runs.

        Args:
            what: For example `"reading features.npy"`.

        Yields:
            Nothing.
        """
        line = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        line.add_task(what, total=None)
        with line:
            yield

    def work(self, what: str, job: Callable[[], T]) -> T:
        """Run a job in a thread, so that Ctrl-C is heard while a compiled kernel runs.

        Args:
            what: As for `stage`.
            job: What to do. Interrupted, it is left to itself: it must write nothing.

        Returns:
            What the job returns; what it raises is raised here.

        Raises:
            KeyboardInterrupt: At once, though the job may still run.
        """
        answers: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                answers.append(job())
            except BaseException as error:  # noqa: BLE001 # raised again by the one who waits
                errors.append(error)

        with self.stage(what):
            worker = threading.Thread(target=run, daemon=True)
            self.left_running = True
            worker.start()
            while worker.is_alive():
                worker.join(_BETWEEN)
            self.left_running = False
        if errors:
            raise errors[0]
        return answers[0]
