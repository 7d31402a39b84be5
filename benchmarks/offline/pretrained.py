"""The model that selectors read in suites that train from scratch on what was chosen.

Source: the protocol of Guo, Zhao & Bai, "DeepCore: a comprehensive library for coreset selection
in deep learning" (DEXA 2022): a network is trained some epochs on all rows, a method selects by it,
and a new network is trained on the coreset.

It is the same for all methods and fractions of a seed, so it is trained once a run folder and kept
in `shared/`; each cell is charged with the whole of the time that it took.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from filelock import FileLock
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.models import build_model
from benchmarks.offline.data import OfflineData, augmentation
from benchmarks.offline.plan import OfflineCell
from benchmarks.offline.suite import OfflineSuite
from benchmarks.settings import derived_seed
from clcore.clock import working_time
from clcore.coreset import Coreset
from clcore.errors import FormatError
from clcore.pool import Pool
from clcore.probe import Probe
from clcore.quotas import Allowance
from clcore.recorder import TrainingRecorder
from clcore.selector import Selector
from clcore.selectors.glister import Glister

_RECORDED = ("forgetting_events", "loss_trajectories")


@dataclass(frozen=True)
class Pretrained:
    """A trained model and what its training showed.

    Attributes:
        probe: Reads it.
        recorded: Signals that training left, `[n, ...]` by name.
        seconds: What training took.
        cpu_seconds: The same in processor time.
        passes: Samples that were trained on.
    """

    probe: Probe
    recorded: Mapping[str, Tensor]
    seconds: float
    cpu_seconds: float
    passes: int

    def pool(self, selector: Selector, data: OfflineData) -> Pool:
        """All training rows with the signals that a selector reads.

        Args:
            selector: The selector.
            data: The training rows.
        """
        if not any(name in self.recorded for name in selector.signals):
            return Pool.of(data.x, self.probe, labels=data.y)
        wanted = [name for name in selector.signals if name not in self.recorded]
        signals = dict(self.recorded)
        if wanted:
            signals |= self.probe.signals(wanted, data.x, data.y)
        return Pool(**signals, labels=data.y)


@dataclass(frozen=True)
class ByPretrained(Selector):
    """A selector that reads the pretrained model in place of the one being trained.

    To the trainer it reads nothing, so it is asked once.

    Attributes:
        inner: The selector.
        source: The model that it reads.
        data: The training rows.
    """

    inner: Selector
    source: Pretrained
    data: OfflineData

    signals: ClassVar[tuple[str, ...]] = ()
    weighted: ClassVar[bool] = True
    stops_early: ClassVar[bool] = True

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        selector = self.inner
        if isinstance(selector, Glister) and self.data.validation is not None:
            x, y = self.data.validation
            validation = Pool.of(x, self.source.probe, labels=y)
            selector = replace(selector, validation=validation)
        found = selector.select(self.source.pool(selector, self.data), k, generator=generator)
        return found if pool.device == found.indices.device else _on_cpu(found)


def _on_cpu(coreset: Coreset) -> Coreset:
    return replace(
        coreset,
        indices=coreset.indices.cpu(),
        weights=coreset.weights.cpu(),
        gains=coreset.gains.cpu(),
    )


def pretrained(
    suite: OfflineSuite, cell: OfflineCell, data: OfflineData, folder: Path
) -> Pretrained:
    """Train the model of a seed and optimiser, or read it where another cell has trained it.

    Args:
        suite: The suite.
        cell: Whose seed and optimiser.
        data: The training rows.
        folder: Where it is kept, for all cells of a run.

    Raises:
        FormatError: What is kept is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"pretrained-{cell.optimizer}-s{cell.seed}.safetensors"
    model = build_model(
        suite.model, data.shape, len(data.classes), derived_seed(cell.seed, "pretrained model")
    ).to(suite.device)
    # Cells of one seed in several processes: the first trains, the others wait for it.
    with FileLock(file.with_suffix(".lock")):
        if not file.is_file():
            _train(suite, cell, data, model, file)
    try:
        with safe_open(file, framework="pt", device=suite.device) as stored:
            told = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        recorded = {name: tensors.pop(name).cpu() for name in _RECORDED}
        model.load_state_dict(tensors)
        seconds, cpu = float(told["seconds"]), float(told["cpu_seconds"])
        passes = int(told["passes"])
    except Exception as error:
        raise FormatError(f"{file} is damaged; delete it to train it again: {error}") from error
    return Pretrained(Probe(model, batch_size=512), recorded, seconds, cpu, passes)


def _train(
    suite: OfflineSuite, cell: OfflineCell, data: OfflineData, model: nn.Module, file: Path
) -> None:
    from benchmarks.offline.network import make_optimizer

    optimizer = make_optimizer(suite, model, cell.optimizer)
    recorder = TrainingRecorder(len(data.y))
    generator = torch.Generator().manual_seed(derived_seed(cell.seed, "pretrained orders"))
    augment = augmentation(suite, data)
    x, y = data.x.to(suite.device), data.y.to(suite.device)
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(cell.seed, "pretraining"))
        started, before = working_time(), time.process_time()
        for _ in range(suite.pretrain_epochs):
            order = torch.randperm(len(y), generator=generator)
            for rows in torch.split(order.to(suite.device), suite.batch_size):
                batch = x[rows] if augment is None else augment(x[rows])
                logits = model(batch)
                losses = functional.cross_entropy(logits, y[rows], reduction="none")
                optimizer.zero_grad(set_to_none=True)
                losses.mean().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                right = logits.detach().argmax(dim=1) == y[rows]
                recorder.update(rows, losses=losses.detach(), correct=right)
            recorder.end_epoch()
        seconds, cpu = working_time() - started, time.process_time() - before
    tensors = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    signals = recorder.signals()
    tensors |= {name: torch.as_tensor(signals[name]).contiguous() for name in _RECORDED}
    partial = file.with_suffix(".partial")
    save_file(
        tensors,
        partial,
        {
            "seconds": str(seconds),
            "cpu_seconds": str(cpu),
            "passes": str(suite.pretrain_epochs * len(y)),
        },
    )
    partial.replace(file)
