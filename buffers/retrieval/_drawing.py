"""What rules that ask the model share: the learner's context, exemplars as it sees them, draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from buffers.exemplars import Exemplars
from clcore import Cost
from clcore.clock import working_time
from clcore.errors import ArgumentError
from clcore.guard import guard

if TYPE_CHECKING:
    from buffers.memory import Memory


def require(rule: str, context: Mapping[str, Any], *names: str) -> None:
    """Refuse a context that lacks something.

    Args:
        rule: The rule's name, for the message.
        context: What `sample` was given.
        names: What the rule needs.

    Raises:
        ArgumentError: Something is missing, or `model` is no module; says how to give it.
    """
    missing = [name for name in names if context.get(name) is None]
    if missing:
        given = ", ".join(f"{name}=..." for name in names)
        raise ArgumentError(
            f"{missing[0]}: retrieval {rule!r} needs it; draw by `sample(n, {rule!r}, {given})`, x "
            "as the model sees it, or let `Replay` or `OnlineLearner` draw"
        )
    if "model" in names and not isinstance(context["model"], nn.Module):
        raise ArgumentError(
            f"model: got a {type(context['model']).__name__}; a torch Module is needed"
        )


def shown(memory: Memory, rows: Tensor, device: torch.device) -> Exemplars:
    """Read exemplars as the model sees them in evaluation.

    They pass the memory's `eval_transform`, or its `transform` where there is none or where it
    leaves pixels uint8. Random numbers that a transform takes from the global generators are given
    back.

    Args:
        memory: The memory.
        rows: Rows of its store, `[m]` int64.
        device: Where the model computes.

    Returns:
        The exemplars; their x, y and task on `device`.
    """
    evaluate = memory.eval_transform
    with guard():
        read = memory.read(rows, transform=True if evaluate is None else evaluate)
        x = read.x
        if x.dtype == torch.uint8 and evaluate is not None and memory.transform is not None:
            x = memory.transform(x)
    x, y, task = (part.to(device) for part in (x, read.y, read.task))
    return Exemplars(x, y, task, read.index, read.weight, read.columns)


def balanced_order(labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Put rows into a random order in which every prefix is as balanced as it can be.

    Args:
        labels: Class of each row, `[n]` int64, on the CPU.
        generator: Source of randomness.

    Returns:
        The rows `[n]` int64: all first ones of their classes, then all second ones, and so on,
        classes and the rows within them in random order; and for each its place within its class.
    """
    order = torch.randperm(len(labels), generator=generator)
    classes, of_class, counts = torch.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = torch.argsort(of_class, stable=True)
    starts = counts.cumsum(0) - counts
    place = torch.empty_like(of_class)
    place[by_class] = torch.arange(len(order)) - starts[of_class[by_class]]
    rank = torch.randperm(len(classes), generator=generator)[of_class]
    sequence = torch.argsort(place * len(classes) + rank)
    return order[sequence], place[sequence]


@contextmanager
def timed(memory: Memory) -> Iterator[None]:
    """Count the seconds inside as spent by the memory."""
    started = working_time()
    try:
        yield
    finally:
        memory.spend(Cost(seconds=working_time() - started))


@contextmanager
def untouched_on_error(generator: torch.Generator) -> Iterator[None]:
    """Give the generator's draws back if what they were for fails."""
    state = generator.get_state()
    try:
        yield
    except BaseException:
        generator.set_state(state)
        raise
