"""A training epoch with replay, and online steps: Avalanche, ours inside it, a plain loop.

Every contestant does the same updates: SimpleMLP (784-256-10), SGD, the stream's batch plus as
many replayed rows. The plain loop is the least that PyTorch needs for it: uint8 tensors, one
normalisation, one forward and backward pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from avalanche.benchmarks.scenarios import split_online_stream
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import ReservoirSamplingBuffer
from avalanche.training.supervised import Naive
from torch import Tensor, nn

from benchmarks.speed.comparison import Comparison, race
from benchmarks.speed.workloads import benchmark, model
from buffers import ReservoirBuffer
from buffers.stream import open_rows
from strategies import OnlineLearner, Replay

MEAN, STD = 0.2860, 0.3530
SAMPLES, BATCH, MEMORY = 12_000, 32, 500


def epochs(rounds: int) -> Iterator[Comparison]:
    """One epoch of 12,000 samples with replay inside Avalanche's Naive."""
    stream = benchmark(2, SAMPLES).train_stream
    first, second = stream[0], stream[1]

    def avalanche(plugin: Callable[[], Any]) -> Callable[[], object]:
        strategy = _naive([plugin()], BATCH)
        strategy.train(first)
        return lambda: strategy.train(second)

    contestants = {
        "Replay(fast=True)": avalanche(
            lambda: Replay(ReservoirBuffer(MEMORY), batch_size=BATCH, fast=True)
        ),
        "plain loop": _plain_epoch(_pictures(second)),
        "Replay": avalanche(lambda: Replay(ReservoirBuffer(MEMORY), batch_size=BATCH)),
        "ours in ReplayPlugin": avalanche(
            lambda: ReplayPlugin(MEMORY, storage_policy=ReservoirBuffer(MEMORY))
        ),
        "Avalanche's ReplayPlugin": avalanche(
            lambda: ReplayPlugin(MEMORY, storage_policy=ReservoirSamplingBuffer(MEMORY))
        ),
    }
    seconds = race(contestants, rounds=max(rounds // 2, 2), warm=False)
    yield Comparison(
        "epoch with replay, 12,000 samples, batch 32 + 32",
        seconds,
        "epoch",
        goal=1.3 * seconds["plain loop"],
        note="fast path; goal 1.3 × the plain loop",
    )
    yield Comparison(
        "the same as a drop-in storage policy",
        {
            name: seconds[name]
            for name in ("ours in ReplayPlugin", "Avalanche's ReplayPlugin", "plain loop")
        },
        "epoch",
        goal=2.7,
    )


def online(steps: int) -> Iterator[Comparison]:
    """Online learning: 10 new rows and 10 replayed ones a step."""
    for slots in (200, 2000, 5000):
        contestants: dict[str, Callable[[], Any]] = {
            "Replay(fast=True)": partial(_replay, slots, fast=True),
            "Replay": partial(_replay, slots, fast=False),
            "ours in ReplayPlugin": partial(_drop_in, slots, ReservoirBuffer),
            "Avalanche's reservoir": partial(_drop_in, slots, ReservoirSamplingBuffer),
            "no replay": lambda: None,
        }
        yield Comparison(
            f"online step in Naive, {slots} slots",
            {name: _online_step(plugin, steps) for name, plugin in contestants.items()},
            "step",
            goal=3.5e-3,
            note=f"mean of {steps} experiences of 10 samples",
        )
    pictures = _pictures(benchmark(1, 10 * steps).train_stream[0])
    seconds = race(
        {"OnlineLearner": _learner(pictures), "plain loop": _plain_online(pictures)}, rounds=9
    )
    yield Comparison(
        "online step of the native loop, 2,000 slots",
        {name: value / steps for name, value in seconds.items()},
        "step",
        goal=1.2 * seconds["plain loop"] / steps,
        note="goal 1.2 × the plain loop",
    )


def _replay(slots: int, *, fast: bool) -> Replay:
    return Replay(ReservoirBuffer(slots), batch_size=10, fast=fast)


def _drop_in(slots: int, kind: Callable[[int], Any]) -> ReplayPlugin:
    return ReplayPlugin(slots, storage_policy=kind(slots))


def _naive(plugins: list[Any], batch: int) -> Naive:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    logging.getLogger("avalanche").setLevel(logging.ERROR)
    return Naive(
        model=network,
        optimizer=optimizer,
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=batch,
        train_epochs=1,
        evaluator=None,
        plugins=plugins,
    )


def _online_step(plugin: Callable[[], Any], steps: int) -> float:
    """Seconds of one mini-experience, the mean over the stream (growth is part of the cost)."""
    stream = benchmark(1, 10 * steps).train_stream
    chosen = plugin()
    strategy = _naive([] if chosen is None else [chosen], 10)
    experiences = list(split_online_stream(stream, experience_size=10))

    def train() -> None:
        for experience in experiences:
            strategy.train(experience)

    return race({"only": train}, rounds=1, warm=False)["only"] / steps


def _pictures(experience: Any) -> tuple[Tensor, Tensor]:
    rows = open_rows(experience.dataset)
    return rows.raw(), rows.labels


def _normalised(x: Tensor) -> Tensor:
    return x.float().div_(255).sub_(MEAN).div_(STD)


def _plain_epoch(pictures: tuple[Tensor, Tensor]) -> Callable[[], object]:
    x, y = pictures
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    memory_x, memory_y = x[:MEMORY].clone(), y[:MEMORY].clone()

    def epoch() -> None:
        network.train()
        for rows in torch.split(torch.randperm(len(x)), BATCH):
            drawn = torch.randperm(MEMORY)[:BATCH]
            batch_x = _normalised(torch.cat((x[rows], memory_x[drawn])))
            batch_y = torch.cat((y[rows], memory_y[drawn]))
            _step(network, optimizer, batch_x, batch_y)

    return epoch


def _plain_online(pictures: tuple[Tensor, Tensor]) -> Callable[[], object]:
    """A hand-written loop with a tensor reservoir."""
    x, y = pictures
    slots = 2000

    def loop() -> None:
        network = model()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        network.train()
        memory_x = torch.empty((slots, *x.shape[1:]), dtype=x.dtype)
        memory_y = torch.empty(slots, dtype=torch.int64)
        for start in range(0, len(x), 10):
            batch_x, batch_y = x[start : start + 10], y[start : start + 10]
            held = min(start, slots)
            joined_x, joined_y = batch_x, batch_y
            if held:
                drawn = torch.randint(held, (10,))
                joined_x = torch.cat((batch_x, memory_x[drawn]))
                joined_y = torch.cat((batch_y, memory_y[drawn]))
            _step(network, optimizer, _normalised(joined_x), joined_y)
            if held < slots:
                memory_x[held : held + 10], memory_y[held : held + 10] = batch_x, batch_y
            else:
                drawn = (torch.rand(10) * torch.arange(start + 1, start + 11)).long()
                kept = drawn < slots
                memory_x[drawn[kept]], memory_y[drawn[kept]] = batch_x[kept], batch_y[kept]

    return loop


def _learner(pictures: tuple[Tensor, Tensor]) -> Callable[[], object]:
    x, y = pictures

    def loop() -> None:
        network = model()
        learner = OnlineLearner(
            network,
            torch.optim.SGD(network.parameters(), lr=0.01),
            buffer=ReservoirBuffer(2000),
            batch_size_memory=10,
            transform=_normalised,
        )
        for start in range(0, len(x), 10):
            learner.observe(x[start : start + 10], y[start : start + 10])

    return loop


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(nn.functional.cross_entropy(network(x), y))
    optimizer.step()
