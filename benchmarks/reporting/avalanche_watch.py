"""Reading what a dashboard needs out of an Avalanche strategy, without asking it to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sized
from typing import Any

import torch
from torch import Tensor

from benchmarks.reporting.memory_event import is_memory

_TOP1 = re.compile(
    r"^Top1_Acc_Exp/eval_phase/(?P<stream>.+?)_stream(?:/Task\d+)?/Exp(?P<experience>\d+)$"
)


def top1_of(name: str) -> tuple[str, int] | None:
    """Stream and experience of one of Avalanche's accuracy metrics.

    Args:
        name: Full name of a metric, such as
            `"Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp003"`.

    Returns:
        For example `("test", 3)`; None for other metrics.
    """
    found = _TOP1.match(name)
    return (found["stream"], int(found["experience"])) if found else None


def experience_index(experience: Any) -> int:
    """Number of an experience; of an online stream's piece, that of the experience it is cut of."""
    origin = getattr(experience, "origin_experience", None)
    return int((origin if origin is not None else experience).current_experience)


def stream_name(experience: Any) -> str:
    """Name of the stream that an evaluation experience belongs to; `test` where it doesn't say."""
    stream = getattr(experience, "origin_stream", None)
    return str(getattr(stream, "name", "test"))


def experience_count(experience: Any) -> int | None:
    """How many experiences the stream of an experience has, where it can be known.

    A slice of a stream, such as `test_stream[:3]`, says how long the whole is.
    """
    stream = getattr(experience, "origin_stream", None)
    streams = getattr(getattr(stream, "benchmark", None), "streams", {})
    whole = streams.get(stream_name(experience), stream)
    return len(whole) if isinstance(whole, Sized) else None


def find_buffer(strategy: Any) -> Any:
    """The first of our buffers on a strategy or on its plugins.

    Args:
        strategy: An Avalanche strategy.

    Returns:
        What stands under `storage_policy` or `buffer` and is one of our buffers; else None.
    """
    for holder in (strategy, *getattr(strategy, "plugins", ())):
        for name in ("storage_policy", "buffer"):
            candidate = getattr(holder, name, None)
            if is_memory(candidate):
                return candidate
    return None


def batch_accuracy(strategy: Any) -> float | None:
    """Share of the present mini-batch that is classified correctly; None for other problems."""
    right = correct(strategy)
    return None if right is None else float(right.double().mean())


def correct(strategy: Any) -> Tensor | None:
    """Which rows of the present mini-batch are classified correctly.

    Args:
        strategy: In an iteration, after the forward pass.

    Returns:
        bool `[rows]`, or None where outputs and targets are not those of a classification.
    """
    output, target = strategy.mb_output, strategy.mb_y
    if not isinstance(output, Tensor) or not isinstance(target, Tensor):
        return None
    if output.dim() != 2 or target.dim() != 1 or target.is_floating_point():
        return None
    return output.detach().argmax(dim=1) == target


def replay_loss(strategy: Any) -> float | None:
    """Cross-entropy on the replayed rows, where a plugin says which rows those are."""
    replayed = getattr(strategy, "is_replay", None)
    if not isinstance(replayed, Tensor) or not bool(replayed.any()):
        return None
    if correct(strategy) is None or len(replayed) != len(strategy.mb_y):
        return None
    rows = replayed.to(strategy.mb_y.device)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(strategy.mb_output[rows], strategy.mb_y[rows])
    return float(loss)


def describe(strategy: Any, buffer: Any) -> dict[str, Any]:
    """Settings of a strategy, as far as they can be read off.

    Args:
        strategy: An Avalanche strategy.
        buffer: Its buffer, or None.

    Returns:
        Plain values for a wandb config.
    """
    settings: dict[str, Any] = {"strategy": type(strategy).__name__}
    for name in ("train_mb_size", "train_epochs", "eval_mb_size"):
        if hasattr(strategy, name):
            settings[name] = getattr(strategy, name)
    optimizer = getattr(strategy, "optimizer", None)
    if optimizer is not None:
        settings["optimizer"] = {
            "name": type(optimizer).__name__,
            **{key: value for key, value in optimizer.defaults.items() if _plain(value)},
        }
    model = getattr(strategy, "model", None)
    if model is not None:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        settings["model"] = {"name": type(model).__name__, "parameters": parameters}
    settings["plugins"] = list(_plugin_names(strategy))
    if buffer is not None:
        settings["buffer"] = {"name": type(buffer).__name__, "max_size": buffer.max_size}
    return settings


def _plugin_names(strategy: Any) -> Iterator[str]:
    for plugin in getattr(strategy, "plugins", ()):
        yield type(plugin).__name__


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
