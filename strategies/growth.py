"""Growing a fresh model to the shape that a saved one had.

Avalanche's classifiers add outputs and heads as classes and tasks arrive, so a model made anew is
smaller than the one in a checkpoint, and part of what it knows stands in plain attributes that no
`state_dict` holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from avalanche.models import DynamicModule, IncrementalClassifier, MultiHeadClassifier
from torch import Tensor, nn

from clcore.errors import FormatError
from strategies.plain import is_plain


def attributes_of(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Plain attributes (known tasks, largest label, …) of the modules that grow, by module name."""
    return {
        name: {
            key: value
            for key, value in vars(module).items()
            if not key.startswith("_") and key != "training" and is_plain(value)
        }
        for name, module in model.named_modules()
        if isinstance(module, DynamicModule)
    }


def grow(
    model: nn.Module, tensors: Mapping[str, Tensor], attributes: Mapping[str, Mapping[str, Any]]
) -> None:
    """Give a model the parameters and buffers that a saved state has.

    Knows Avalanche's `IncrementalClassifier` and `MultiHeadClassifier`, anywhere in the model.

    Args:
        model: The model; its heads and masks are changed in place, values are left to load.
        tensors: Its saved `state_dict`.
        attributes: As `attributes_of` gave them.
    """
    for name, module in model.named_modules():
        if isinstance(module, MultiHeadClassifier):
            _add_heads(module, f"{name}." if name else "", tensors)
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, IncrementalClassifier):
            _resize(module, tensors.get(f"{prefix}classifier.weight"))
        if isinstance(module, DynamicModule):
            for key, buffer in list(module._buffers.items()):
                saved = tensors.get(prefix + key)
                if saved is not None and buffer is not None and saved.shape != buffer.shape:
                    module._buffers[key] = buffer.new_zeros(saved.shape)
            for key, value in attributes.get(name, {}).items():
                setattr(module, key, value)


def check_shapes(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a saved state that doesn't fit the model.

    Raises:
        FormatError: Names or shapes differ; tells the first.
    """
    here = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    saved = {name: tuple(value.shape) for name, value in tensors.items()}
    for name in [*here, *saved]:
        if here.get(name) != saved.get(name):
            raise FormatError(
                f"the model is not the one that was saved: {name} is {_shown(here.get(name))} here "
                f"and {_shown(saved.get(name))} in the file; build (and grow) it as it was"
            )


def _shown(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {list(shape)}"


def _add_heads(module: MultiHeadClassifier, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    device = module._adaptation_device
    for name, saved in tensors.items():
        if name.startswith(f"{prefix}classifiers.") and name.endswith(".classifier.weight"):
            task = name.removeprefix(f"{prefix}classifiers.").split(".")[0]
            if task not in module.classifiers:
                module.classifiers[task] = IncrementalClassifier(
                    module.in_features, len(saved), masking=False, auto_adapt=False
                ).to(device)
        elif name.startswith(f"{prefix}active_units_T"):
            key = name.removeprefix(prefix)
            if key not in module._buffers:
                module.register_buffer(key, torch.zeros_like(saved, device=device))


def _resize(module: IncrementalClassifier, weight: Tensor | None) -> None:
    linear = module.classifier
    if weight is None or weight.ndim != 2 or len(weight) == linear.out_features:
        return
    if weight.shape[1] == linear.in_features:
        module.classifier = nn.Linear(linear.in_features, len(weight)).to(linear.weight.device)
