"""The work of one cell: train, measure at each evaluation point, keep a checkpoint there."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.generative.choosing import choose
from benchmarks.generative.course import Course
from benchmarks.generative.data import build_data
from benchmarks.generative.learner import make_learner
from benchmarks.generative.measures import RADIUS, make_meter
from benchmarks.generative.method import find
from benchmarks.generative.pictures import LAST, draw_images, draw_modes, picture_name
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.record import GenerativeRun
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.reporting.results import write_text_atomically
from benchmarks.running.reproducible import seed_everything
from benchmarks.settings import derived_seed
from clcore.errors import FormatError
from clcore.tensor_files import write_tensors

SHOWN = 64
"""Images of a picture."""

KEPT = 256
"""Samples that are kept at the end."""

REPORTS = 100
"""How often progress is reported in the course of a cell, about."""


class Training:
    """The work of one cell; lives as long as it runs.

    Args:
        suite: The suite.
        cell: The cell.
        course: Takes down what is measured.
        folder: The cell's folder.
        on_progress: Called now and then with the share that is done.

    Attributes:
        steps: Steps done.
    """

    def __init__(
        self,
        suite: GenerativeSuite,
        cell: GenerativeCell,
        course: Course,
        folder: Path,
        on_progress: Callable[[float], None],
    ) -> None:
        self.suite, self.cell, self.course, self.folder = suite, cell, course, folder
        self.report = on_progress
        method = find(cell.method, suite)
        shared = folder.parents[1] / "shared"
        self.data = build_data(suite, cell.seed)
        # What layers draw by themselves follows from this seed and the checkpoint.
        seed_everything(derived_seed(cell.seed, "training"))
        self.meter = make_meter(suite, self.data, shared)
        self.chosen = choose(suite, cell, method, self.data, folder, shared)
        self.learner = make_learner(suite, cell, method, self.data, self.chosen, shared)
        self.prepared = self.learner.prepared
        self.steps = 0
        self._last: torch.Tensor | None = None

    def resume(self) -> None:
        """Go back to the last checkpoint.

        Raises:
            FormatError: It is damaged.
        """
        file = self._checkpoint / "state.json"
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
            self.learner.trainer.load(self._checkpoint / state["trainer"])
            self.course.load(state["course"])
            self.steps = int(state["steps"])
        except (FormatError, ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"{file} is damaged ({error}); delete {self.folder} to run this cell again"
            ) from error

    def run(self) -> GenerativeRun:
        """Train to the end."""
        if not self.course.lists["steps"]:
            self._measure()
        least = max(1, self.suite.steps // REPORTS)
        while self.steps < self.suite.steps:
            until = min(self.suite.steps, _next(self.steps, self.suite.evaluate_every))
            part = min(until - self.steps, least)
            self.learner.trainer.fit(part)
            self.steps += part
            if self.steps == until:
                self._measure()
            self.report(self.steps / self.suite.steps)
        return self._finish()

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    def _measure(self) -> None:
        """Measure samples, draw some of them, and write a checkpoint."""
        trainer, started = self.learner.trainer, time.perf_counter()
        samples = self._samples()
        values = {**self.learner.measure(), **self.meter.measure(samples)}
        picture = picture_name(self.steps)
        self._draw(samples, picture)
        self.course.evaluate_seconds += time.perf_counter() - started
        cost = self.prepared
        self.course.point(
            self.steps,
            seconds=trainer.seconds + cost.seconds,
            selection_seconds=trainer.selection_seconds + cost.seconds,
            cpu_seconds=(
                trainer.cpu_seconds + cost.cpu_seconds if self.suite.device == "cpu" else None
            ),
            measures=values,
            losses=trainer.last,
            picture=picture,
        )
        name = f"trainer-{self.steps:06d}.safetensors"
        self._checkpoint.mkdir(exist_ok=True)
        trainer.save(self._checkpoint / name)
        state = {"steps": self.steps, "trainer": name, "course": self.course.state()}
        write_text_atomically(self._checkpoint / "state.json", json.dumps(state))
        for old in self._checkpoint.glob("trainer-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _samples(self) -> torch.Tensor:
        """Samples from the same latents at each point."""
        seed = derived_seed(self.cell.seed, "samples")
        self._last = self.learner.sample(self.suite.samples, seed).cpu()
        return self._last

    def _draw(self, samples: torch.Tensor, name: str) -> None:
        if self.data.modes is not None:
            radius = RADIUS * self.data.sigma
            draw_modes(samples, self.data.modes, self.folder / name, radius=radius)
        else:
            draw_images(samples[:SHOWN], self.folder / name, low=self.data.low, high=1.0)

    def _finish(self) -> GenerativeRun:
        # A cell that was left after its last point makes them again.
        samples = self._samples() if self._last is None else self._last
        self._draw(samples, LAST)
        write_tensors(self.folder / "samples.safetensors", {"samples": samples[:KEPT]}, {})
        passes, selection = self.learner.passes()
        return self.course.finish(
            passes=passes,
            selection_passes={
                "forward": selection["forward"] + self.prepared.forward,
                "backward": selection["backward"] + self.prepared.backward,
            },
            prepare_seconds=self.prepared.seconds,
            rows=len(self.data.x),
            rows_kept=len(self.data.x) if self.chosen.rows is None else len(self.chosen.rows),
        )


def _next(steps: int, every: int) -> int:
    """The evaluation point after a step."""
    return (math.floor(steps / every) + 1) * every
