"""Per-sample gradients of batches as factors: by closed forms, else one sample at a time."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clcore.errors import ArgumentError
from clcore.memory import require_bytes
from clcore.probe.factors import Explicit, Factor
from clcore.probe.recording import Recording, wanted_parameters

if TYPE_CHECKING:
    from clcore.probe.running import Runner

Layers = Sequence[str | nn.Module] | str | nn.Module | None
Factors = dict[str, Factor]


def _needs_a_batch(module: nn.Module) -> bool:
    """Say whether a layer normalises over the batch even in evaluation mode."""
    kind = nn.modules.batchnorm._BatchNorm
    return isinstance(module, kind) and module.running_mean is None


def _held(modules: Sequence[nn.Module]) -> tuple[list[nn.Parameter], list[bool]]:
    own = [p for module in modules for p in module._parameters.values() if p is not None]
    return own, [parameter.requires_grad for parameter in own]


def _identical(mine: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(mine) == len(other) and all(map(operator.is_, mine, other))


@contextmanager
def differentiation(runner: Runner, layers: Layers) -> Iterator[Differentiation]:
    """Lend the runner's own, which is kept as long as the model stays as it is.

    Args:
        runner: Model and loss.
        layers: Whose parameters; one for some layers only is made anew.

    Yields:
        It, ready for the first batch; it lets go of the last one on leaving.
    """
    work = runner.differentiation if layers is None else None
    if work is None or not work.fits():
        work = Differentiation(runner, layers)
        if layers is None:
            runner.differentiation = work
    try:
        yield work
    finally:
        work.rest()


class Differentiation:
    """Gives the per-sample gradients of batches as factors.

    Args:
        runner: Model, loss and what to do where there is no closed form.
        layers: Whose parameters; None: all.
    """

    def __init__(self, runner: Runner, layers: Layers) -> None:
        self.runner = runner
        self.parameters = wanted_parameters(runner.model, layers)
        self.recording = Recording(self.parameters)
        self.mixed: dict[nn.Module, int] | None = None
        self._modules = list(runner.model.modules())
        self._held = _held(self._modules)
        self._known: dict[Any, dict[nn.Module, int]] = {}

    def fits(self) -> bool:
        """Say whether the model still has the modules and parameters that this was made for."""
        modules = list(self.runner.model.modules())
        if not _identical(self._modules, modules):
            return False
        parameters, wanted = _held(modules)
        return _identical(self._held[0], parameters) and self._held[1] == wanted

    def rest(self) -> None:
        """Let go of the last batch and its graph."""
        self.recording, self.mixed = Recording(self.parameters), None

    def begin(self, x: Tensor, task: Tensor | None) -> None:
        """Make ready for a batch, before its forward pass."""
        if self.mixed is None and len(x) > 1:
            # Asked once for each form of samples: a convolution may see rows where a Linear does.
            form = (x.shape[1:], x.dtype, x.device, task is None)
            self.mixed = self._known.get(form)
        if self.mixed is None and len(x) > 1:
            # A layer that sees other than one row for one sample doesn't see a row a sample; by
            # chance the rows of a batch may still be as many as its samples.
            alone = Recording(self.parameters)
            # Layers that normalise over the batch can't run on one sample; they have no closed
            # form anyway, and are listed as such by their kind.
            if not any(_needs_a_batch(module) for module in self.runner.model.modules()):
                with alone.attached(), torch.no_grad():
                    self.runner.run(x[:1], None if task is None else task[:1])
                self.runner.spend(1, 0)
            self.mixed = {c.layer: c.rows[0] for c in alone.calls if set(c.rows) != {1}}
            self._known[form] = self.mixed
        self.recording = Recording(self.parameters)

    def losses(self, x: Tensor, labels: Tensor | None, task: Tensor | None) -> Tensor:
        """Run a batch forward, recorded; the losses `[n]` carry their graph."""
        self.begin(x, task)
        with self.recording.attached():
            logits = self.runner.run(x, task)
        self.runner.spend(len(x), len(x))
        return self.runner.losses_of(logits, labels)

    def factors(
        self,
        x: Tensor,
        labels: Tensor | None,
        task: Tensor | None,
        losses: Tensor,
        *,
        retain: bool = False,
    ) -> Factors:
        """Differentiate a batch that was run while this was recording.

        Args:
            x: The batch.
            labels: Its labels.
            task: Its tasks.
            losses: `[n]` with their graph.
            retain: Keep the graph for another differentiation.

        Returns:
            The factors by the parameter's name.

        Raises:
            ArgumentError: If a parameter has no closed form and the probe takes no other way;
                lists all that have none.
        """
        reasons = self.uncovered(losses)
        if reasons and self.runner.uncovered == "error":
            listed = "; ".join(f"{name} ({reason})" for name, reason in reasons.items())
            raise ArgumentError(
                f"no closed form for the gradients of: {listed}. Leave them out with layers=, "
                "or give the probe uncovered='per-sample', which takes a pass for each sample"
            )
        covered = [name for name in self.parameters.named if name not in reasons]
        found = self.recording.factors(losses, covered, retain=retain)
        if reasons:
            found.update(self._alone(x, labels, task, list(reasons)))
        return found

    def uncovered(self, losses: Tensor) -> dict[str, str]:
        """Say why parameters have no closed form, by name."""
        return self.recording.uncovered(losses, len(losses), self.mixed or {})

    def _alone(
        self, x: Tensor, labels: Tensor | None, task: Tensor | None, names: list[str]
    ) -> Factors:
        """Differentiate one sample after the other."""
        wanted = [self.parameters.named[name] for name in names]
        size = sum(parameter.numel() for parameter in wanted)
        needed = len(x) * size * wanted[0].element_size()
        what = f"the gradients of {len(x)} samples for {size:,} parameters"
        require_bytes(what, needed, x.device, "take a smaller batch_size")
        rows: list[list[Tensor]] = [[] for _ in names]
        for row in range(len(x)):
            one = slice(row, row + 1)
            with torch.enable_grad():
                logits = self.runner.run(x[one], None if task is None else task[one])
                loss = self.runner.losses_of(logits, None if labels is None else labels[one])
            self.runner.spend(1, 1)
            grads = torch.autograd.grad(
                loss.sum(), wanted, allow_unused=True, materialize_grads=True
            )
            for kept, gradient in zip(rows, grads, strict=True):
                kept.append(gradient.reshape(-1))
        return {name: Explicit(torch.stack(kept)) for name, kept in zip(names, rows, strict=True)}
