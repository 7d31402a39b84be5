"""What one cell of offline coreset training leaves in `results.json`.

`docs/results-format.md` describes it for readers who do not use this package.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from benchmarks.reporting.results import BaseResults, Count, Passes, Rate, Record, Seconds

Amount = Annotated[float, Field(ge=0.0)]


class Curves(Record):
    """The course of a run: one number a point in each list, the untrained model first.

    Training and selection have clocks of their own, which stand still while a point is measured.
    """

    epochs: list[Amount] = Field(min_length=1, description="Epochs of training so far.")
    seconds: list[Amount] = Field(description="Seconds of training and selection so far.")
    selection_seconds: list[Amount] = Field(description="Seconds of selection so far.")
    cpu_seconds: list[Amount] | None = Field(
        default=None,
        description=(
            "The same as `seconds` in processor time, which other jobs on the machine hardly "
            "disturb; null where it was not measured, as on a GPU."
        ),
    )
    loss: list[float] = Field(
        description="Objective on all training rows: mean loss, and the L2 term where there is one."
    )
    loss_residual: list[float] | None = Field(
        default=None,
        description="Objective minus its minimum; null where the minimum is not known.",
    )
    test_error: list[Rate] = Field(description="Share of the test rows that is classified wrongly.")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        lists = [self.seconds, self.selection_seconds, self.loss, self.test_error]
        lists += [more for more in (self.cpu_seconds, self.loss_residual) if more is not None]
        if any(len(values) != len(self.epochs) for values in lists):
            raise ValueError("curves: their lists differ in length")
        return self


class SelectionRecord(Record):
    """One selection in the course of a run. Gradients are divided by the number of rows."""

    epoch: Amount = Field(description="Epochs of training before it.")
    rows: Count = Field(description="Rows chosen.")
    seconds: Amount = Field(description="What it took, signals included.")
    gradient_error: Amount | None = Field(
        default=None,
        description="Length of weighted coreset gradient minus gradient of all rows, at selection.",
    )
    gradient_norm: Amount | None = Field(
        default=None, description="Length of the gradient of all rows, at selection."
    )
    error_bound: Amount | None = Field(
        default=None, description="What the method certifies gradient_error not to exceed."
    )


class Weights(Record):
    """How the weights of the last coreset are spread; they are scaled to a mean of 1."""

    least: Amount
    median: Amount
    greatest: Amount
    effective_rows: Amount = Field(
        description="(sum of weights)² / sum of squares: rows that would weigh equally."
    )
    edges: list[float] = Field(description="Bounds of the bins of `counts`, ascending.")
    counts: list[Count] = Field(description="Rows whose weight lies in each bin.")


class OfflineRun(Record):
    """One cell of an offline suite: one method, one fraction, one optimiser and one seed."""

    method: str = Field(min_length=1, description="`full`, or the method with its options.")
    fraction: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        description="Share of the training rows that the method may choose; 1 for `full`."
    )
    optimizer: str = Field(min_length=1, description="Name of the optimiser.")
    seed: int = Field(description="Seed of the run.")
    curves: Curves
    final_accuracy: Rate = Field(description="Accuracy on the test set after the last epoch.")
    speedup: Amount | None = Field(
        default=None,
        description=(
            "Seconds in which full training first reaches its own final loss, over the seconds in "
            "which this run reaches it, selection included; null where it never does, or where "
            "there is no full run with this optimiser and seed."
        ),
    )
    speedup_accuracy: Amount | None = Field(
        default=None, description="The same for the final test accuracy of full training."
    )
    speedup_cpu: Amount | None = Field(
        default=None, description="`speedup` in processor time; null where it was not measured."
    )
    speedup_accuracy_cpu: Amount | None = Field(
        default=None, description="`speedup_accuracy` in processor time."
    )
    seconds: Seconds
    pretrain_seconds: Amount = Field(
        default=0.0, description="Part of `seconds.select`: training the model that was read."
    )
    passes: Passes = Field(description="Passes of training, selection excluded.")
    selection_passes: Passes = Field(description="Passes made to choose rows.")
    rows: Count = Field(description="Training rows that there are.")
    selections: list[SelectionRecord] = Field(
        default_factory=list, description="Each selection; none for `full`."
    )
    class_counts: dict[str, Count] = Field(
        default_factory=dict, description="Rows of each class in the last coreset, by label."
    )
    class_weights: dict[str, Amount] = Field(
        default_factory=dict, description="Sum of the weights of each class, by label."
    )
    all_class_counts: dict[str, Count] = Field(
        default_factory=dict, description="Rows of each class that there are, by label."
    )
    rows_ever_chosen: Count = Field(
        default=0, description="Different rows in all coresets together."
    )
    wrong_labels: Rate | None = Field(
        default=None, description="Share of wrong labels in the last coreset; null without noise."
    )
    hardest_chosen: Rate | None = Field(
        default=None,
        description=(
            "Share of the tenth of rows with the greatest loss at the end that is in the last "
            "coreset; null where it was not measured."
        ),
    )
    weights: Weights | None = Field(default=None, description="Of the last coreset.")

    @property
    def cell(self) -> str:
        """Name of the cell's folder, `<method>-f<fraction>-<optimizer>-s<seed>`."""
        return f"{self.method}-f{self.fraction:g}-{self.optimizer}-s{self.seed}"


class OfflineResults(BaseResults):
    """Everything that one run of an offline suite measured."""

    kind: Literal["offline"] = Field(default="offline", description="Family of the suite.")
    runs: list[OfflineRun] = Field(description="One entry a cell.")
