"""What each layer was called with and the gradient of the loss for what it returned.

Only the gradients for the layers' outputs are asked of autograd, so the weights' gradients are
never computed. Each output is watched by its place in the graph, which stays right when a later
layer changes the output in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from clcore.errors import ArgumentError
from clcore.probe.closed_layers import factors_of, rule_of
from clcore.probe.factors import Factor
from clcore.probe.layers import layer_names


@dataclass(frozen=True)
class Parameters:
    """The parameters whose gradients are wanted.

    Attributes:
        named: By name, in the model's order.
        owners: The layers that hold each parameter and its name there; several if it is shared.
    """

    named: dict[str, nn.Parameter]
    owners: dict[str, list[tuple[nn.Module, str]]]

    @cached_property
    def layers(self) -> list[nn.Module]:
        """The layers that hold one of them."""
        return list({layer: None for owners in self.owners.values() for layer, _ in owners})


def wanted_parameters(
    model: nn.Module, layers: Sequence[str | nn.Module] | str | nn.Module | None
) -> Parameters:
    """Find the parameters that require a gradient.

    Args:
        model: Where to look.
        layers: Layers by name or themselves, with all that is inside; None: the whole model.

    Returns:
        The parameters and who holds them.

    Raises:
        ArgumentError: If there is no such layer, or no parameter that requires a gradient.
    """
    chosen = None if layers is None else _inside(model, layers)
    names: dict[nn.Parameter, str] = {}
    owners: dict[str, list[tuple[nn.Module, str]]] = {}
    for path, layer in model.named_modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter.requires_grad and (chosen is None or layer in chosen):
                full = names.setdefault(parameter, f"{path}.{name}" if path else name)
                owners.setdefault(full, []).append((layer, name))
    if not names:
        where = "the model" if layers is None else f"layers {layers!r}"
        raise ArgumentError(f"no parameter of {where} requires a gradient")
    if chosen is not None:
        # A weight that is shared with a layer outside gets its gradient from there too.
        for layer in model.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                if layer not in chosen and parameter in names:
                    owners[names[parameter]].append((layer, name))
    return Parameters({full: parameter for parameter, full in names.items()}, owners)


def _inside(
    model: nn.Module, layers: Sequence[str | nn.Module] | str | nn.Module
) -> set[nn.Module]:
    by_name = dict(model.named_modules())
    asked = [layers] if isinstance(layers, str | nn.Module) else list(layers)
    chosen: set[nn.Module] = set()
    for layer in asked:
        module = by_name.get(layer) if isinstance(layer, str) else layer
        if module is None or module not in by_name.values():
            raise ArgumentError(f"layers: {layer!r} is not in the model; {layer_names(model)}")
        chosen.update(module.modules())
    return chosen


class _Call(NamedTuple):
    """One call of a layer.

    Attributes:
        layer: Which.
        inputs: What it was called with.
        version: The version of `inputs` then: writing into them later changes it.
        edge: The place of its output in the graph; None if nothing can flow back to it.
        rows: The length of the first dimension of inputs and of outputs.
    """

    layer: nn.Module
    inputs: Tensor
    version: int
    edge: GradientEdge | None
    rows: tuple[int, int]

    def require_unchanged(self) -> None:
        """Refuse inputs that were written into after the call."""
        if self.inputs._version != self.version:
            raise ArgumentError(
                f"what {type(self.layer).__name__} was called with is changed in place "
                "afterwards, so its gradient is lost"
            )


@dataclass
class Recording:
    """The calls of one forward pass.

    Attributes:
        parameters: Whose gradients are wanted.
        calls: What the layers that have a closed form were called with.
    """

    parameters: Parameters
    calls: list[_Call] = field(default_factory=list)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Record the calls made inside."""
        handles: list[RemovableHandle] = []
        try:
            for layer in self.parameters.layers:
                if rule_of(layer) is not None:
                    # First of all hooks: another may put its own output in place of the layer's.
                    hook = layer.register_forward_hook(self._see, prepend=True, with_kwargs=True)
                    handles.append(hook)
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _see(self, layer: nn.Module, args: Any, named: dict[str, Any], output: Tensor) -> Tensor:
        inputs = args[0] if args else next(iter(named.values()))
        if output._is_view() and output.requires_grad:
            # Changing a view in place takes its node out of the graph; a copy keeps its own.
            output = output.clone()
        edge = get_gradient_edge(output) if output.requires_grad else None
        rows = tuple(len(t) if t.ndim else -1 for t in (inputs, output))
        call = _Call(layer, inputs.detach(), inputs._version, edge, (rows[0], rows[1]))
        self.calls.append(call)
        return output

    def uncovered(
        self, losses: Tensor, rows: int, mixed: Mapping[nn.Module, int]
    ) -> dict[str, str]:
        """Find the parameters whose gradients the recorded calls do not tell.

        Args:
            losses: What is differentiated, with its graph.
            rows: Samples in the batch.
            mixed: Layers that see other than one row for one sample, and how many.

        Returns:
            The reason by the parameter's name.
        """
        reasons: dict[str, str] = {}
        uses, nodes = _graph(losses)
        found: dict[nn.Module, list[_Call]] = {}
        for call in self.calls:
            if call.edge is not None and call.edge.node in nodes:
                found.setdefault(call.layer, []).append(call)
        for name, owners in self.parameters.owners.items():
            layers = {layer: None for layer, _ in owners}  # in order, unlike a set
            calls = [call for layer in layers for call in found.get(layer, ())]
            strange = [layer for layer in layers if layer not in found and rule_of(layer) is None]
            odd = [call for call in calls if call.rows != (rows, rows)]
            if strange:
                reasons[name] = f"{type(strange[0]).__name__} has no closed form"
            elif mixed and (several := layers.keys() & mixed.keys()):
                count = mixed[next(iter(several))]
                reasons[name] = f"called with {count} rows for 1 sample"
            elif odd:
                reasons[name] = f"called with {odd[0].rows[0]} rows for {rows} samples"
            elif uses.get(self.parameters.named[name], 0) != len(calls):
                reasons[name] = "used outside the forward of its layer"
        return reasons

    def factors(
        self, losses: Tensor, names: Iterable[str], *, retain: bool = False
    ) -> dict[str, Factor]:
        """Differentiate and return the per-sample gradients of parameters as factors.

        Args:
            losses: `[n]`, with its graph.
            names: Parameters that are covered.
            retain: Keep the graph, which else is freed.

        Returns:
            The factor by the parameter's name; none for a parameter that no loss depends on.
        """
        owned = {
            (owner, own): name for name in names for owner, own in self.parameters.owners[name]
        }
        layers = {layer for layer, _ in owned}
        calls = [call for call in self.calls if call.layer in layers and call.edge is not None]
        edges = [call.edge for call in calls if call.edge is not None]
        if not edges or not losses.requires_grad:
            return {}
        deltas: Any = torch.autograd.grad(
            losses.sum(), edges, allow_unused=True, retain_graph=retain
        )
        found: dict[str, Factor] = {}
        for call, delta in zip(calls, deltas, strict=True):
            if delta is None:
                continue
            call.require_unchanged()
            for own, factor in factors_of(call.layer, call.inputs, delta).items():
                name = owned.get((call.layer, own))
                if name is not None:
                    found[name] = found[name].joined(factor) if name in found else factor
        return found


def _graph(losses: Tensor) -> tuple[dict[nn.Parameter, int], set[Node]]:
    """Count how often the graph uses each parameter; return its nodes too."""
    counts: dict[nn.Parameter, int] = {}
    start = losses.grad_fn
    waiting = [] if start is None else [start]
    seen = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is None:
                continue
            parameter = getattr(node, "variable", None)
            if parameter is not None:
                counts[parameter] = counts.get(parameter, 0) + 1
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return counts, seen
