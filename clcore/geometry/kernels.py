"""Similarities that fall with distance: what a pick is worth to a row that is some way off.

Each is a function κ of the squared distance s, and κ(∞), the *floor*, is what a row has before
anything is picked. A set's value is Σ_x w(x) (κ(nearest pick) − floor): a shift of κ changes
nothing, so facility location keeps −d rather than c − d, which in float32 would lose the low
digits of d; c only enters through the floor, −c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

import torch
from torch import Tensor

from clcore.errors import ArgumentError

Metric = Literal["euclidean", "squared", "cosine"]
KernelName = Literal["rbf", "laplace", "student-t", "top-hat"]


class Shape(IntEnum):
    """The forms of κ; the numbers are what the compiled loops branch on."""

    EUCLIDEAN = 0
    SQUARED = 1
    RBF = 2
    LAPLACE = 3
    STUDENT_T = 4
    TOP_HAT = 5


@dataclass(frozen=True)
class Kernel:
    """A similarity κ(s) of the squared distance s, falling in s.

    Attributes:
        shape: Its form: −√s, −a·s, exp(−a·s), exp(−a·√s), 1/(1 + a·s) or [a·s ≤ 1].
        scale: a.
        reach: c of facility location: no less than the largest distance between two rows.
        tiebreak: ε of a top-hat: κ is 1 + ε (1 − √(a·s)) within the radius, so that rows equally
            covered are told apart by distance. 0 for none.
    """

    shape: Shape
    scale: float = 1.0
    reach: float = 0.0
    tiebreak: float = 0.0

    @property
    def numbers(self) -> tuple[int, float, float]:
        """What the compiled loops are told of it: shape, scale and tie-break."""
        return int(self.shape), self.scale, self.tiebreak

    @property
    def floor(self) -> float:
        """κ of a row before anything is picked."""
        if self.shape is Shape.EUCLIDEAN:
            return -self.reach
        return -self.scale * self.reach**2 if self.shape is Shape.SQUARED else 0.0

    @property
    def top(self) -> float:
        """κ(0), the largest value."""
        distance = self.shape in (Shape.EUCLIDEAN, Shape.SQUARED)
        return 0.0 if distance else 1.0 + self.tiebreak

    def working_type(self, kind: torch.dtype) -> torch.dtype:
        """Say in which precision κ is to be kept; a tie-break needs the digits of float64.

        Args:
            kind: Precision of the distances.

        Returns:
            float64 where there is a tie-break, else `kind`.
        """
        return torch.float64 if self.tiebreak else kind

    def of(self, squared: Tensor) -> Tensor:
        """Compute κ.

        Args:
            squared: Squared distances of any shape, none negative; overwritten where possible.

        Returns:
            κ of each, in the working type.
        """
        match self.shape:
            case Shape.EUCLIDEAN:
                return squared.sqrt_().neg_()
            case Shape.SQUARED:
                return squared.mul_(-self.scale)
            case Shape.RBF:
                return squared.mul_(-self.scale).exp_()
            case Shape.LAPLACE:
                return squared.sqrt_().mul_(-self.scale).exp_()
            case Shape.STUDENT_T:
                return squared.mul_(self.scale).add_(1).reciprocal_()
        kind = self.working_type(squared.dtype)
        covered = (squared * self.scale <= 1).to(kind)
        if self.tiebreak:
            covered *= 1 + self.tiebreak * (1 - squared.to(kind).mul_(self.scale).sqrt_())
        return covered


def distance_kernel(metric: Metric, reach: float) -> Kernel:
    """Make the κ of facility location: the distance, negated.

    Args:
        metric: `"euclidean"`, `"squared"`, or `"cosine"`, which is half the squared distance of
            rows scaled to length 1.
        reach: No less than the largest Euclidean distance between two rows.

    Returns:
        The kernel.

    Raises:
        ArgumentError: If there is no such metric.
    """
    check_metric(metric)
    # Copies of one row: nothing is any distance away, but the first pick still covers.
    reach = reach if reach > 0 else 1.0
    if metric == "euclidean":
        return Kernel(Shape.EUCLIDEAN, reach=reach)
    return Kernel(Shape.SQUARED, scale=0.5 if metric == "cosine" else 1.0, reach=reach)


def coverage_kernel(kernel: KernelName, bandwidth: float, tiebreak: float = 0.0) -> Kernel:
    """Make a named κ.

    Args:
        kernel: `"rbf"` exp(−d²/σ²), `"laplace"` exp(−d/σ), `"student-t"` 1/(1 + d²/σ²) or
            `"top-hat"` [d ≤ σ].
        bandwidth: σ, in units of the distance.
        tiebreak: ε; a top-hat is then 1 + ε (1 − d/σ) within its radius.

    Returns:
        The kernel.

    Raises:
        ArgumentError: If there is no such kernel, the bandwidth isn't a positive number, or a
            tie-break is negative or asked of another kernel than the top-hat.
    """
    if kernel not in get_args(KernelName):
        raise ArgumentError(f"kernel must be one of {_listed(KernelName)}, not {kernel!r}")
    check_positive("bandwidth", bandwidth)
    if not (math.isfinite(tiebreak) and tiebreak >= 0):
        raise ArgumentError(f"tiebreak must be a finite number of at least 0, not {tiebreak!r}")
    if tiebreak and kernel != "top-hat":
        raise ArgumentError(f"tiebreak is for the kernel 'top-hat', not {kernel!r}")
    if kernel == "laplace":
        return Kernel(Shape.LAPLACE, 1 / bandwidth)
    shapes = {"rbf": Shape.RBF, "student-t": Shape.STUDENT_T, "top-hat": Shape.TOP_HAT}
    return Kernel(shapes[kernel], 1 / bandwidth**2, tiebreak=tiebreak)


def check_metric(metric: str) -> None:
    """Refuse a name that is no metric.

    Raises:
        ArgumentError: If it is none of `"euclidean"`, `"squared"` and `"cosine"`.
    """
    if metric not in get_args(Metric):
        raise ArgumentError(f"metric must be one of {_listed(Metric)}, not {metric!r}")


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a positive, finite number.

    Args:
        name: The argument's name, for the message.
        value: What was given.

    Raises:
        ArgumentError: If it is anything else.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value > 0):
        raise ArgumentError(f"{name} must be a positive number, not {value!r}")


def _listed(names: object) -> str:
    return ", ".join(repr(name) for name in get_args(names))
