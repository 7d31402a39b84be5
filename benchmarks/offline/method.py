"""The methods of offline suites: what is trained on, from names such as `craig+every5`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.offline.suite import OfflineSuite
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selectors import registry

FULL = "full"
"""All rows, in every epoch."""

BASELINES = ("random", "random-fixed")
"""Methods that choose blindly; beside them a selector has to earn its cost."""


@dataclass(frozen=True)
class OfflineMethod:
    """How rows are chosen in one cell.

    Attributes:
        label: The name with its options, as results show it.
        selector: A registered selector, or `"full"`.
        every: Epochs from one selection to the next; None: chosen once.
        weighted: Whether the coreset's weights are used; `"sampling"`: as frequencies.
        rate: Factor on the learning rate.
    """

    label: str
    selector: str
    every: int | None
    weighted: bool | Literal["sampling"]
    rate: float = 1.0

    @property
    def full(self) -> bool:
        """Whether all rows are trained on."""
        return self.selector == FULL


def find(name: str, suite: OfflineSuite) -> OfflineMethod:
    """Read a method's name.

    Args:
        name: `"full"`, `"random"`, `"random-fixed"` or a selector's name, with options after
            it: `+every5`, `+once`, `+unweighted`, `+sampled`, `+rate2`.
        suite: Says how often is chosen where the name does not.

    Raises:
        UnknownNameError: There is no such method; suggests the nearest.
        ArgumentError: There is no such option, or it is without effect.
    """
    base, *options = name.strip().lower().replace("_", "-").split("+")
    every, rate = suite.every, 1.0
    weighted: bool | Literal["sampling"] = True
    selector = base
    if base == "random-fixed":
        selector, every = "random", None
    elif base != FULL and base not in registry:
        raise UnknownNameError("method", base, [FULL, *BASELINES, *registry.names()])
    for option in options:
        number = option.removeprefix("every")
        if (factor := _rate(option)) is not None:
            rate = factor
        elif base in (FULL, "random-fixed"):
            raise ArgumentError(f"methods: {base!r} takes no option but +rate2, not +{option}")
        elif option == "once":
            every = None
        elif option == "unweighted":
            weighted = False
        elif option == "sampled":
            weighted = "sampling"
        elif option.startswith("every") and number.isdecimal() and int(number) > 0:
            every = int(number)
        else:
            raise ArgumentError(
                f"methods: {base!r} has no option +{option}; allowed are +every5 (or another "
                "number), +once, +unweighted, +sampled and +rate2 (or another number)"
            )
    _check_together(base, options, suite)
    if suite.pretrain_epochs:
        every = None
    return OfflineMethod("+".join([base, *options]), selector, every, weighted, rate)


def _check_together(base: str, options: list[str], suite: OfflineSuite) -> None:
    """Refuse options that contradict one another, or that a suite has no use for."""
    for group in (("sampled", "unweighted"), ("every", "once"), ("rate",)):
        given = [option for option in options if option.rstrip("0123456789.") in group]
        if len(given) > 1:
            raise ArgumentError(
                f"methods: {base!r} has +{' and +'.join(given)}, of which only one can hold"
            )
        if suite.pretrain_epochs and given and given[0].startswith("every"):
            raise ArgumentError(
                f"methods: +{given[0]} is without effect in {suite.name}, where a pretrained model "
                "is read once (pretrain_epochs)"
            )


def _rate(option: str) -> float | None:
    """The factor of an option such as `rate2.5`; None for another option."""
    number = option.removeprefix("rate")
    if number == option or not number.replace(".", "", 1).isdecimal():
        return None
    return float(number) or None


def is_full(label: str) -> bool:
    """Whether a label is that of training on all rows, whatever the rate."""
    return label.partition("+")[0] == FULL
