"""What a selection came to, beside a random choice of the same size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.commands.selecting.columns import Keys
from benchmarks.commands.selecting.coverage import Coverage
from clcore import Coreset

CLASSES = 20
"""Labels that are listed; of more, the most frequent ones."""


@dataclass(frozen=True)
class Summary:
    """Everything that the tables show.

    Attributes:
        method: Name of the selector.
        rows: Size of the pool.
        shape: Of a row of features, as text; empty without features.
        coreset: The picks.
        given: Rows taken already.
        peak_bytes: Memory taken by reading and selecting, at its highest.
        chosen: Distances to the picks; None without features.
        random: Distances to a random choice of the same size.
        labels: None where there are none.
        quota: The quotas as they were written; None for none.
    """

    method: str
    rows: int
    shape: str
    coreset: Coreset
    given: int
    peak_bytes: int
    chosen: Coverage | None
    random: Coverage | None
    labels: Keys | None
    quota: str | None

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield name and value of what stands alone."""
        picks = self.coreset
        yield "rows", f"{self.rows:,}{f' × {self.shape}' if self.shape else ''}"
        beside = f", beside {self.given:,} given" if self.given else ""
        yield "chosen", f"{len(picks):,} ({100 * len(picks) / self.rows:.3g}%){beside}"
        if self.quota is not None:
            yield "quota", self.quota
        yield "seconds", f"{picks.cost.seconds:.2f}"
        yield "peak memory", f"{self.peak_bytes / 2**20:,.0f} MiB to read and select"
        weights = picks.weights
        if len(weights):
            yield (
                "weights",
                f"min {weights.min():.4g}, median {weights.median():.4g}, "
                f"max {weights.max():.4g}, sum {weights.double().sum():,.6g}",
            )
        for name, value in picks.report.items():
            yield name.replace("_", " "), f"{value:.4g}"

    def distances(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, ours and random of the distances."""
        ours, other = self.chosen, self.random
        if ours is None or other is None:
            return
        yield "mean distance to the nearest pick", f"{ours.mean:.4g}", f"{other.mean:.4g}"
        note = ": all rows are equal" if ours.radius == other.radius == 0 else ""
        yield "covering radius", f"{ours.radius:.4g}{note}", f"{other.radius:.4g}"
        near = other.mean
        yield (
            f"rows within {near:.4g} of a pick",
            f"{ours.within(near):.1%}",
            f"{other.within(near):.1%}",
        )

    def distances_of(self) -> str:
        """Say of which rows the distances are."""
        assert self.chosen is not None  # asked only where there are distances
        measured = len(self.chosen.rows)
        what = "of all rows" if measured == self.rows else f"of a sample of {measured:,} rows"
        return f"Euclidean distances {what}"

    def classes(self) -> tuple[list[tuple[str, int, int]], str]:
        """Return name, rows and picks of each label, and what is left out."""
        if self.labels is None:
            return [], ""
        pool, picked = self.labels.sizes(), self.labels.sizes(self.coreset.indices)
        shown = sorted(pool, key=lambda code: (-pool[code], code))[:CLASSES]
        rows = [(self.labels.names[code], pool[code], picked[code]) for code in sorted(shown)]
        notes = []
        if len(pool) > len(shown):
            notes.append(f"{len(pool) - len(shown):,} rarer labels are not shown")
        without = sum(count == 0 for count in picked.values())
        if without:
            notes.append(f"{without:,} of {len(pool):,} labels have no pick")
        return rows, "; ".join(notes)

    def show(self, console: Console) -> None:
        """Print the tables."""
        facts = Table.grid(padding=(0, 3))
        for name, value in self.facts():
            facts.add_row(name, value)
        console.print(facts, highlight=False)
        if self.chosen is not None:
            table = Table(
                title=self.distances_of(), title_justify="left", title_style="", box=None,
                padding=(0, 3, 0, 0),
            )  # fmt: skip
            table.add_column("")
            for name in (self.method, "random choice"):
                table.add_column(name, justify="right")
            for row in self.distances():
                table.add_row(*row)
            console.print()
            console.print(table, highlight=False, markup=False)
        self._show_classes(console)

    def _show_classes(self, console: Console) -> None:
        rows, note = self.classes()
        if not rows:
            return
        table = Table(box=None, padding=(0, 3, 0, 0))
        table.add_column("label")
        for name in ("rows", "share", "chosen", "share"):
            table.add_column(name, justify="right")
        picks = max(1, len(self.coreset))
        for name, pool, picked in rows:
            table.add_row(
                name, f"{pool:,}", f"{pool / self.rows:.1%}", f"{picked:,}", f"{picked / picks:.1%}"
            )
        console.print()
        console.print(table, highlight=False, markup=False)
        if note:
            console.print(note, highlight=False, markup=False)
