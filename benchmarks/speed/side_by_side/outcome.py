"""What became of one contestant in one row."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["finished", "not installed", "too large", "left out", "too long", "failed"]

TOLERANCE = 1e-3
"""How much better than ours, relatively, a peer's objective may be for its time to count."""


@dataclass(frozen=True)
class Outcome:
    """The figures of one contestant, or why there are none.

    Attributes:
        name: The contestant's.
        status: `"finished"`, or why not.
        reason: In words where it is not finished.
        cpu: Processor seconds of one call, the median over the rounds.
        wall: Wall seconds of the same.
        peak_bytes: Memory at its highest, less what was held before the work.
        rounds: How often it was timed.
        calls: Calls a round, for calls too short to time alone.
        objective: As the one function of the task computes it; the mean over seeds where drawn.
        error: Standard error of that mean; 0 where nothing is drawn.
    """

    name: str
    status: Status = "finished"
    reason: str = ""
    cpu: float = math.nan
    wall: float = math.nan
    peak_bytes: int = 0
    rounds: int = 0
    calls: int = 0
    objective: float = math.nan
    error: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether there are figures."""
        return self.status == "finished"

    def as_dict(self) -> dict[str, Any]:
        """All figures, for the JSON file; what is not a number is null there."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def why_not_counted(
    ours: Outcome, theirs: Outcome, *, better: str, slack: float = 0.0
) -> str | None:
    """Say why the ratio of two times is not to be counted.

    A ratio counts only where our objective is at least theirs, up to 0.1 % of it; where the answers
    are drawn, up to two standard errors of the difference if that is more.

    Args:
        ours: Our outcome.
        theirs: Another's.
        better: `"smaller"` or `"larger"`.
        slack: An absolute difference that is rounding alone.

    Returns:
        The reason, or None where it counts.
    """
    for one, whose in ((ours, "ours"), (theirs, "it")):
        if not one.finished:
            return f"{whose} did not finish"
    if math.isnan(theirs.objective):
        return None  # a measure of time alone: there is no answer to compare
    if math.isnan(ours.objective):
        return "ours has no objective"
    ahead = ours.objective - theirs.objective
    ahead = ahead if better == "smaller" else -ahead
    size = abs(theirs.objective)
    allowed = max(TOLERANCE * size, slack, 2 * math.hypot(ours.error, theirs.error))
    if ahead <= allowed:
        return None
    return f"its objective is {_percent(ahead, size)} better"


def _percent(difference: float, size: float) -> str:
    return f"{100 * difference / size:.2g} %" if size > 0 else f"{difference:.3g}"
