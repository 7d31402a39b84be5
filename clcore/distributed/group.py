"""The processes that select together, and what happens when one of them is lost.

All that they tell one another goes through `Group.exchange`: each does its work and gives some
tensors, and gets those of all. The exchange runs over gloo on the CPU, whatever the training uses:
a few megabytes a round. Nothing is pickled.

A process that is killed closes its connections, which the others notice at once; one that hangs is
given up after the timeout; one that fails by an exception tells the others what it was.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from clcore.errors import ArgumentError, ClcoreError

SECONDS = 600.0
"""How long the slowest process may take longer than the quickest, unless told otherwise."""


class WorkerError(ClcoreError, RuntimeError):
    """Another process failed, was killed, or did not answer in time."""


class Group:
    """The processes of a selection.

    Args:
        rank: Number of this process.
        size: How many there are.
        group: The gloo group of `torch.distributed`; None for one process alone.
        timeout: Seconds.

    Attributes:
        rank: As given.
        size: As given.
        timeout: As given.
    """

    def __init__(self, rank: int, size: int, group: Any, timeout: float) -> None:
        self.rank, self.size, self.timeout = rank, size, timeout
        self._group = group

    @classmethod
    def join(cls, timeout: float = SECONDS) -> Group:
        """Join the processes that were started together; every one of them must call this.

        Where `torch.distributed` is initialised already, by a trainer, with whatever backend, a
        gloo group is added to it; where the environment says that there are several processes, as
        under `torchrun`, it is initialised with gloo, until the process ends; else this process is
        alone.

        Args:
            timeout: Seconds that the others are waited for at each exchange.

        Returns:
            The group.

        Raises:
            ArgumentError: If the timeout is not positive.
            WorkerError: If the others don't come.
        """
        import torch.distributed as dist

        if not 0 < timeout < 1e9:
            raise ArgumentError(f"timeout must be a positive number of seconds, not {timeout!r}")
        patience = timedelta(seconds=timeout)
        if not dist.is_available():
            return cls(0, 1, None, timeout)
        try:
            if not dist.is_initialized():
                if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
                    return cls(0, 1, None, timeout)
                dist.init_process_group("gloo", timeout=patience)
                # Threads of gloo that outlive the interpreter may abort the process.
                atexit.register(_leave)
            rank, size = dist.get_rank(), dist.get_world_size()
            group = dist.new_group(backend="gloo", timeout=patience)
        except (RuntimeError, ValueError) as error:
            raise WorkerError(
                f"the processes did not come together: {_first_line(error)}"
            ) from error
        return cls(rank, size, group, timeout)

    @property
    def first(self) -> bool:
        """Whether this is the process that decides for all."""
        return self.rank == 0

    def exchange(self, work: Callable[[], Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Do a piece of work in every process, and give its tensors to all.

        Args:
            work: Returns tensors by name, on any device; the names and shapes of the processes may
                differ. A process that has nothing to say returns an empty mapping.

        Returns:
            The tensors of each process, on the CPU, by rank.

        Raises:
            WorkerError: If another process failed, was killed, or did not answer in time; says
                which, as far as it is known.
        """
        try:
            mine = {name: _plain(tensor) for name, tensor in work().items()}
        except Exception as error:
            said = f"{type(error).__name__}: {_first_line(error)}".encode()
            with contextlib.suppress(WorkerError):
                self._gather({_ERROR: torch.frombuffer(bytearray(said), dtype=torch.uint8)})
            raise
        parts = self._gather(mine)
        for rank, part in enumerate(parts):
            if _ERROR in part:
                said = part[_ERROR].numpy().tobytes()
                raise WorkerError(f"process {rank} of {self.size} failed: {said.decode()}")
        return parts

    def from_first(self, work: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Do a piece of work in the first process alone, and give its tensors to all.

        Args:
            work: As in `exchange`.

        Returns:
            The tensors of the first process, on the CPU.

        Raises:
            WorkerError: As in `exchange`.
        """
        return self.exchange(work if self.first else dict)[0]

    def _gather(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Gather named tensors of every process."""
        if self._group is None:
            return [tensors]
        import torch.distributed as dist
        from safetensors.torch import load, save

        packed = torch.frombuffer(bytearray(save(tensors)), dtype=torch.uint8)
        try:
            # It names who is missing, which a gather would not.
            dist.monitored_barrier(
                self._group, timeout=timedelta(seconds=self.timeout), wait_all_ranks=True
            )
            sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
            dist.all_gather(sizes, torch.tensor([len(packed)]), group=self._group)
            longest = max(int(size) for size in sizes)
            padded = torch.zeros(longest, dtype=torch.uint8)
            padded[: len(packed)] = packed
            received = [torch.empty_like(padded) for _ in range(self.size)]
            dist.all_gather(received, padded, group=self._group)
        except (RuntimeError, ValueError) as error:
            raise WorkerError(
                f"process {self.rank} of {self.size} lost the others: one was killed, or did not "
                f"answer within {self.timeout:.0f} s ({_first_line(error)})"
            ) from error
        pairs = zip(received, sizes, strict=True)
        return [load(part[: int(size)].numpy().tobytes()) for part, size in pairs]


_ERROR = "__error__"


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu").contiguous()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else "without a message"


def _leave() -> None:
    """Take leave of the others, unless somebody has done so."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
