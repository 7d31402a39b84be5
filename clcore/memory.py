"""How much memory there is, asked before a dense method begins."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from clcore.errors import NotEnoughMemoryError

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes(device: torch.device) -> int:
    """Say how many bytes can still be taken on a device.

    Args:
        device: CPU or CUDA.

    Returns:
        Bytes; on the CPU no more than the control group leaves.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.is_file() and used.is_file() and (bound := limit.read_text().strip()).isdigit():
        free = min(free, max(0, int(bound) - int(used.read_text())))
    return free


def require_bytes(what: str, needed: int, device: torch.device, instead: str) -> None:
    """Refuse work that would not fit, before it starts.

    Args:
        what: What needs the memory, for the message: `"the 50,000 × 50,000 kernel matrix"`.
        needed: Its bytes.
        device: Where it would lie.
        instead: What to do instead, or what would fit.

    Raises:
        NotEnoughMemoryError: If less than that is available.
    """
    free = available_bytes(device)
    if needed > free:
        raise NotEnoughMemoryError(
            f"{what} needs {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free on "
            f"{device}; {instead}"
        )
