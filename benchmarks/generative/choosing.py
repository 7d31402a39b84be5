"""What is chosen before training: embeddings, a share of the data, the sampler of batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmarks.generative.data import GenerativeData
from benchmarks.generative.extractor import BATCH, make_extractor
from benchmarks.generative.method import GenerativeMethod, make_selector
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.shared import Made, once
from benchmarks.generative.sizes import check_method
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.settings import derived_seed
from clcore.clock import working_time
from strategies.generative import (
    CoresetBatchSampler,
    prune_by_cluster,
    random_projection,
    select_instances,
)


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a cell trains on.

    Attributes:
        rows: int64 `[k]`, ascending: the training rows that the model may see; None for all.
        sampler: Chooses the rows of each batch; None for drawing them.
        cost: What it took, with all that it was made of.
    """

    rows: Tensor | None
    sampler: CoresetBatchSampler | None
    cost: Made


def choose(
    suite: GenerativeSuite,
    cell: GenerativeCell,
    method: GenerativeMethod,
    data: GenerativeData,
    folder: Path,
    shared: Path,
) -> Chosen:
    """Choose, or read what was chosen before the cell was left.

    Args:
        suite: The suite.
        cell: The cell.
        method: Its method.
        data: Training rows.
        folder: The cell's folder; the rows of a subset are kept in it.
        shared: Where embeddings are kept, for all cells of a run.

    Raises:
        ArgumentError: There are too few rows; see `check_method`.
        FormatError: What is kept is damaged.
    """
    rows, cost = None, Made()
    embedded = None
    if method.images is not None or method.subset not in (None, "random-subset"):
        embedded = embeddings(suite, cell.seed, data, shared)
        cost = embedded
    if method.subset is not None:
        made = once(
            folder / "kept.safetensors",
            lambda: _kept(suite, cell.seed, str(method.subset), data, embedded),
        )
        rows = made.tensors["rows"]
        cost = together(cost, made)
    count = len(data.x) if rows is None else len(rows)
    check_method(suite, method, cell.batch_size, count)
    sampler = None
    if method.images is not None:
        assert embedded is not None
        vectors = embedded.tensors["values"]
        sampler = CoresetBatchSampler(
            vectors if rows is None else vectors[rows],
            cell.batch_size,
            suite.image_factor,
            make_selector(method.images, suite.image_options),
            seed=derived_seed(cell.seed, "pools"),
        )
    return Chosen(rows, sampler, cost)


def together(*parts: Made) -> Made:
    """The cost of several things, without their tensors."""
    return Made(
        {},
        sum(part.seconds for part in parts),
        sum(part.cpu_seconds for part in parts),
        sum(part.forward for part in parts),
        sum(part.backward for part in parts),
    )


def timed(make: Callable[[], dict[str, Tensor]], forward: int = 0) -> Made:
    """Make tensors, and take the time.

    Args:
        make: Makes them.
        forward: Rows that are sent forward for them.
    """
    started, before = working_time(), time.process_time()
    tensors = make()
    return Made(tensors, working_time() - started, time.process_time() - before, forward)


def embeddings(suite: GenerativeSuite, seed: int, data: GenerativeData, shared: Path) -> Made:
    """Embed the training rows, or read what another cell has embedded.

    Args:
        suite: Says by what.
        seed: Of the run: points differ from seed to seed, images don't.
        data: Training rows.
        shared: Where they are kept.

    Returns:
        `values`, float32 `[n, d]`, and the cost, training of the extractor included.
    """
    if suite.gaussian:
        return Made({"values": data.x})
    file = shared / "embeddings.safetensors"
    if suite.embedding == "pixels":
        return once(file, lambda: timed(lambda: {"values": _pixels(suite, data)}))
    extractor = make_extractor(suite.embedding, suite, data, shared)

    def make() -> Made:
        made = timed(
            lambda: {"values": _projected(suite, extractor.features(data.x))}, forward=len(data.x)
        )
        cost = together(made, extractor.made)
        return Made(made.tensors, cost.seconds, cost.cpu_seconds, cost.forward, cost.backward)

    return once(file, make)


def _pixels(suite: GenerativeSuite, data: GenerativeData) -> Tensor:
    parts = torch.split(data.x, BATCH)
    return torch.cat([_projected(suite, part.flatten(1).float() / 255) for part in parts])


def _projected(suite: GenerativeSuite, vectors: Tensor) -> Tensor:
    if suite.projection is None:
        return vectors
    return random_projection(vectors, suite.projection, seed=derived_seed(0, "projection"))


def _kept(
    suite: GenerativeSuite, seed: int, subset: str, data: GenerativeData, embedded: Made | None
) -> Made:
    """Choose a share of the rows."""
    rows = data.subset()
    drawn = derived_seed(seed, "subset")

    def make() -> dict[str, Tensor]:
        if subset == "random-subset":
            count = max(1, round(suite.keep * len(data.x)))
            generator = torch.Generator().manual_seed(drawn)
            order = torch.randperm(len(data.x), generator=generator)
            return {"rows": order[:count].sort().values}
        assert embedded is not None
        vectors = embedded.tensors["values"]
        if subset == "instance-selection":
            part = select_instances(rows, vectors, suite.keep, density=suite.density)
        else:
            rule: Literal["nearest", "random"] = (
                "nearest" if subset == "clusters-nearest" else "random"
            )
            part = prune_by_cluster(
                rows, vectors, suite.keep, clusters=suite.clusters, rule=rule, seed=drawn
            )
        return {"rows": torch.as_tensor(list(part.indices), dtype=torch.int64)}

    return timed(make)
