"""GSS, the buffer that looks at gradients: one choice, and one iteration in Avalanche.

The model is an MLP 784-256-256-10. "Plain step" is forward, backward and SGD on 10 rows, all that
training without a memory does. A GSS choice runs 110 rows forward and back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from avalanche.training.plugins import GSS_greedyPlugin
from avalanche.training.supervised import Naive
from torch import Tensor, nn

from benchmarks.speed.comparison import Comparison, race, single_thread
from benchmarks.speed.workloads import benchmark
from buffers import GSSBuffer, ReservoirBuffer
from strategies import Replay

MEMORY, BATCH = 300, 10


def measure(*, quick: bool = False) -> Iterator[Comparison]:
    """Measure the group, one comparison at a time."""
    single_thread()
    rounds = 9 if quick else 31
    yield from _choices(rounds)
    yield from _consolidations(3 if quick else 7)
    yield from _iterations(500 if quick else 2000, 2 if quick else 5)


def _mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def _rows(n: int) -> tuple[Tensor, Tensor]:
    return torch.rand(n, 1, 28, 28), torch.randint(0, 10, (n,))


def _plain_step(network: nn.Module, x: Tensor, y: Tensor) -> Callable[[], object]:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)  # the same work each time

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(x), y))
        optimizer.step()

    return step


def _choices(rounds: int) -> Iterator[Comparison]:
    network = _mlp()
    learner = SimpleNamespace(model=network)
    x, y = _rows(BATCH)
    contestants: dict[str, Callable[[], object]] = {}
    for signal in ("whole_network", "last_layer"):
        buffer = GSSBuffer(MEMORY, signal=signal)
        buffer.add(*_rows(MEMORY), learner=learner)
        contestants[signal] = partial(buffer.add, x, y, learner=learner)
    contestants["plain step"] = _plain_step(network, x, y)
    seconds = race(contestants, rounds=rounds, calls=20)
    yield Comparison(
        "GSS choice, 10 rows against 10 memory batches of 10",
        seconds,
        "batch",
        goal=3 * seconds["plain step"],
        note="memory full, 300; goal 3 × a plain step",
    )


def _consolidations(rounds: int) -> Iterator[Comparison]:
    network = _mlp()
    learner = SimpleNamespace(model=network)
    x, y = _rows(100)
    contestants: dict[str, Callable[[], object]] = {}
    for variant in ("iqp", "cluster"):
        buffer = GSSBuffer(MEMORY, variant=variant)
        buffer.add(*_rows(MEMORY), learner=learner)
        contestants[variant] = partial(buffer.add, x, y, learner=learner)
    yield Comparison(
        "GSS-IQP, 300 of 400 gradients",
        race(contestants, rounds=rounds),
        "choice",
        note="one choice for each 100 rows of the stream",
    )


def _iterations(samples: int, rounds: int) -> Iterator[Comparison]:
    experiences = list(benchmark(1 + rounds, samples).train_stream)

    def avalanche(plugins: list[Any]) -> Callable[[], object]:
        strategy, waiting = _naive(plugins), list(experiences)
        strategy.train(waiting.pop())  # fills the memory
        return lambda: strategy.train(waiting.pop())

    theirs = GSS_greedyPlugin(mem_size=MEMORY, mem_strength=10, input_size=[1, 28, 28])
    contestants = {
        "Replay(GSSBuffer, fast=True)": avalanche(
            [Replay(GSSBuffer(MEMORY), update="iteration", fast=True)]
        ),
        "Replay(GSSBuffer)": avalanche([Replay(GSSBuffer(MEMORY), update="iteration")]),
        "Avalanche's GSS_greedyPlugin": avalanche([theirs]),
        "Replay(ReservoirBuffer, fast=True)": avalanche(
            [Replay(ReservoirBuffer(MEMORY), update="iteration", fast=True)]
        ),
        "Naive": avalanche([]),
    }
    seconds = race(contestants, rounds=rounds, warm=False)
    iterations = samples // BATCH
    each = {name: value / iterations for name, value in seconds.items()}
    yield Comparison(
        "iteration with GSS inside Avalanche's Naive, 10 + 10 rows",
        each,
        "iteration",
        goal=each["Avalanche's GSS_greedyPlugin"] / 3,
        note="goal a third of Avalanche's",
    )


def _naive(plugins: list[Any]) -> Naive:
    network = _mlp()
    logging.getLogger("avalanche").setLevel(logging.ERROR)
    return Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=1,
        evaluator=None,
        plugins=plugins,
    )
