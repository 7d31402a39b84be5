"""An epoch of `CoresetTrainer` on all data, beside the same loop written by hand.

The loop is the least that training needs: a random order, batches read from tensors, one step each,
and the mean loss of the epoch. It is written with both ways of reading rows, since they differ by
more than what the trainer adds: `x[rows]`, as most people write, and `x.index_select(0, rows)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.coreset.settings import CoresetTrainingSettings
from benchmarks.speed.figures import Column, Table, percent_more, seconds
from benchmarks.speed.repeats import paired
from strategies.offline import CoresetTrainer

INPUTS, HIDDEN, CLASSES = 784, 100, 10
RATE, MOMENTUM = 0.01, 0.9

TRAINER = "CoresetTrainer"
READS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "x[rows]": lambda x, rows: x[rows],
    "x.index_select(0, rows)": lambda x, rows: x.index_select(0, rows),
}
"""Ways in which the loop written by hand reads a batch."""


def overhead(settings: CoresetTrainingSettings) -> Iterator[Table]:
    """Time epochs of all three, batch size by batch size.

    Yields:
        One table, with a row for each batch size and way of reading.
    """
    rows = []
    for batch in settings.batch_sizes:
        trainer = Trained(settings.epoch_rows, batch, settings.seed)
        loops = {name: Written(settings.epoch_rows, batch, settings.seed, name) for name in READS}
        timings = paired(
            {TRAINER: trainer.epoch, **{name: loop.epoch for name, loop in loops.items()}},
            rounds=settings.rounds,
        )
        for name, loop in loops.items():
            rows.append(
                {
                    "batch": batch,
                    "reads": f"`{name}`",
                    "trainer_seconds": timings.spread(TRAINER),
                    "loop_seconds": timings.spread(name),
                    "ratio": timings.ratio(TRAINER, name),
                    # Both have trained as many epochs by now.
                    "same_weights": trainer.same_weights(loop),
                }
            )
    yield Table(
        "overhead",
        f"An epoch on all {settings.epoch_rows:,} rows of {INPUTS} numbers, {HIDDEN} hidden units, "
        f"SGD with momentum, one thread: medians (quartiles) of {settings.rounds} rounds, in "
        "processor time",
        (
            Column("batch", "batch"),
            Column("reads", "the loop by hand reads"),
            Column("trainer_seconds", TRAINER, seconds),
            Column("loop_seconds", "the loop by hand", seconds),
            Column("ratio", f"{TRAINER} takes", lambda value: f"{percent_more(value)}"),
            Column("same_weights", "same weights, bit for bit", _yes_or_no),
        ),
        rows,
    )


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


class _Training:
    """The model, optimizer and data of one of the two, equal for equal seeds."""

    def __init__(self, rows: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(rows, INPUTS, generator=generator)
        self.y = torch.randint(CLASSES, (rows,), generator=generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = nn.Sequential(
                nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
            )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE, momentum=MOMENTUM)

    def same_weights(self, other: _Training) -> bool:
        """Whether both models are equal bit for bit."""
        mine, theirs = self.model.state_dict(), other.model.state_dict()
        return all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


class Trained(_Training):
    """Trained by `CoresetTrainer` on all rows.

    Args:
        rows: How many.
        batch: Rows a step.
        seed: Of data, model and orders.
    """

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        super().__init__(rows, seed)
        self.trainer = CoresetTrainer(
            self.model,
            self.optimizer,
            functional.cross_entropy,
            (self.x, self.y),
            "full",
            batch_size=batch,
            seed=seed,
        )

    def epoch(self) -> None:
        """Train one epoch more."""
        self.trainer.fit(self.trainer.epoch + 1)


class Written(_Training):
    """Trained by a loop written by hand.

    Args:
        rows: How many.
        batch: Rows a step.
        seed: Of data, model and orders.
        reads: A name of `READS`.
    """

    def __init__(self, rows: int, batch: int, seed: int, reads: str) -> None:
        super().__init__(rows, seed)
        self.batch, self.read = batch, READS[reads]
        self.orders = torch.Generator().manual_seed(seed)
        self.losses: list[float] = []

    def epoch(self) -> None:
        """Train one epoch more."""
        model, optimizer, x, y = self.model, self.optimizer, self.x, self.y
        model.train()
        order = torch.randperm(len(x), generator=self.orders)
        total = 0.0
        for rows in torch.split(order, self.batch):
            inputs, targets = self.read(x, rows), self.read(y, rows)
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(inputs), targets)
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.item() * len(rows)
        self.losses.append(total / len(x))
