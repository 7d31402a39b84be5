"""`results.json`: the public, numbered format in which a run's results are kept.

`docs/results-format.md` describes it for readers who do not use this package.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clcore.errors import ArgumentError, FormatError

SCHEMA = 1
"""The number of the format that this package writes and reads."""

Rate = Annotated[float, Field(ge=0.0, le=1.0)]
"""A share of test samples, in [0, 1]."""

Difference = Annotated[float, Field(ge=-1.0, le=1.0)]
"""A difference of two rates, in [-1, 1]."""

Count = Annotated[int, Field(ge=0)]


T = TypeVar("T", bound="BaseResults")


class Record(BaseModel):
    """What all parts share: unknown fields are kept, NaN and infinity are refused."""

    # A later writer of the same schema may add fields; reading and writing again must not lose
    # them. Whatever changes the meaning of a field changes the schema number.
    model_config = ConfigDict(extra="allow", allow_inf_nan=False, populate_by_name=True)


class Seconds(Record):
    """Wall-clock seconds of one run, by what they were spent on."""

    train: Annotated[float, Field(ge=0.0)] = Field(description="Training, selection excluded.")
    select: Annotated[float, Field(ge=0.0)] = Field(description="Choosing what to keep.")
    evaluate: Annotated[float, Field(ge=0.0)] = Field(description="Evaluating on the test sets.")


class Passes(Record):
    """Passes through the model, counted in samples."""

    forward: Count = Field(description="Samples sent forward through the model.")
    backward: Count = Field(description="Samples sent backward through the model.")


class Run(Record):
    """One cell of a suite: one method with one memory size and one seed."""

    method: str = Field(min_length=1, description="Registered name of the method.")
    seed: int = Field(description="Seed of the run.")
    memory_size: Count = Field(description="Exemplars allowed; 0 for methods without a memory.")
    memory_bytes: Count = Field(description="Bytes that the memory holds at the end.")
    accuracy_matrix: list[list[Rate]] = Field(
        min_length=1,
        description=(
            "Row: after training on experience i; column: accuracy on the test set of experience j."
        ),
    )
    final_accuracy: Rate = Field(description="Mean of the last row.")
    average_accuracy: Rate = Field(
        description="Mean over i of the accuracy on the experiences seen until i."
    )
    average_forgetting: Difference = Field(
        description="Mean over the earlier experiences of best minus last accuracy."
    )
    backward_transfer: Difference = Field(
        description="Mean over the earlier experiences of last minus just-learned accuracy."
    )
    forward_transfer: Difference | None = Field(
        default=None, description="Accuracy before training minus that of the untrained model."
    )
    learning_accuracy: Rate = Field(description="Mean of the diagonal of the matrix.")
    seconds: Seconds
    passes: Passes = Field(description="Passes of training, selection excluded.")
    selection_passes: Passes = Field(description="Passes made to choose what to keep.")
    memory_class_counts: dict[str, Count] = Field(
        default_factory=dict, description="Exemplars of each class at the end, by label."
    )

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        widths = {len(row) for row in self.accuracy_matrix}
        if len(widths) != 1 or 0 in widths:
            raise ValueError("accuracy_matrix: its rows differ in length or are empty")
        return self

    @property
    def cell(self) -> str:
        """Name of the cell's folder, `<method>-m<memory_size>-s<seed>`."""
        return f"{self.method}-m{self.memory_size}-s{self.seed}"


class BaseResults(Record):
    """What the results of all kinds of suites have in common."""

    schema_number: int = Field(default=SCHEMA, alias="schema", description="Always 1.")
    suite: str = Field(min_length=1, description="Registered name of the suite.")
    kind: str = Field(default="continual", description="Family of the suite.")
    environment: dict[str, Any] = Field(
        default_factory=dict, description="Versions, machine, threads, commit."
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="All settings of the suite.")
    runs: Sequence[Record] = Field(description="One entry a cell.")


class Results(BaseResults):
    """Everything that one run of a continual suite measured."""

    runs: list[Run] = Field(description="One entry a cell.")


def results_schema(kind: str = "continual") -> dict[str, Any]:
    """JSON schema of `results.json`.

    Args:
        kind: Family of the suite: `"continual"`, `"offline"` or `"generative"`.

    Returns:
        The schema as plain dictionaries, ready for `json.dumps`.
    """
    return _class_of(kind, "results_schema").model_json_schema(by_alias=True)


def _class_of(kind: object, where: str) -> type[BaseResults]:
    """The class of the results of a kind of suite."""
    if kind == "continual":
        return Results
    if kind == "offline":
        from benchmarks.offline.record import OfflineResults

        return OfflineResults
    if kind == "generative":
        from benchmarks.generative.record import GenerativeResults

        return GenerativeResults
    raise FormatError(f"{where}: {kind!r} is no kind of suite that this version knows")


def parse_results(record: object, *, where: str = "results") -> Results:
    """Check the decoded `results.json` of a continual suite.

    Args:
        record: What `json.load` returned.
        where: Where it came from, for the error message.

    Returns:
        The typed results.

    Raises:
        FormatError: It is not a results record, one of another schema, or of another kind.
    """
    return _of_kind(parse_any_results(record, where=where), Results, where)


def _of_kind(results: BaseResults, wanted: type[T], where: str) -> T:
    if not isinstance(results, wanted):
        raise FormatError(f"{where} is of a suite of kind {results.kind!r}, which is not for this")
    return results


def parse_any_results(record: object, *, where: str = "results") -> BaseResults:
    """Check the decoded `results.json` of a suite of any kind.

    Args:
        record: What `json.load` returned.
        where: Where it came from, for the error message.

    Returns:
        The typed results: `Results`, or those of its kind.

    Raises:
        FormatError: It is not a results record, or one of another schema.
    """
    if not isinstance(record, dict) or "schema" not in record:
        raise FormatError(f"{where} is not a results.json of clcore: it has no 'schema' number")
    if record["schema"] != SCHEMA:
        raise FormatError(
            f"{where} was written with schema {record['schema']!r}, this version reads schema "
            f"{SCHEMA}; read it with the version of clcore that wrote it, or run the suite again"
        )
    try:
        return _class_of(record.get("kind", "continual"), where).model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the record"
        more = f" ({error.error_count()} problems in all)" if error.error_count() > 1 else ""
        raise FormatError(f"{where} is damaged: {field}: {first['msg']}{more}") from error


def results_file(path: str | os.PathLike[str]) -> Path:
    """The results file that a path means: the file itself, or the one in a run folder.

    Raises:
        FormatError: There is none.
    """
    given = Path(path)
    file = given / "results.json" if given.is_dir() else given
    if not file.is_file():
        raise FormatError(
            f"no results at {file}: give a run folder with a results.json "
            "(an unfinished run gets one when it is resumed to its end)"
        )
    return file


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read and check a `results.json`.

    Args:
        path: The file, or the run folder that holds it.

    Returns:
        The typed results of a continual suite.

    Raises:
        FormatError: No such file, not JSON, damaged, of another schema or kind; says which.
    """
    return _of_kind(read_any_results(path), Results, str(results_file(path)))


def read_any_results(path: str | os.PathLike[str]) -> BaseResults:
    """Read and check a `results.json` of a suite of any kind.

    Args:
        path: The file, or the run folder that holds it.

    Returns:
        The typed results: `Results`, or those of its kind.

    Raises:
        FormatError: No such file, not JSON, damaged, or of another schema; says which.
    """
    file = results_file(path)
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{file} is damaged: it is not valid JSON ({error})") from error
    return parse_any_results(record, where=str(file))


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file so that a reader sees the old or the new content, never a part.

    Args:
        path: Where to; the folder must exist.
        text: The content, written as UTF-8.

    Raises:
        OSError: The disk is full or the folder can't be written; an older file stays as it was.
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; a result is as readable as any other file of the user.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_results(path: str | os.PathLike[str], results: BaseResults) -> Path:
    """Write results, atomically.

    Args:
        path: The file, or the run folder that is to hold `results.json`.
        results: What to write.

    Returns:
        The file written.

    Raises:
        ArgumentError: `results` is not a `Results`.
        OSError: The disk is full or the folder can't be written; an older file stays as it was.
    """
    if not isinstance(results, BaseResults):
        raise ArgumentError(f"results must be a Results, not {type(results).__name__}")
    given = Path(path)
    file = given / "results.json" if given.is_dir() else given
    record = results.model_dump(mode="json", by_alias=True)
    write_text_atomically(file, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return file
