"""The layers whose per-sample gradients have a closed form, and what it is.

Each rule takes what one call of a layer left (its input and the gradient of the loss for its
output) and gives the factors of its parameters' gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.probe.closed_forms import real_type
from clcore.probe.factors import Explicit, Factor
from clcore.probe.indexed import Indexed
from clcore.probe.outer import Call, Outer, Rows

Rule = Callable[[Any, Tensor, Tensor], dict[str, Factor]]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def rule_of(layer: nn.Module) -> Rule | None:
    """Return the rule of a layer, None if there is none.

    A subclass counts only while it runs the forward of the class that the rule is written for.
    """
    if "forward" in vars(layer):
        return None
    for kinds, rule in _RULES:
        for kind in kinds:
            if isinstance(layer, kind) and type(layer).forward is kind.forward:
                return rule if _plain(layer) else None
    return None


def is_normalisation(layer: nn.Module) -> bool:
    """Say whether a layer normalises: its scale and shift are no weights in the usual sense."""
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)
    return isinstance(layer, (*norms, nn.RMSNorm))


def _plain(layer: nn.Module) -> bool:
    """Say whether a layer treats samples alone and leaves its parameters as they are."""
    if isinstance(layer, nn.modules.batchnorm._NormBase):
        # Without running statistics BatchNorm mixes the samples of a batch.
        return not isinstance(layer, _BATCH_NORMS) or layer.running_mean is not None
    if isinstance(layer, nn.Embedding):
        return layer.max_norm is None and not layer.scale_grad_by_freq
    return True


def linear_factors(inputs: Tensor, deltas: Tensor) -> dict[str, Factor]:
    """Make the factors of a linear layer; see `factors_of`.

    Returns:
        Those of `weight` and `bias`.
    """
    n, o, d = len(inputs), deltas.shape[-1], inputs.shape[-1]
    left, right = deltas.reshape(n, -1, 1, o), inputs.reshape(n, -1, 1, d)
    call = _call(left, right)
    bias = left.squeeze(2).sum(1) if left.shape[1] != 1 else left.view(n, o)
    return {"weight": Outer((call,), n, (1, o, d)), "bias": Explicit(bias)}


def _linear(_layer: nn.Linear, inputs: Tensor, deltas: Tensor) -> dict[str, Factor]:
    return linear_factors(inputs, deltas)


def _convolution(layer: Any, inputs: Tensor, deltas: Tensor) -> dict[str, Factor]:
    n, groups = len(inputs), layer.groups
    spatial = len(layer.kernel_size)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padding = _paddings(layer)
    left = deltas.reshape(n, groups, layer.out_channels // groups, -1).permute(0, 3, 1, 2)

    def right(rows: Rows) -> Tensor:
        padded = functional.pad(inputs[rows], padding, mode=mode) if any(padding) else inputs[rows]
        return _patches(padded, layer, groups)

    shape = (groups, layer.out_channels // groups, layer.weight[0].numel())
    call = Call(lambda rows: left[rows], right, left.shape[1], left.nbytes + inputs.nbytes)
    bias = deltas.flatten(2).sum(2) if spatial else deltas
    return {"weight": Outer((call,), n, shape), "bias": Explicit(bias)}


def _transposed(layer: Any, inputs: Tensor, deltas: Tensor) -> dict[str, Factor]:
    # A transposed convolution is the gradient of a convolution: input and output change places.
    n, groups = len(inputs), layer.groups
    left = inputs.reshape(n, groups, layer.in_channels // groups, -1).permute(0, 3, 1, 2)
    padding = [side for size in reversed(layer.padding) for side in (size, size)]
    places = inputs.shape[2:]

    def right(rows: Rows) -> Tensor:
        return _patches(functional.pad(deltas[rows], padding), layer, groups, places)

    shape = (groups, layer.in_channels // groups, layer.weight[0].numel())
    call = Call(lambda rows: left[rows], right, left.shape[1], deltas.nbytes + inputs.nbytes)
    return {"weight": Outer((call,), n, shape), "bias": Explicit(deltas.flatten(2).sum(2))}


def _embedding(layer: nn.Embedding, indices: Tensor, deltas: Tensor) -> dict[str, Factor]:
    n, width = len(indices), layer.embedding_dim
    flat, rows = indices.reshape(n, -1), deltas.reshape(n, -1, width)
    if layer.padding_idx is not None:
        rows = rows * (flat != layer.padding_idx).unsqueeze(2)
    return {"weight": Indexed(flat, rows, layer.num_embeddings)}


def _channel_norm(layer: Any, inputs: Tensor, deltas: Tensor) -> dict[str, Factor]:
    if isinstance(layer, nn.GroupNorm):
        normal = functional.group_norm(inputs, layer.num_groups, eps=layer.eps)
    elif isinstance(layer, _BATCH_NORMS):
        statistics: Any = layer
        mean, variance = (s.to(inputs) for s in (statistics.running_mean, statistics.running_var))
        normal = functional.batch_norm(inputs, mean, variance, eps=layer.eps)
    else:
        # InstanceNorm in evaluation mode: own statistics unless it tracked some.
        mean, variance = layer.running_mean, layer.running_var
        own = mean is None
        normal = functional.instance_norm(
            inputs, mean, variance, use_input_stats=own, eps=layer.eps
        )
    sums = [values.reshape(*values.shape[:2], -1).sum(2) for values in (deltas * normal, deltas)]
    return {"weight": Explicit(sums[0]), "bias": Explicit(sums[1])}


def _layer_norm(layer: Any, inputs: Tensor, deltas: Tensor) -> dict[str, Factor]:
    shape = layer.normalized_shape
    if isinstance(layer, nn.LayerNorm):
        normal = functional.layer_norm(inputs, shape, eps=layer.eps)
    else:
        normal = functional.rms_norm(inputs, shape, eps=layer.eps)
    n, size = len(inputs), layer.weight.numel()
    sums = [values.reshape(n, -1, size).sum(1) for values in (deltas * normal, deltas)]
    return {"weight": Explicit(sums[0]), "bias": Explicit(sums[1])}


_RULES: tuple[tuple[tuple[type[nn.Module], ...], Rule], ...] = (
    ((nn.Linear,), _linear),
    (_CONVOLUTIONS, _convolution),
    (_TRANSPOSED, _transposed),
    ((nn.Embedding,), _embedding),
    ((*_BATCH_NORMS, nn.GroupNorm), _channel_norm),
    ((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _channel_norm),
    ((nn.LayerNorm, nn.RMSNorm), _layer_norm),
)


def factors_of(layer: nn.Module, inputs: Tensor, deltas: Tensor) -> dict[str, Factor]:
    """Apply the rule of a layer to one call.

    Args:
        layer: A layer that has a rule.
        inputs: `[n, ...]`: what it was called with.
        deltas: `[n, ...]`: the gradient of the loss for what it returned.

    Returns:
        The factor of each parameter's gradients, by the parameter's name in the layer.
    """
    rule = cast(Rule, rule_of(layer))
    dtype = real_type(deltas)
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    return rule(layer, inputs, deltas.to(dtype))


def _call(left: Tensor, right: Tensor) -> Call:
    return Call(
        lambda rows: left[rows],
        lambda rows: right[rows],
        left.shape[1],
        left.nbytes + right.nbytes,
    )


def _paddings(layer: Any) -> list[int]:
    """Return what `functional.pad` wants: both sides of each dimension, the last first."""
    sides: list[int] = []
    for axis in reversed(range(len(layer.kernel_size))):
        if layer.padding == "same":
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            sides += [total // 2, total - total // 2]
        else:
            size = 0 if layer.padding == "valid" else layer.padding[axis]
            sides += [size, size]
    return sides


def _patches(padded: Tensor, layer: Any, groups: int, places: torch.Size | None = None) -> Tensor:
    """Unfold `[n, C, ...]` into `[n, L, groups, C / groups · kernel]`, in any dimension."""
    spatial = len(layer.kernel_size)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    ):
        reach = dilation * (kernel - 1) + 1
        padded = padded.unfold(2 + axis, reach, stride)[..., ::dilation]
        if places is not None:
            padded = padded.narrow(2 + axis, 0, places[axis])
    n, channels = padded.shape[:2]
    split = padded.reshape(n, groups, channels // groups, *padded.shape[2:])
    sites = range(3, 3 + spatial)
    order = (0, *sites, 1, 2, *range(3 + spatial, 3 + 2 * spatial))
    count = math.prod(padded.shape[2 : 2 + spatial])
    return split.permute(order).reshape(n, count, groups, -1)
