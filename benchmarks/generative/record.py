"""What one cell of a generative suite leaves in `results.json`.

`docs/results-format.md` describes it for readers who do not use this package.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from benchmarks.reporting.results import BaseResults, Count, Passes, Record, Seconds

Amount = Annotated[float, Field(ge=0.0)]

PLAIN = "plain"
"""The method that the others are held against: random latents, random batches of all data."""


class Course(Record):
    """The course of a run: one number a point in each list, the untrained model first.

    Training and selection have clocks of their own, which stand still while a point is measured.
    """

    steps: list[Count] = Field(min_length=1, description="Steps of training so far.")
    seconds: list[Amount] = Field(description="Seconds of training and selection so far.")
    selection_seconds: list[Amount] = Field(description="Seconds of selection so far.")
    cpu_seconds: list[Amount] | None = Field(
        default=None,
        description=(
            "The same as `seconds` in processor time, which other jobs on the machine hardly "
            "disturb; null where it was not measured, as on a GPU."
        ),
    )
    measures: dict[str, list[float]] = Field(
        description="By the measure's name: its value at each point."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        lists: list[list[float]] = [self.seconds, self.selection_seconds, *self.measures.values()]
        if self.cpu_seconds is not None:
            lists.append(self.cpu_seconds)
        if not self.measures or any(len(values) != len(self.steps) for values in lists):
            raise ValueError("course: its lists differ in length, or nothing was measured")
        # Clocks and steps are what the course is read by, between its points too.
        clocks: list[Sequence[float]] = [self.seconds, self.selection_seconds]
        if self.cpu_seconds is not None:
            clocks.append(self.cpu_seconds)
        if any(later <= now for now, later in itertools.pairwise(self.steps)):
            raise ValueError("course: steps must ascend")
        if any(later < now for clock in clocks for now, later in itertools.pairwise(clock)):
            raise ValueError("course: seconds must not fall")
        return self


class Measure(Record):
    """What a number of `course.measures` means."""

    name: str = Field(min_length=1, description="As in `course.measures`.")
    title: str = Field(min_length=1, description="For people, the extractor named.")
    higher_is_better: bool
    percent: bool = Field(default=False, description="Whether it is a share, shown in percent.")


class GenerativeRun(Record):
    """One cell of a generative suite: one method, one batch size and one seed."""

    method: str = Field(min_length=1, description="`plain`, or the method with its options.")
    batch_size: Count = Field(description="Rows in a step.")
    seed: int = Field(description="Seed of the run.")
    course: Course
    measures: list[Measure] = Field(
        min_length=1, description="What was measured; the first is the one that methods go by."
    )
    seconds: Seconds
    passes: Passes = Field(description="Passes of training in rows, selection excluded.")
    selection_passes: Passes = Field(description="Passes made to choose, embeddings included.")
    prepare_seconds: Amount = Field(
        default=0.0,
        description=(
            "Part of `seconds.select`, and of the first point of the course: embeddings, a "
            "reference model, a choice of data before training."
        ),
    )
    rows: Count = Field(description="Training rows that there are.")
    rows_kept: Count = Field(description="Training rows that the model may see.")

    @model_validator(mode="after")
    def _measures_agree(self) -> Self:
        if {measure.name for measure in self.measures} != set(self.course.measures):
            raise ValueError("measures: not those of the course")
        return self

    @property
    def headline(self) -> Measure:
        """The measure that methods go by."""
        return self.measures[0]

    @property
    def final(self) -> float:
        """The headline measure at the end."""
        return self.last(self.headline.name)

    def last(self, measure: str) -> float:
        """A measure at the end."""
        return self.course.measures[measure][-1]

    @property
    def cell(self) -> str:
        """Name of the cell's folder, `<method>-b<batch size>-s<seed>`."""
        return f"{self.method}-b{self.batch_size}-s{self.seed}"


class GenerativeResults(BaseResults):
    """Everything that one run of a generative suite measured."""

    kind: Literal["generative"] = Field(default="generative", description="Family of the suite.")
    runs: list[GenerativeRun] = Field(description="One entry a cell.")
