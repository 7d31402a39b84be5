"""The state of an Avalanche strategy between two experiences."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.clock import Clock
from avalanche.training.templates.base_sgd import PeriodicEval
from torch import nn

from clcore.errors import FormatError
from strategies.continual.fast_stream import FastStream
from strategies.continual.nearest_mean import NearestMeanClassifier
from strategies.learner_state import load_learner_state, take_learner_state

_log = logging.getLogger(__name__)

# Nothing that they remember outlives an experience, or it is saved elsewhere (the clock).
_FORGETFUL = (EvaluationPlugin, PeriodicEval, Clock, FastStream, NearestMeanClassifier)


def take_strategy_state(strategy: Any) -> dict[str, Any]:
    """Take the state of a strategy that is between two experiences.

    Args:
        strategy: Any strategy of Avalanche's SGD templates.

    Returns:
        Tensors and plain values.

    Raises:
        ArgumentError: A plugin's state holds more than tensors and plain values.
    """
    parts = _parts(strategy)
    for kind in _without_state(strategy, parts):
        _log.warning(
            "The checkpoint doesn't hold what %s remembers: it has no `state_dict`. A resumed "
            "run differs from an unbroken one if that matters.",
            kind,
        )
    return {
        **take_learner_state(strategy.model, strategy.optimizer, parts),
        "strategy": type(strategy).__name__,
        # Whether Avalanche has handed the model's parameters to the optimizer already.
        "adapted": strategy.optimized_param_id is not None,
        "clock": _counters(strategy.clock),
    }


def load_strategy_state(strategy: Any, state: Mapping[str, Any]) -> None:
    """Put a fresh strategy into a saved state.

    Args:
        strategy: Made as the saved one was.
        state: As `take_strategy_state` gave it.

    Raises:
        FormatError: The state is incomplete, or of a strategy made differently.
    """
    missing = {"strategy", "adapted", "clock"} - state.keys()
    if missing:
        raise FormatError(f"the saved strategy lacks {', '.join(sorted(missing))}")
    if state["strategy"] != type(strategy).__name__:
        raise FormatError(
            f"the saved strategy is a {state['strategy']}, this is a {type(strategy).__name__}"
        )
    strategy.model.to(strategy.device)
    if state["adapted"] and strategy.optimized_param_id is None:
        # As Avalanche does before the first experience, while the model has its first size.
        strategy.make_optimizer(reset_optimizer_state=True)
    load_learner_state(
        state,
        strategy.model,
        strategy.optimizer,
        _parts(strategy),
        after_growth=strategy.make_optimizer if state["adapted"] else None,
    )
    for name, value in state["clock"].items():
        setattr(strategy.clock, name, value)


def _counters(clock: Clock) -> dict[str, int]:
    return {name: value for name, value in vars(clock).items() if type(value) is int}


def _parts(strategy: Any) -> dict[str, Any]:
    """What has a state of its own, by a name that the same set-up gives again."""
    taken = {id(strategy.model), id(strategy.optimizer)}
    parts: dict[str, Any] = {}

    def add(name: str, holder: Any) -> None:
        if _has_state(holder):
            if id(holder) not in taken:
                taken.add(id(holder))
                parts[name] = holder
            return
        for key, value in vars(holder).items():
            if _has_state(value) and id(value) not in taken:
                taken.add(id(value))
                parts[f"{name}.{key}"] = value

    for name, plugin in _named_plugins(strategy):
        if not isinstance(plugin, _FORGETFUL):
            add(name, plugin)
    add("strategy", strategy)
    return parts


def _named_plugins(strategy: Any) -> Iterator[tuple[str, Any]]:
    """Plugins by class name, numbered where there are several of a class."""
    count: Counter[str] = Counter()
    for plugin in strategy.plugins:
        kind = type(plugin).__name__
        count[kind] += 1
        yield (kind if count[kind] == 1 else f"{kind} {count[kind]}"), plugin


def _without_state(strategy: Any, parts: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, plugin in _named_plugins(strategy)
        if not isinstance(plugin, _FORGETFUL)
        and name not in parts
        and not any(part.startswith(f"{name}.") for part in parts)
    ]


def _has_state(value: Any) -> bool:
    if isinstance(value, nn.Module):  # most losses are modules without any tensor
        return bool(value.state_dict())
    return not isinstance(value, type) and all(
        callable(getattr(value, name, None)) for name in ("state_dict", "load_state_dict")
    )
