"""From a suite's settings to a scenario and its transforms."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from benchmarks import datasets, scenarios
from benchmarks.datasets import ImageData, TableData, TableSet
from benchmarks.scenarios import Scenario
from benchmarks.settings import derived_seed
from benchmarks.suites import Suite
from clcore.errors import ArgumentError, UnknownNameError

BY_SEED = "by_seed"
"""Option of a scenario's step that takes its values in turn, one for each seed."""


@lru_cache(maxsize=2)
def load_data(name: str) -> ImageData:
    """Load a data set once in a process; see `benchmarks.datasets.load`."""
    return datasets.load(name)


@lru_cache(maxsize=1)
def load_table(name: str) -> TableData:
    """Load a table once in a process; see `benchmarks.datasets.load_table`."""
    return datasets.load_table(name)


def require_data(name: str) -> None:
    """Load a data set, whatever it holds, so that what is missing is said before anything runs.

    Raises:
        UnknownNameError: There is no such data set.
        DataUnavailableError: It is not in the cache.
    """
    if isinstance(datasets.REGISTRY.create(name), TableSet):
        load_table(name)
    else:
        load_data(name)


def build_scenario(suite: Suite, seed: int) -> Scenario:
    """Build a suite's scenario for one seed.

    Args:
        suite: The suite.
        seed: Seed of the run; each step draws from a generator of its own.

    Returns:
        The scenario.

    Raises:
        UnknownNameError: A step is no function of `benchmarks.scenarios`.
        ArgumentError: A step has no such option, or an option is out of range.
        DataUnavailableError: The data set is not in the cache.
    """
    found = _steps(suite)
    data = load_data(suite.dataset)
    result: Any = data
    for place, (name, function, given) in enumerate(found):
        options = {option: _for_seed(value, seed) for option, value in given.items()}
        if "seed" in inspect.signature(function).parameters:
            options = {"seed": derived_seed(seed, f"scenario {place} {name}"), **options}
        result = function(result, **options)
    assert isinstance(result, Scenario)
    return result


def _is_by_seed(value: dict[str, Any]) -> bool:
    values = value.get(BY_SEED)
    return len(value) == 1 and isinstance(values, list | tuple) and bool(values)


def _for_seed(value: Any, seed: int) -> Any:
    """The value of an option for one seed: `{"by_seed": [a, b]}` gives a, b, a, b, … in turn."""
    if isinstance(value, dict):
        return value[BY_SEED][seed % len(value[BY_SEED])]
    return value


def check_scenario(suite: Suite) -> None:
    """Refuse a scenario that can't be built, before anything is loaded or run.

    Raises:
        UnknownNameError: A step is no function of `benchmarks.scenarios`, or there is no such
            data set.
        ArgumentError: There is no step, the first does not take data, a further one does not take
            a scenario, or a step has no such option.
    """
    if suite.dataset not in datasets.REGISTRY:
        raise UnknownNameError("data set", suite.dataset, datasets.names())
    _steps(suite)


def _steps(suite: Suite) -> list[tuple[str, Callable[..., Scenario], dict[str, Any]]]:
    if not suite.scenario:
        raise ArgumentError("scenario: at least one step is needed, such as 'split'")
    known = {name: _first_parameter(name) for name in scenario_names()}
    found = []
    for place, (given, options) in enumerate(suite.scenario.items()):
        name = given.replace("_", "-")
        if name not in known:
            raise UnknownNameError("scenario", name, known)
        wanted = "scenario" if place else "data"
        if known[name] != wanted:
            fitting = ", ".join(n for n, takes in known.items() if takes == wanted)
            raise ArgumentError(
                f"scenario: {name!r} can't be step {place + 1}, which takes a {wanted}; "
                f"these do: {fitting}"
            )
        function = getattr(scenarios, name.replace("-", "_"))
        allowed = list(inspect.signature(function).parameters)[1:]
        for option, value in options.items():
            if isinstance(value, dict) and not _is_by_seed(value):
                raise ArgumentError(
                    f"scenario.{name}.{option}: got {value!r}; a value is needed, or "
                    f'{{"{BY_SEED}": [...]}} for one that changes from seed to seed'
                )
            if option not in allowed:
                raise ArgumentError(
                    f"scenario.{name}: has no option {option!r}; its options are: "
                    f"{', '.join(allowed)}"
                )
        found.append((name, function, options))
    return found


def scenario_names() -> list[str]:
    """Names of the functions that make or change a scenario, with hyphens."""
    return sorted(
        name.replace("_", "-") for name in scenarios.__all__ if _first_parameter(name) is not None
    )


def _first_parameter(name: str) -> str | None:
    """`"data"` or `"scenario"`; None for what is no such function."""
    value = getattr(scenarios, name.replace("-", "_"))
    if not inspect.isfunction(value):
        return None
    first = next(iter(inspect.signature(value).parameters), None)
    return first if first in ("data", "scenario") else None


def input_transform(suite: Suite, scenario: Scenario) -> Callable[[Tensor], Tensor]:
    """What turns uint8 images into what the network is fed, for training and evaluation alike.

    Args:
        suite: Says whether images are normalised.
        scenario: Knows mean and deviation of its images.

    Returns:
        A transform of one image `[c, h, w]` or a batch `[n, c, h, w]`, made of torchvision steps
        (which the fast path applies to whole batches).
    """
    from torchvision.transforms import v2

    steps: list[Any] = [v2.ToDtype(torch.float32, scale=True)]
    if suite.normalise == "dataset":
        # A channel without any deviation is only shifted.
        std = [value or 1.0 for value in scenario.std]
        steps.append(v2.Normalize(list(scenario.mean), std))
    composed: Callable[[Tensor], Tensor] = v2.Compose(steps)
    return composed


def augmented_transform(
    suite: Suite, scenario: Scenario, transform: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """What turns uint8 images into what the network is trained on.

    Args:
        suite: Says how images are augmented.
        scenario: Knows the size of its images.
        transform: From uint8 images to the network's input.

    Returns:
        `transform`, after the augmentation.
    """
    from torchvision.transforms import v2

    if suite.augmentation == "none":
        return transform
    _, height, width = scenario.image_shape
    steps: list[Any] = [v2.RandomCrop((height, width), padding=4)]
    if suite.augmentation == "crop-flip":
        steps.append(v2.RandomHorizontalFlip())
    composed: Callable[[Tensor], Tensor] = v2.Compose([*steps, transform])
    return composed
