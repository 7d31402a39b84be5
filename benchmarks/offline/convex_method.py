"""The methods of convex suites: names such as `leverage+whitened`."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.offline.suite import OfflineSuite
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selectors import registry

FULL, LEVERAGE = "full", "leverage"


@dataclass(frozen=True)
class ConvexMethod:
    """How rows are chosen, and how a convex problem is trained on them.

    Attributes:
        label: The name with its options, as results show it.
        selector: A registered selector, `"leverage"` or `"full"`.
        weighted: Whether the coreset's weights are used.
        anchored: Whether steps are corrected to the gradient over all data.
        whitened: Whether steps are taken in coordinates of even curvature.
        rate: Factor on the learning rate.
        every: None: coresets are chosen once.
    """

    label: str
    selector: str
    weighted: bool = True
    anchored: bool = False
    whitened: bool = False
    rate: float = 1.0
    every: None = None

    @property
    def full(self) -> bool:
        """Whether all rows are trained on."""
        return self.selector == FULL

    @property
    def way(self) -> str:
        """What step sizes are tuned for: `"full"`, `"subset"`, `"anchored"` or `"whitened"`."""
        if self.whitened:
            return "whitened"
        if self.full:
            return "full"
        return "anchored" if self.anchored else "subset"


def find_convex(name: str, suite: OfflineSuite) -> ConvexMethod:
    """Read a method's name.

    Args:
        name: `"full"`, `"random-fixed"`, `"leverage"` or a selector's name, with options after it:
            `+anchored`, `+whitened` (which includes it), `+unweighted`, `+rate2`. `"full"` takes
            `+whitened` and `+rate2` alone.
        suite: Where it is to run.

    Raises:
        UnknownNameError: There is no such method; suggests the nearest.
        ArgumentError: There is no such option, or it is without effect; or the suite chooses
            more than once.
    """
    if suite.every is not None or suite.warmup_epochs or suite.pretrain_epochs:
        raise ArgumentError(
            "every, warmup_epochs and pretrain_epochs: the coreset of a convex problem is chosen "
            "once, before training: set every to None and the others to 0"
        )
    base, *options = name.strip().lower().replace("_", "-").split("+")
    selector = "random" if base == "random-fixed" else base
    if selector not in (FULL, LEVERAGE) and selector not in registry:
        raise UnknownNameError("method", base, [FULL, "random-fixed", LEVERAGE, *registry.names()])
    rate, chosen = 1.0, set()
    for option in options:
        factor = _rate(option)
        allowed = ["whitened"] if base == FULL else ["anchored", "whitened", "unweighted"]
        if factor is not None:
            rate = factor
        elif option in allowed:
            chosen.add(option)
        else:
            raise ArgumentError(
                f"methods: {base!r} has no option +{option}; allowed are "
                f"{', '.join(f'+{each}' for each in allowed)} and +rate2 (or another number)"
            )
    whitened = "whitened" in chosen
    return ConvexMethod(
        "+".join([base, *options]),
        selector,
        weighted="unweighted" not in chosen,
        anchored=base != FULL and (whitened or "anchored" in chosen),
        whitened=whitened,
        rate=rate,
    )


def _rate(option: str) -> float | None:
    """The factor of an option such as `rate2.5`; None for another option."""
    number = option.removeprefix("rate")
    if number == option or not number.replace(".", "", 1).isdecimal():
        return None
    return float(number) or None
