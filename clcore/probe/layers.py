"""Where in a model the features are read, and the hooks that read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from clcore.errors import ArgumentError


class Reader(Protocol):
    """Collects the features of one pass, batch by batch."""

    def hooks(self) -> list[RemovableHandle]:
        """Attach to the model."""

    def collect(self, rows: int) -> None:
        """Take what the forward pass of a batch of `rows` left."""

    def result(self) -> list[Tensor]:
        """Return the features `[rows, ...]` of each batch."""

    def latest(self) -> Tensor:
        """Return the features `[rows, ...]` of the last batch and forget them."""


def feature_reader(model: nn.Module, layer: str | nn.Module | None) -> Reader:
    """Make the reader for a feature layer.

    Args:
        model: The model to read from.
        layer: A layer by name or itself: its output is read. None: the input of the last Linear.

    Returns:
        A reader for one pass over the data.

    Raises:
        ArgumentError: If the model has no such layer; lists the names that it has.
    """
    if layer is None:
        return _LastLinearInput(model)
    name, module = find_layer(model, layer)
    return _LayerOutput(model, name, module)


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Find a layer of a model.

    Args:
        model: Where to look.
        layer: Its name as in `model.named_modules()`, or the module itself.

    Returns:
        Its name and the module.

    Raises:
        ArgumentError: If the model has no such layer; lists the names that it has.
    """
    for name, module in model.named_modules():
        if name and (name == layer or module is layer):
            return name, module
    shown = repr(layer) if isinstance(layer, str) else type(layer).__name__
    raise ArgumentError(f"feature_layer {shown} is not a layer of the model; {layer_names(model)}")


def layer_names(model: nn.Module) -> str:
    """List a model's layers for an error message."""
    names = [name for name, _ in model.named_modules() if name]
    return f"its layers are: {', '.join(names) or '(none)'}"


@contextmanager
def attached(reader: Reader | None) -> Iterator[None]:
    """Keep a reader's hooks on the model, and take them off whatever happens."""
    handles = reader.hooks() if reader is not None else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _LayerOutput:
    """Reads the output of one named layer."""

    def __init__(self, model: nn.Module, name: str, layer: nn.Module) -> None:
        self.model, self.name, self.layer = model, name, layer
        self.seen: list[Tensor] = []
        self.batches: list[Tensor] = []

    def hooks(self) -> list[RemovableHandle]:
        return [self.layer.register_forward_hook(self._see)]

    def _see(self, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise ArgumentError(
                f"feature_layer {self.name!r} returns {type(output).__name__}, not a tensor; "
                + layer_names(self.model)
            )
        # A copy: the next layer may be an in-place ReLU.
        self.seen.append(output.detach().clone())

    def collect(self, rows: int) -> None:
        shapes = [tuple(output.shape) for output in self.seen]
        if len(self.seen) != 1 or shapes[0][:1] != (rows,):
            raise ArgumentError(
                f"feature_layer {self.name!r} must run once with a row for each of {rows} samples; "
                f"its outputs had the shapes {shapes}. Name another layer; "
                + layer_names(self.model)
            )
        self.batches.append(self.seen.pop())

    def result(self) -> list[Tensor]:
        return self.batches

    def latest(self) -> Tensor:
        return self.batches.pop()


class _LastLinearInput:
    """Reads the input of the last Linear that runs, or of an ancestor that sees all samples.

    With several heads the last Linear may see only some of the samples of a batch, and another
    head may run in the next batch. Then the input of the nearest enclosing module that sees a row
    for each sample, in every batch, is read instead (for Avalanche's multi-head classifier: the
    input of the classifier). So all candidates are collected from the innermost outwards, and
    one that fails in some batch is dropped.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.linears = {m for m in model.modules() if isinstance(m, nn.Linear)}
        if not self.linears:
            raise ArgumentError(
                "the model has no Linear layer whose input could serve as features: "
                f"name one with feature_layer=; {layer_names(model)}"
            )
        names = {module: name for name, module in model.named_modules()}
        by_name = dict(model.named_modules())
        # Enclosing modules from the innermost outwards. The model itself is left out: its input
        # is the data, not a representation.
        self.enclosing = {
            linear: [by_name[n] for n in _prefixes(names[linear])] for linear in self.linears
        }
        # What each module was called with: (input, its version then), one a call.
        self.calls: dict[nn.Module, list[tuple[Any, int]]] = {}
        self.last: nn.Linear | None = None
        # For `latest`: where the first batch was read, `self` standing for the innermost place.
        self.place: object = None
        self.innermost: list[Tensor] | None = []
        self.outer: dict[nn.Module, list[Tensor]] | None = None

    def hooks(self) -> list[RemovableHandle]:
        watched = self.linears.union(*self.enclosing.values())
        return [module.register_forward_pre_hook(self._see) for module in watched]

    def _see(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        value = inputs[0] if inputs else None
        version = value._version if isinstance(value, Tensor) else 0
        self.calls.setdefault(module, []).append((value, version))
        if isinstance(module, nn.Linear):
            self.last = module
            # Let go of activations that cannot be wanted any more.
            kept = {module, *self.enclosing[module]}
            self.calls = {m: c for m, c in self.calls.items() if m in kept}

    def collect(self, rows: int) -> None:
        last, calls = self.last, self.calls
        self.last, self.calls = None, {}
        if last is None:
            self.innermost, self.outer = None, {}
            return
        found = {m: _row_for_each(calls.get(m, []), rows) for m in (last, *self.enclosing[last])}
        own = found.pop(last)
        if self.innermost is not None and own is not None:
            self.innermost.append(own)
        else:
            self.innermost = None
        if self.outer is None:
            self.outer = {module: [] for module in found}
        seen = {module: found.get(module) for module in self.outer}
        self.outer = {m: [*self.outer[m], x] for m, x in seen.items() if x is not None}

    def latest(self) -> Tensor:
        batches = self.result()
        place: object = self if self.innermost is not None else next(iter(self.outer or {}))
        if self.place not in (None, place):
            raise ArgumentError(
                "different Linear layers see the samples of different batches: "
                f"name the place to read features with feature_layer=; {layer_names(self.model)}"
            )
        self.place = place
        newest = batches[-1]
        for kept in (self.innermost or [], *(self.outer or {}).values()):
            kept.clear()
        return newest

    def result(self) -> list[Tensor]:
        if self.innermost is not None:
            return self.innermost
        if self.outer:
            return next(iter(self.outer.values()))
        raise ArgumentError(
            "no Linear layer, nor a module around it, gets a row for each sample: "
            f"name one with feature_layer=; {layer_names(self.model)}"
        )


def _row_for_each(calls: list[tuple[Any, int]], rows: int) -> Tensor | None:
    """Return the input of the only call if it has a row for each sample and is unchanged."""
    if len(calls) != 1:
        return None
    value, version = calls[0]
    if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != rows:
        return None
    return value.detach() if value._version == version else None


def _prefixes(name: str) -> list[str]:
    """Return the names of the enclosing modules: `"a.b.c"` gives `["a.b", "a"]`."""
    parts = name.split(".")[:-1]
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
