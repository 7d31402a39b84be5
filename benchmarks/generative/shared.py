"""What all cells of a run have in common is made once and kept in the run's folder `shared`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock
from safetensors import safe_open
from torch import Tensor

from clcore.errors import FormatError
from clcore.tensor_files import write_tensors


@dataclass(frozen=True, eq=False)
class Made:
    """Something that was made.

    Attributes:
        tensors: By name.
        seconds: What it took, with what it was made of.
        cpu_seconds: The same in processor time.
        forward: Rows sent forward through networks for it.
        backward: Rows sent backward.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    forward: int = 0
    backward: int = 0


def once(file: Path, make: Callable[[], Made]) -> Made:
    """Read what another cell has made, or make it.

    Cells in several processes: the first makes it, the others wait.

    Args:
        file: Where it is kept, safetensors.
        make: Makes it.

    Raises:
        FormatError: What is kept is damaged.
        OSError: It can't be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if not file.is_file():
            made = make()
            cost = {
                "seconds": repr(made.seconds),
                "cpu_seconds": repr(made.cpu_seconds),
                "forward": str(made.forward),
                "backward": str(made.backward),
            }
            write_tensors(file, made.tensors, cost)
    try:
        with safe_open(file, framework="pt") as stored:
            told = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        return Made(
            tensors,
            float(told["seconds"]),
            float(told["cpu_seconds"]),
            int(told["forward"]),
            int(told["backward"]),
        )
    except Exception as error:
        raise FormatError(f"{file} is damaged; delete it to make it again: {error}") from error
