"""Batches that look like larger ones: each is chosen from several times as many samples.

Source: Sinha et al., "Small-GAN: speeding up GAN training using core-sets", ICML 2020, for the
side of the real images; the object is a plain batch sampler, so classifiers and diffusion models
take it too.

Formula: an epoch is one pass over the data in a new random order, cut into pools of
P = round(factor·B) rows; from each pool the selector keeps B rows by their embeddings, which are
the batch. So a row stands in one pool of an epoch at most and in one batch at most; ⌊N / P⌋ pools
make an epoch, and the N mod P rows at the end of the order are left out of that epoch. `batches=`
sets another number of batches: the pools then go on from one pass into the next.

Defaults: factor 8 and k-center, the paper's. Recommended is `selector="kernel-herding"`: its
batches are the nearest to the data in Fréchet distance (docs/generative.md), while k-center's hold
more rare and outlying samples than the data.

Differences from reference codes: there is no official one. `ksander14/small-gan` draws each pool
anew with replacement; here no row comes up twice before all were offered.

Expected numbers: 64 of 512 embeddings of 64 numbers: under 1 ms a batch (docs/generative.md).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from clcore.checks import integer_column, whole_number
from clcore.errors import ArgumentError
from clcore.selector import Selector
from strategies.generative.embeddings import Embeddings, vectors_for
from strategies.generative.picking import batch_selector, pick, pool_size
from strategies.generative.seeds import mixed_seed


class CoresetBatchSampler(Sampler[list[int]]):
    """Yields batches of row numbers, each chosen from a pool that is `factor` times as large.

    Batch t of a run is a function of the seed and of t alone, so a run is resumed exactly from the
    epoch and the place in it, and nothing depends on any global generator.

    Args:
        embeddings: `Embeddings`, or vectors `[N, d]`: one a row of the data set.
        batch_size: Rows a batch.
        factor: How many times as many rows a batch is chosen from; at least 1.
        selector: A name or a selector that reads features.
        batches: Batches an epoch; by default those of one pass over the data.
        labels: Integers `[N]`, for selectors that go by labels.
        data: The data set that the batches are read from: embeddings of another are refused.
        seed: Of the orders, and of the selector where it has randomness.

    Attributes:
        batch_size: Rows a batch.
        drop_last: True: every batch is full. Loops that shard batch samplers ask.
        pool_size: Rows that a batch is chosen from.
        epoch: The epoch that runs, or comes next; from 0.

    Raises:
        ArgumentError: If the pool is larger than the data, or another argument is wrong.
        SignalError: If the embeddings hold NaN or infinity.

    Example:
        >>> sampler = CoresetBatchSampler(torch.randn(1000, 8), 16, factor=4)
        >>> len(sampler), len(next(iter(sampler)))
        (15, 16)
    """

    def __init__(
        self,
        embeddings: Embeddings | Tensor | Any,
        batch_size: int,
        factor: float = 8,
        selector: str | Selector = "k-center",
        *,
        batches: int | None = None,
        labels: Any = None,
        data: Any = None,
        seed: int = 0,
    ) -> None:
        vectors = vectors_for(data, embeddings)
        self._embeddings = embeddings if isinstance(embeddings, Embeddings) else None
        self._vectors = vectors.reshape(len(vectors), -1)
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.drop_last = True
        self.pool_size = pool_size(self.batch_size, factor)
        if self.pool_size > len(vectors):
            raise ArgumentError(
                f"batch_size {batch_size} with factor {factor} needs a pool of {self.pool_size} "
                f"rows, and there are {len(vectors)}: take a smaller batch or factor"
            )
        self._method = batch_selector(selector)
        self._labels = None
        if labels is not None:
            self._labels = integer_column("labels", labels, len(vectors)).to(vectors.device)
        self._pools = len(vectors) // self.pool_size
        self._batches = (
            self._pools if batches is None else whole_number("batches", batches, least=1)
        )
        self.seed = whole_number("seed", seed)
        self.epoch, self._place, self._resumed = 0, 0, False
        self._order: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        """Start an epoch; after `load_state_dict`, go on with the one that was saved."""
        if self._place and not self._resumed:
            # The last epoch was left in the middle.
            self.epoch, self._place = self.epoch + 1, 0
        self._resumed = False
        while self._place < self._batches:
            rows = self.batch(self.epoch * self._batches + self._place)
            self._place += 1
            yield rows
        self.epoch, self._place = self.epoch + 1, 0

    def batch(self, number: int) -> list[int]:
        """Choose one batch of the run.

        Args:
            number: Which, counted from 0 through all epochs.

        Returns:
            The rows of the data set, `batch_size` of them, in pick order.
        """
        rows = self.pool(number)
        on_device = rows.to(self._vectors.device)
        labels = None if self._labels is None else self._labels[on_device]
        seed = mixed_seed(self.seed, 2 * number + 1)
        picks = pick(self._vectors[on_device], self.batch_size, self._method, seed, labels=labels)
        chosen: list[int] = rows[picks.cpu()].tolist()
        return chosen

    def pool(self, number: int) -> Tensor:
        """Return the rows that one batch of the run is chosen from: int64 `[pool_size]`."""
        number = whole_number("number", number)
        turn, place = divmod(number, self._pools)
        if self._order is None or self._order[0] != turn:
            generator = torch.Generator().manual_seed(mixed_seed(self.seed, 2 * turn))
            self._order = turn, torch.randperm(len(self._vectors), generator=generator)
        return self._order[1][place * self.pool_size : (place + 1) * self.pool_size]

    def require(self, data: Any) -> None:
        """Refuse a data set that the batches are not of.

        Of plain vectors the number is compared, of `Embeddings` the checksum of their data too.

        Args:
            data: The data set that the rows shall be read from.

        Raises:
            ArgumentError: If it is another one.
        """
        vectors_for(data, self._vectors if self._embeddings is None else self._embeddings)

    def settings(self) -> dict[str, Any]:
        """Return what decides on the batches, as plain numbers and text."""
        return {
            "rows": len(self._vectors),
            "vectors": self._checksum,
            "batch_size": self.batch_size,
            "pool_size": self.pool_size,
            "batches": self._batches,
            "selector": repr(self._method),
            "seed": self.seed,
        }

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, as loops over `DistributedSampler` do."""
        self.epoch, self._place, self._resumed = whole_number("epoch", epoch), 0, False

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """Return the state of the run: plain numbers.

        Args:
            taken: Batches of this epoch that were trained on. By default those that were handed
                out, which is the same only where no loader workers read ahead (`num_workers=0`).
        """
        place = self._place if taken is None else whole_number("taken", taken)
        if place > self._batches:
            raise ArgumentError(f"taken must be at most {self._batches}, not {taken}")
        return {"epoch": self.epoch, "place": place, **self.settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned: the next epoch iterated is the rest of that one.

        Raises:
            ArgumentError: If the state is of a sampler with other settings.
        """
        for name, own in self.settings().items():
            if state.get(name) != own:
                raise ArgumentError(
                    f"the state is of a sampler with {name} = {state.get(name)!r} where this one "
                    f"has {own!r}: its batches would be others"
                )
        self.epoch, self._place = int(state["epoch"]), int(state["place"])
        self._resumed = True

    @cached_property
    def _checksum(self) -> int:
        flat = self._vectors.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return zlib.crc32(flat.numpy().data)
