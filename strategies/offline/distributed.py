"""Training on a weighted subset by several processes: each its share of every batch.

Source: Li et al., "PyTorch distributed: experiences on accelerating data parallel training", VLDB
2020 (`DistributedDataParallel`), which averages the gradients of the processes.

Formula: of a batch B of the coreset process r of W takes the rows B_r, and its loss is
(W / |B|) Σ_{j ∈ B_r} γ_j f_j, so that the average over the processes is the step of one machine,
(1 / |B|) Σ_{j ∈ B} γ_j ∇f_j, whatever the sizes of the B_r. A process without a row in a batch goes
along with a row of weight 0. Weights are scaled to mean 1 over the coreset, as in `CoresetTrainer`,
and a row that outweighs its batches is warned of as there, by process 0.

What differs from one machine: layers that look at a whole batch (BatchNorm) see their process's
rows alone; `torch.nn.SyncBatchNorm` mends that. Dropout draws in each process for itself.

`torchrun`, SLURM and the like start the processes; `torch.distributed` is initialised by the
caller, with gloo or nccl, and its timeout is how long a silent process is waited for. One that is
killed closes its connections, which ends the others with a `WorkerError` (over nccl the watchdog of
torch ends them).
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.distributed import WorkerError
from clcore.errors import ArgumentError
from strategies.offline.data import training_data
from strategies.offline.heavy_rows import warn_of_heavy_rows
from strategies.offline.losses import RowLosses


class DistributedEpochs:
    """Trains in step with the other processes, an epoch at a time; every process makes one alike.

    Args:
        model: The model, on its device; the same in every process, or given its values by the first
            (`DistributedDataParallel` sends them). It is wrapped where it isn't yet.
        optimizer: Made over the model's parameters.
        loss: A loss of torch, or `loss(outputs, targets)` that gives one value a row.
        data: `(x, y)` tensors, a `TensorDataset`, or a map-style data set of `(x, y)` items; every
            process has all of it, and reads its share.
        batch_size: Rows a step, of all processes together.
        seed: Of the orders of rows; the same in every process.

    Attributes:
        model: The wrapped model; the model itself where there is one process.
        rank: Number of this process.
        size: How many there are.

    Raises:
        ArgumentError: If an argument is wrong.

    Example:
        >>> x, y = torch.rand(100, 4), torch.arange(100) % 2
        >>> model = nn.Linear(4, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> epochs = DistributedEpochs(model, optimizer, nn.CrossEntropyLoss(), (x, y))
        >>> epochs.train(Coreset.of([3, 14, 15], weights=[50.0, 30.0, 20.0])) > 0
        True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Callable[..., Tensor],
        data: Any,
        *,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        import torch.distributed as dist
        from torch.nn.parallel import DistributedDataParallel

        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.size = dist.get_world_size() if together else 1
        self.losses, self.data = RowLosses(loss), training_data(data)
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.orders = torch.Generator().manual_seed(whole_number("seed", seed))
        parameter = next(model.parameters(), None)
        if parameter is None:
            raise ArgumentError("model has no parameters to train")
        self.device, self.optimizer = parameter.device, optimizer
        if self.size > 1 and not isinstance(model, DistributedDataParallel):
            with _told():
                model = DistributedDataParallel(model)
        self.model = model
        self._checked: int | None = None

    def train(self, coreset: Coreset | None = None) -> float:
        """Train on each row of a coreset once, in a new random order.

        Args:
            coreset: The same in every process; None for all rows.

        Returns:
            The mean weighted loss over the epoch, of all processes.

        Raises:
            ArgumentError: If the coreset is empty, names a row that there isn't, or is another in
                another process.
            WorkerError: If another process is lost.
        """
        rows, weights = self._rows(coreset)
        check = zlib.crc32(weights.numpy().tobytes(), zlib.crc32(rows.numpy().tobytes()))
        with _told():
            self._require_same(check)
            if coreset is not None and check != self._checked:
                self._checked = check  # the same rows in the next epochs are no news
                if self.rank == 0:
                    # 3: who called `train`.
                    warn_of_heavy_rows(coreset, None, self.batch_size, stacklevel=3)
            order = torch.randperm(len(rows), generator=self.orders)
            total = torch.zeros((), dtype=torch.float64, device=self._sums)
            self.model.train()
            for x, y, factors in self._batches(rows[order], weights[order]):
                self.optimizer.zero_grad(set_to_none=True)
                losses = self.losses(self.model(x), y)
                part = (losses * factors.to(losses)).sum()
                (part * self.size).backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                total += part.detach().to(total)
            return float(self._summed(total)) / -(-len(rows) // self.batch_size)

    @property
    def _sums(self) -> torch.device:
        """Where sums lie: Apple's GPUs have no double precision."""
        return self.device if self.device.type == "cuda" else torch.device("cpu")

    def _rows(self, coreset: Coreset | None) -> tuple[Tensor, Tensor]:
        if coreset is None:
            return torch.arange(len(self.data)), torch.ones(len(self.data))
        if not len(coreset):
            raise ArgumentError("coreset has no rows to train on")
        rows = coreset.indices.cpu()
        outside = rows[(rows < 0) | (rows >= len(self.data))]
        if len(outside):
            raise ArgumentError(
                f"coreset names row {int(outside[0])}, and the data have {len(self.data)} rows"
            )
        weights = coreset.weights.detach().to("cpu", torch.float64)
        if not bool(torch.isfinite(weights).all()) or float(weights.sum()) <= 0:
            raise ArgumentError("coreset has weights that are not finite, or all zero")
        return rows, (weights / weights.mean()).to(torch.float32)

    def _batches(self, rows: Tensor, weights: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Read this process's share of each batch, with γ / |B| for each row."""
        mine, factors, sizes = [], [], []
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            share = torch.arange(self.rank, len(batch), self.size)
            factor = weights[start : start + self.batch_size][share] / len(batch)
            if not len(share):
                share, factor = torch.zeros(1, dtype=torch.int64), torch.zeros(1)
            mine.append(batch[share])
            factors.append(factor)
            sizes.append(len(share))
        # All shares are as large but the last: batches of one size, read in one go.
        read = self.data.batches(torch.cat(mine), max(sizes))
        for (_, x, y), factor in zip(read, factors, strict=True):
            yield x.to(self.device), y.to(self.device), factor.to(self.device)

    def _require_same(self, check: int) -> None:
        """Compare the coresets of all processes: of two, each would train on half."""
        if self.size == 1:
            return
        import torch.distributed as dist

        lowest = torch.tensor([check], dtype=torch.int64, device=self.device)
        highest = lowest.clone()
        dist.all_reduce(lowest, dist.ReduceOp.MIN)
        dist.all_reduce(highest, dist.ReduceOp.MAX)
        if int(lowest) != int(highest):
            raise ArgumentError(
                "coreset is not the same in every process: select with the same seed in each, or "
                "with clcore.distributed"
            )

    def _summed(self, total: Tensor) -> Tensor:
        if self.size > 1:
            import torch.distributed as dist

            dist.all_reduce(total)
        return total


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say in our words that another process was lost."""
    import torch.distributed as dist

    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, getattr(dist, "DistError", ())) or "gloo" in str(error)
        if not lost or isinstance(error, WorkerError):
            raise
        first = str(error).strip().splitlines()[0][:300]
        raise WorkerError(
            f"another process of the training was killed, or did not answer in time ({first})"
        ) from error
