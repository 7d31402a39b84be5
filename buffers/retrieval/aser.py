"""ASER retrieval: exemplars that are near the incoming batch but of another class, and typical.

Source: Shim et al. 2021, "Online Class-Incremental Continual Learning with Adversarial Shapley
Value" (AAAI). With the Shapley values s_e(i) of candidate i for a k-nearest-neighbour classifier at
the evaluation point e (`clcore.geometry.knn_shapley`), in the feature space of the current model,
the candidates with the largest

    ASVμ(i) = mean_{e ∈ memory} s_e(i) − mean_{e ∈ batch} s_e(i)      (`variant="mean"`)
    ASV(i)  = max_{e ∈ memory} s_e(i) − min_{e ∈ batch} s_e(i)        (`variant="extreme"`)

are read: useful to tell the classes in memory apart (large first term), in the way of those that
come in (small second term). Candidates are `samples_per_class` exemplars of each class; the
evaluation points from memory are as many of the others.

Defaults: k = 5, `samples_per_class=2` and the mean, the better variant in the paper. The number of
classes need not be known: those in memory count. There are at least as many candidates as exemplars
wanted, so with few classes in memory the draw is a balanced one. Until the memory has been offered
more rows than it can hold, exemplars are drawn uniformly (as in the authors' code).

Differences from reference codes: online-continual-learning keeps the class index in a class
attribute that all memories of a process share, returns fewer exemplars than wanted while there are
few classes, and truncates `n_smp_cls` to a whole number, as is done here.

Cost: 2 × `samples_per_class` × classes + b forward passes for each draw. CPU time of an online
step, 10 rows + 10 of 500 exemplars of a reservoir, MLP 784-256-256-10, one thread of a busy
machine: 4.4 ms, with uniform retrieval 1.1.

Expected: the paper's ablation finds that retrieval alone gives what uniform retrieval does, and the
update (`ASERBuffer`) carries the gain. Measured on small streams of digits it is the other way
round, see there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from buffers.retrieval import Retrieval
from buffers.retrieval._drawing import balanced_order, require, shown, timed, untouched_on_error
from buffers.retrieval.uniform import distinct
from buffers.signals import SignalSource
from clcore import Cost, Probe
from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.geometry.knn_shapley import knn_shapley

if TYPE_CHECKING:
    from buffers.memory import Memory

_VARIANTS = ("mean", "extreme")


class Aser(Retrieval):
    """Draws exemplars by their adversarial Shapley value.

    `sample` must be given `model`, `x`, `y` and, for multi-task models, `task` of the incoming
    batch, x as the model sees it; `Replay` and `OnlineLearner` do. Works with every memory.

    Args:
        k: Neighbours that the classifier asks.
        samples_per_class: Candidates, and evaluation points, of each class; rounded down.
        variant: `"mean"` or `"extreme"`.
        feature_layer: Where features are read, see `Probe`; the input of the last Linear by
            default.

    Raises:
        ArgumentError: An option is not one of those allowed.

    Example:
        >>> from buffers import ReservoirBuffer
        >>> model, buffer = torch.nn.Linear(4, 3), ReservoirBuffer(30)
        >>> _ = buffer.add(torch.rand(60, 4), torch.arange(60) % 3)
        >>> x, y = torch.rand(10, 4), torch.zeros(10, dtype=torch.int64)
        >>> len(buffer.sample(5, "aser", model=model, x=x, y=y))
        5
    """

    def __init__(
        self,
        k: int = 5,
        samples_per_class: float = 2.0,
        variant: Literal["mean", "extreme"] = "mean",
        feature_layer: str | None = None,
    ) -> None:
        self.k = whole_number("k", k, least=1)
        self.samples_per_class = each_class(samples_per_class)
        if variant not in _VARIANTS:
            raise ArgumentError(f"variant: got {variant!r}; it is one of {', '.join(_VARIANTS)}")
        self.variant = variant
        self.feature_layer = feature_layer

    def draw(self, memory: Memory, n: int, **context: Any) -> Tensor:
        """See `Retrieval.draw`.

        Raises:
            ArgumentError: The context lacks the model or the batch.
        """
        require("aser", context, "model", "x", "y")
        size = len(memory)
        if size <= n or memory.seen <= (memory.capacity or 0):
            return distinct(size, n, memory.generator)
        with timed(memory), untouched_on_error(memory.generator):
            candidates, points = self._parts(memory, n)
            values = self._values(memory, candidates, points, context)
            return candidates[values.argsort(descending=True, stable=True)[:n].cpu()]

    def _parts(self, memory: Memory, n: int) -> tuple[Tensor, Tensor]:
        """Candidates and evaluation points, disjoint, at least n and 1 of them."""
        y = memory.store.y.cpu()
        order, place = balanced_order(y, memory.generator)
        typical = int((place < int(self.samples_per_class)).sum())
        count = min(max(typical, n), len(order) - 1)
        candidates, rest = order[:count], order[count:]
        # What a prefix leaves over is in no fair order any more, so it is drawn from anew.
        order, place = balanced_order(y[rest], memory.generator)
        return candidates, rest[order[place < int(self.samples_per_class)]]

    def _values(
        self, memory: Memory, candidates: Tensor, points: Tensor, context: dict[str, Any]
    ) -> Tensor:
        probe = Probe(context["model"], feature_layer=self.feature_layer)
        batch_y, task = context["y"], context.get("task")
        exemplars = shown(memory, torch.cat((candidates, points)), probe.device)
        tasks = None if task is None else torch.cat((exemplars.task, task.to(probe.device)))
        x = torch.cat((exemplars.x, context["x"].to(probe.device, exemplars.x.dtype)))
        features = probe.features(x, task=tasks)
        SignalSource.check(features)
        memory.spend(Cost(0.0, len(x), 0, len(candidates) * (len(x) - len(candidates))))
        y = torch.cat((exemplars.y, batch_y.to(exemplars.y.device)))
        count = len(candidates)
        values = knn_shapley(features[:count], y[:count], features[count:], y[count:], self.k)
        own, other = values[: len(points)], values[len(points) :]
        if self.variant == "mean":
            return own.mean(dim=0) - other.mean(dim=0)
        return own.amax(dim=0) - other.amin(dim=0)


def each_class(samples: float) -> float:
    """Check a number of samples for each class.

    Raises:
        ArgumentError: It is less than 1, or no finite number.
    """
    if isinstance(samples, bool) or not isinstance(samples, int | float) or not 1 <= samples < 1e9:
        raise ArgumentError(f"samples_per_class: got {samples!r}; a number of at least 1 is needed")
    return float(samples)
