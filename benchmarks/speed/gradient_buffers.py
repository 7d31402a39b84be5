"""Memories that look at gradients: GSS, OCS, GCR, greedy coreset, BCSR.

The model is an MLP 784-256-256-10. "Plain step" is forward, backward and SGD on as many rows as the
choice is made from, all that training without a memory does. A GSS choice for 10 rows runs 110 of
them forward and back. `quick=True` leaves out GCR and the greedy coreset, which take seconds each.
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
from buffers import (
    GCRBuffer,
    GreedyCoresetBuffer,
    GSSBuffer,
    Incoming,
    OCSBuffer,
    ReservoirBuffer,
)
from clcore import Pool
from clcore.selectors.bcsr import BCSR
from strategies import Replay

MEMORY, BATCH = 300, 10


def measure(*, quick: bool = False) -> Iterator[Comparison]:
    """Measure the group, one comparison at a time."""
    single_thread()
    rounds = 9 if quick else 31
    yield from _choices(rounds)
    yield from _iqp(3 if quick else 7)
    yield from _scores(rounds, 1 if quick else 5)
    yield from _iterations(100 if quick else 2000, 2 if quick else 5)
    yield from _batch_of_bcsr(3 if quick else 7)
    if not quick:
        yield from _consolidation()
        yield from _greedy_coreset()


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


def _iqp(rounds: int) -> Iterator[Comparison]:
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


def _scores(rounds: int, loops: int) -> Iterator[Comparison]:
    """Score stream batches as OCS does, against 10 exemplars of a past task."""
    network = _mlp()
    learner = SimpleNamespace(model=network)
    for rows, steps in ((10, 3), (100, 5)):
        x, y = _rows(rows)
        incoming = Incoming(x, y, torch.ones_like(y), {}, agent=learner)
        contestants: dict[str, Callable[[], object]] = {}
        for signal in ("whole_network", "last_layer"):
            buffer = OCSBuffer(MEMORY, signal=signal)
            buffer.add(*_rows(MEMORY), learner=learner)
            every, past = torch.arange(rows), torch.arange(10)
            contestants[signal] = partial(buffer.scores, incoming, every, past)
        contestants["plain step"] = _plain_step(network, x, y)
        seconds = race(contestants, rounds=rounds, calls=max(1, 200 // rows))
        name = "autograd loop, no exemplar"
        seconds |= race({name: partial(_autograd_loop, network, x, y)}, rounds=loops)
        yield Comparison(
            f"OCS scores of {rows} rows against 10 exemplars",
            seconds,
            "batch",
            goal=steps * seconds["plain step"],
            note=f"goal {steps} × a plain step",
        )


def _autograd_loop(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Inner products of gradients that are taken one sample at a time."""
    parameters = list(network.parameters())
    rows = []
    for i in range(len(x)):
        loss = nn.functional.cross_entropy(network(x[i : i + 1]), y[i : i + 1])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    gradients = torch.stack(rows)
    return gradients @ gradients.T


def _consolidation() -> Iterator[Comparison]:
    x, y = _rows(10_000)
    columns = {"features": torch.rand(10_000, 512), "logits": torch.randn(10_000, 10)}

    def consolidate() -> None:
        GCRBuffer(2_000).add(x, y, **columns)

    yield Comparison(
        "GCR: 2,000 of 10,000, 512 features, 10 classes",
        race({"ours": consolidate}, rounds=3, warm=False),
        "consolidation",
        note="features and logits given",
    )


def _greedy_coreset() -> Iterator[Comparison]:
    x, y = torch.rand(1_000, 784), torch.randint(0, 10, (1_000,))

    def choose() -> None:
        GreedyCoresetBuffer(100).add(x, y)

    yield Comparison(
        "greedy coreset: 100 of 1,000 × 784",
        race({"ours": choose}, rounds=3, warm=False),
        "choice",
        goal=8.0,
    )


def _batch_of_bcsr(rounds: int) -> Iterator[Comparison]:
    x, y = _rows(50)
    pool = Pool(features=x.flatten(1), labels=y)
    selector = BCSR(hidden=100)
    contestants: dict[str, Callable[[], object]] = {
        "ours": partial(selector.select, pool, 10),
        "plain step": _plain_step(_mlp(), x, y),
    }
    seconds = race(contestants, rounds=rounds)
    yield Comparison(
        "BCSR: 10 of one batch of 50 × 784",
        seconds,
        "batch",
        goal=40 * seconds["plain step"],
        note="proxy 784-100-10; goal 40 × a plain step of 50 rows",
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
