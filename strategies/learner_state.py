"""The state that every learner has: model, optimizer, parts with a state of their own, randomness.

Optimizers number their parameters; in a model that has grown the numbers depend on the order in
which heads were added. So parameters are also written down by name, and put into that order again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from clcore.errors import FormatError
from strategies.growth import attributes_of, check_shapes, grow
from strategies.plain import from_plain, random_state, set_random_state, to_plain


def take_learner_state(
    model: nn.Module, optimizer: Optimizer, parts: Mapping[str, Any]
) -> dict[str, Any]:
    """Take the state of a learner, as tensors and plain values.

    Args:
        model: The model.
        optimizer: Its optimizer.
        parts: Objects with `state_dict` and `load_state_dict`, by name: buffers, schedulers, ….

    Returns:
        The state, global random states included.

    Raises:
        ArgumentError: A part's state holds more than tensors and plain values.
    """
    return {
        "model": to_plain(model.state_dict(), "model"),
        "attributes": to_plain(attributes_of(model), "model"),
        "optimizer": to_plain(optimizer.state_dict(), "optimizer"),
        "optimizer_kind": type(optimizer).__name__,
        "parameters": _names(model, optimizer),
        "parts": {name: to_plain(part.state_dict(), name) for name, part in parts.items()},
        "random": random_state(),
    }


def load_learner_state(
    state: Mapping[str, Any],
    model: nn.Module,
    optimizer: Optimizer,
    parts: Mapping[str, Any],
    after_growth: Callable[[], None] | None = None,
) -> None:
    """Put a learner into a saved state.

    Args:
        state: As `take_learner_state` gave it.
        model: The model; grown to the saved shape where it is one of Avalanche's that grow.
        optimizer: Its optimizer.
        parts: The same objects, by the same names.
        after_growth: Called when the model has its parameters, to hand them to the optimizer.

    Raises:
        FormatError: The state is incomplete, or of other objects.
    """
    try:
        kind, saved_parts = state["optimizer_kind"], state["parts"]
        if kind != type(optimizer).__name__:
            raise FormatError(f"the optimizer was {kind}, this one is {type(optimizer).__name__}")
        if saved_parts.keys() != parts.keys():
            raise FormatError(
                f"the saved learner has the parts {_listed(saved_parts)}, this one has "
                f"{_listed(parts)}; make it with the same buffer and plugins"
            )
        grow(model, state["model"], from_plain(state["attributes"]))
        check_shapes(model, state["model"])
        if after_growth is not None:
            after_growth()
        model.load_state_dict(state["model"])
        _order(model, optimizer, state["parameters"])
        optimizer.load_state_dict(from_plain(state["optimizer"]))
        for name, part in parts.items():
            part.load_state_dict(from_plain(saved_parts[name]))
        set_random_state(state["random"])
    except FormatError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise FormatError(
            f"the saved state doesn't fit this learner: {type(error).__name__}: {error}"
        ) from error


def _names(model: nn.Module, optimizer: Optimizer) -> list[list[str]]:
    """Names of the optimizer's parameters, group by group; empty for those not of the model."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        [names.get(id(parameter), "") for parameter in group["params"]]
        for group in optimizer.param_groups
    ]


def _order(model: nn.Module, optimizer: Optimizer, saved: list[list[str]]) -> None:
    here = _names(model, optimizer)
    if here == saved:
        return
    if [sorted(group) for group in here] != [sorted(group) for group in saved]:
        raise FormatError(
            "the optimizer holds other parameters than the saved one did; make it with the same "
            "parameter groups"
        )
    parameters = dict(model.named_parameters())
    for group, now, then in zip(optimizer.param_groups, here, saved, strict=True):
        # What is not the model's keeps its place among its like.
        others = iter([p for p, name in zip(group["params"], now, strict=True) if not name])
        group["params"] = [parameters[name] if name else next(others) for name in then]


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) if names else "none"
