"""Orthogonal matching pursuit with non-negative weights, for the gradient-matching function.

Source: Pati, Rezaiifar & Krishnaprasad, "Orthogonal matching pursuit: recursive function
approximation with applications to wavelet decomposition", 1993; with weights that may not be
negative as in Killamsetty et al., GRAD-MATCH, ICML 2021, which takes the gradients as long as they
are where the classic form takes unit vectors; here `normalise` says which. `look_ahead`: Rebollo-
Neira & Lowe, "Optimized orthogonal matching pursuit approach", 2002.

Formula: with the residual r of the set chosen so far,

    S ← S ∪ {argmax_i ⟨g_i, r⟩},   w ← argmin_{w ≥ 0} ‖t − Σ_S w_j g_j‖² + λ ‖w‖².

Only positive correlations lower the residual under w ≥ 0, so the largest one is taken and not the
largest by size. A pick whose weight falls to 0 stays picked and may get weight again later. Once no
correlation is positive the residual is as small as it can be; what is still to be picked is taken
by the same rule and has weight 0. Ties go to the lowest row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry import step_loop
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.objective import Objective
from clcore.objectives.gradient_matching import GradientMatching
from clcore.quotas import Allowance


@dataclass(frozen=True)
class MatchingPursuit(Maximiser):
    """Take the row most correlated with what is left to match, k times.

    Args:
        tolerance: Stop once the residual is no longer than this share of the target; 0 goes on
            to `k`.
        normalise: Divide the correlations by √(‖g_i‖² + λ), so that long gradients are not
            preferred: the first step of each pick then lowers the objective the most.
        look_ahead: Divide them by the root of what of ‖g_i‖² + λ the picks do not span, so that
            each pick lowers the objective the most once all weights are fitted again (short of
            weights that fall to 0). Memory for n × k numbers.
    """

    tolerance: float = 0.0
    normalise: bool = False
    look_ahead: bool = False

    def __post_init__(self) -> None:
        check_tolerance(self.tolerance)
        # What the base class promises depends on the option: say so on the instance.
        check_flag("normalise", self.normalise)
        check_flag("look_ahead", self.look_ahead)
        object.__setattr__(self, "stops_early", self.tolerance > 0)

    def _maximise(
        self,
        objective: Objective,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
        stop: Stop,
    ) -> Picks:
        if not isinstance(objective, GradientMatching):
            raise ArgumentError(
                f"the maximiser {self.name} needs the function gradient-matching, "
                f"not {objective.name}"
            )
        picks, target = Picks(), stop.target(objective)
        with step_loop(objective.step):
            while len(picks) < k:
                if self.tolerance > 0 and objective.residual() <= self.tolerance:
                    break
                row = most_correlated(objective, allowance.penalty, self.normalise, self.look_ahead)
                if stop.gain is not None and stop.before(float(objective.gains(row))):
                    break
                before = objective.value()
                objective.add(row)
                number = int(row)
                allowance.take(number)
                picks.append(number, objective.value() - before)
                if objective.value() >= target:
                    break
        return picks


def most_correlated(
    objective: GradientMatching,
    penalty: Tensor,
    normalise: bool = False,
    look_ahead: bool = False,
) -> Tensor:
    """Return the open row whose gradient has the largest product with the residual.

    Args:
        objective: The state of the pursuit.
        penalty: `[n]`: 0 where a row may be picked, minus infinity where not.
        normalise: See `MatchingPursuit`.
        look_ahead: See `MatchingPursuit`; goes before `normalise`.

    Returns:
        int64 `[1]`; the lowest of equal ones.
    """
    scores = objective.correlations()
    if look_ahead:
        scores = scores * objective.unspanned().rsqrt()
    elif normalise:
        scores = scores * objective.scale
    return (scores + penalty.to(scores.dtype)).argmax().reshape(1)


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ArgumentError: If it is anything else.
    """
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} must be True or False, not {value!r}")


def check_tolerance(tolerance: Any) -> None:
    """Refuse a tolerance that is no share.

    Raises:
        ArgumentError: If it is not a number of at least 0 and below 1.
    """
    good = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if not (good and math.isfinite(tolerance) and 0 <= tolerance < 1):
        raise ArgumentError(f"tolerance must be a number from 0 to below 1, not {tolerance!r}")
