"""The `memory` event: what a buffer holds, as one line of the event log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.reporting.images import exemplar_grid, is_image_batch, write_picture

# What a buffer needs to have for its panels; `buffers.Buffer` has it.
_NEEDED = ("class_counts", "all", "ages", "seen", "nbytes")


def is_memory(candidate: object) -> bool:
    """Whether an object looks like one of our buffers."""
    return all(hasattr(candidate, name) for name in _NEEDED)


def memory_event(
    buffer: Any, folder: Path, *, iteration: int, experience: int, seen_before: int
) -> dict[str, Any]:
    """Describe a buffer, and draw its exemplars where they are images.

    Args:
        buffer: A `buffers.Buffer`.
        folder: Where the picture goes, as `exemplars-<experience>.png`.
        iteration: Training steps so far.
        experience: The experience just learned.
        seen_before: `buffer.seen` at the last such event; what was admitted since then counts
            for the turnover.

    Returns:
        The event.
    """
    size = len(buffer)
    picture = None
    ages = buffer.ages().cpu().double()
    if size:
        rows = buffer.all(transform=None)
        if is_image_batch(rows.x):
            picture = f"exemplars-{experience:02d}.png"
            write_picture(exemplar_grid(rows.x, rows.y), folder / picture)
    task_counts = buffer.task_counts() if hasattr(buffer, "task_counts") else {}
    return {
        "event": "memory",
        "iteration": iteration,
        "experience": experience,
        "size": size,
        "capacity": getattr(buffer, "capacity", None),
        "bytes": buffer.nbytes,
        "class_counts": {str(label): n for label, n in sorted(buffer.class_counts().items())},
        "task_counts": {str(label): n for label, n in sorted(task_counts.items())},
        "age_mean": float(ages.mean()) if size else 0.0,
        "age_max": float(ages.max()) if size else 0.0,
        "turnover": float((ages <= buffer.seen - seen_before).double().mean()) if size else 0.0,
        "exemplars": picture,
    }
