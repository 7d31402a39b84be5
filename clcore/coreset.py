"""What a selection gives back: the picks, their weights and gains, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clcore.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent; costs add up with `+`.

    Attributes:
        seconds: Wall-clock seconds.
        forward_passes: Samples sent forward through a model.
        backward_passes: Samples whose loss was differentiated.
        distance_evaluations: Pairs of rows whose distance or inner product was computed.
    """

    seconds: float = 0.0
    forward_passes: int = 0
    backward_passes: int = 0
    distance_evaluations: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            self.forward_passes + other.forward_passes,
            self.backward_passes + other.backward_passes,
            self.distance_evaluations + other.distance_evaluations,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds - other.seconds,
            self.forward_passes - other.forward_passes,
            self.backward_passes - other.backward_passes,
            self.distance_evaluations - other.distance_evaluations,
        )


@dataclass(frozen=True, eq=False)
class Coreset:
    """The rows that a selector picked, in pick order.

    Attributes:
        indices: int64 `[k]`: rows of the pool, unique, disjoint from `given`, in pick order.
        weights: float `[k]`: how much data each pick stands for. They sum to the size (or to the
            total weight) of the pool where the method defines weights, else they are ones.
        gains: float `[k]`: what each pick added to the method's objective; zeros where the method
            has no such notion.
        cost: What the selection cost.
        report: Figures that the method has to tell of this answer, by name: for example the
            residual that is left, or the value lost to an approximation. Empty for most.
    """

    indices: Tensor
    weights: Tensor
    gains: Tensor
    cost: Cost = field(default_factory=Cost)
    report: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.indices.dtype != torch.int64 or self.indices.ndim != 1:
            raise ArgumentError(
                "indices must be a one-dimensional int64 tensor, not "
                f"{self.indices.dtype} of shape {tuple(self.indices.shape)}"
            )
        for name, values in (("weights", self.weights), ("gains", self.gains)):
            if values.shape != self.indices.shape or not values.is_floating_point():
                raise ArgumentError(
                    f"{name} must be {len(self.indices)} floats, one a pick, not "
                    f"{values.dtype} of shape {tuple(values.shape)}"
                )

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def of(
        cls,
        indices: Tensor | Iterable[int],
        *,
        weights: Tensor | Sequence[float] | None = None,
        gains: Tensor | Sequence[float] | None = None,
        distance_evaluations: int = 0,
        device: torch.device | str | None = None,
        report: Mapping[str, float] | None = None,
    ) -> Coreset:
        """Build a coreset from what a selector has at hand.

        Args:
            indices: The picks, in pick order; a tensor or an iterable of ints.
            weights: One a pick; ones when left out.
            gains: One a pick; zeros when left out.
            distance_evaluations: Goes into the cost.
            device: Where the tensors lie; by default where `indices` does.
            report: Figures of this answer, by name.

        Returns:
            The coreset. The base class of the selectors adds seconds and passes to its cost.
        """
        if not isinstance(indices, Tensor):
            indices = torch.tensor(list(indices), dtype=torch.int64)
        indices = indices.to(device) if device is not None else indices

        def column(values: Tensor | Sequence[float] | None, filled: float) -> Tensor:
            if values is None:
                return torch.full(indices.shape, filled, device=indices.device)
            if isinstance(values, Tensor) and values.is_floating_point():
                return values.to(indices.device)
            return torch.as_tensor(values, dtype=torch.float32, device=indices.device)

        return cls(
            indices,
            column(weights, 1.0),
            column(gains, 0.0),
            Cost(distance_evaluations=distance_evaluations),
            dict(report or {}),
        )
