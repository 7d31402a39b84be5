"""Memories: writing, reading, herding, a replay epoch and an online step, beside Avalanche's.

Goals and the conditions of each figure stand beside the measurement. `quick=True` leaves out
Avalanche's own herding, which ranks all samples and takes minutes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from avalanche.training.storage_policy import HerdingSelectionStrategy, ReservoirSamplingBuffer
from torch.utils.data import DataLoader

from benchmarks.speed.comparison import Comparison, race, single_thread
from benchmarks.speed.training import epochs, online
from benchmarks.speed.workloads import experience_data
from buffers import HerdingBuffer, ReservoirBuffer
from buffers.stream import open_rows

SLOTS = (200, 2000, 5000)


def measure(*, quick: bool = False) -> Iterator[Comparison]:
    """Measure the group, one comparison at a time."""
    single_thread()
    rounds = 3 if quick else 7
    yield from _write_and_read(9 if quick else 31)
    yield from _herding(quick)
    yield from epochs(rounds)
    yield from online(200 if quick else 1000)


def _write_and_read(rounds: int) -> Iterator[Comparison]:
    x = torch.randint(0, 256, (10, 1, 28, 28), dtype=torch.uint8)
    y = torch.randint(0, 10, (10,))
    for slots in SLOTS:
        source = experience_data(20_000, classes=10)
        theirs = ReservoirSamplingBuffer(slots)
        theirs.update_from_dataset(source)
        ten = source.subset(list(range(10)))
        ours = ReservoirBuffer(slots)
        ours.offer_rows(open_rows(source))

        def add(ours: ReservoirBuffer = ours) -> None:
            for _ in range(100):
                ours.add(x, y)

        def update(theirs: ReservoirSamplingBuffer = theirs, ten: object = ten) -> None:
            for _ in range(100):
                theirs.update_from_dataset(ten)

        seconds = race({"ours": add, "Avalanche": update}, rounds=rounds)
        yield Comparison(
            f"add 10 at {slots} slots of 1×28×28",
            {name: value / 100 for name, value in seconds.items()},
            "call",
            goal=50e-6,
        )
        for batch, goal in ((10, 30e-6), (32, 60e-6)):
            loader = iter(_cycle(theirs.buffer, batch))

            def draw(ours: ReservoirBuffer = ours, batch: int = batch) -> None:
                for _ in range(100):
                    ours.sample(batch)

            def load(loader: Iterator[object] = loader) -> None:
                for _ in range(10):
                    next(loader)

            ours_seconds = race({"ours": draw}, rounds=rounds)["ours"] / 100
            their_seconds = race({"Avalanche": load}, rounds=rounds)["Avalanche"] / 10
            yield Comparison(
                f"sample {batch} at {slots} slots of 1×28×28",
                {"ours": ours_seconds, "Avalanche loader": their_seconds},
                "batch",
                goal=goal,
                note="both decode and normalise",
            )


def _cycle(dataset: object, batch: int) -> Iterator[object]:
    while True:
        yield from DataLoader(dataset, batch_size=batch, shuffle=True, drop_last=True)  # type: ignore[arg-type]


def _herding(quick: bool) -> Iterator[Comparison]:
    x = torch.randn(12_000, 256, generator=torch.Generator().manual_seed(0))
    y = torch.arange(12_000) % 2
    # Avalanche ranks every sample whatever the memory's size, so one run of it serves both.
    theirs = {} if quick else race({"Avalanche": lambda: _rank(x, y)}, rounds=1, warm=False)
    for per_class, goal in ((100, 0.2), (2_500, 2.5)):

        def herd(size: int = 2 * per_class) -> None:
            HerdingBuffer(size, features="input").add(x, y)

        yield Comparison(
            f"herding 2 × 6,000 × 256, {per_class} a class",
            race({"ours": herd}, rounds=3) | theirs,
            "experience",
            goal=goal,
            note="features given on both sides",
        )


def _rank(x: torch.Tensor, y: torch.Tensor) -> None:
    """Avalanche's own ranking routine on the same features, class by class."""
    strategy = HerdingSelectionStrategy.__new__(HerdingSelectionStrategy)
    for label in (0, 1):
        strategy.make_sorted_indices_from_features(x[y == label])
