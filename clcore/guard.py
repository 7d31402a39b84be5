"""One guard under which a model may be used and is found again as it was.

A selection runs the learner's own network in the middle of training. Without care that leaves
traces: gradients that the next step adds up, BatchNorm statistics of the wrong data, dropout
switched off, another random stream for everything that follows. The guard takes back all of it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def guard(
    *modules: nn.Module, seed: int | None = None, torch_alone: bool = False
) -> Iterator[None]:
    """Restore models and the global random state on leaving, whatever happened inside.

    Restored are: every parameter's `.grad` (the same object with the same values; inside the guard
    it is None, so that a backward pass has nothing to add to) and `requires_grad`; the training
    mode of every submodule; every buffer (object and values, so BatchNorm statistics too); the
    global generators of torch (CPU and, where in use, CUDA), numpy and `random`. Parameter values
    are not copied: whoever takes an optimiser step means it.

    Args:
        *modules: Models to restore; none guards the random state alone.
        seed: Seed the global generators inside the guard, so that what draws from them (a random
            transform, dropout) gives the same each time. None leaves them running.
        torch_alone: Leave out the generators of numpy and `random`, which take most of the guard's
            time: for what is known not to draw from them.

    Yields:
        Nothing.
    """
    restorers = [_torch_state(seed)]
    if not torch_alone:
        restorers.append(_other_state(seed))
    restorers += [_module_state(module) for module in modules]
    try:
        yield
    finally:
        # The last first: of modules that share parameters, the first has seen their gradients.
        for restore in reversed(restorers):
            restore()


# A buffer's object and its values: forward code may write in place or put a new tensor.
_Buffers = dict[str, tuple[Tensor | None, Tensor | None]]


def _module_state(root: nn.Module) -> Callable[[], None]:
    modules = list(root.modules())
    modes = [module.training for module in modules]
    buffers = [_buffers(module) for module in modules]
    own = {p: None for module in modules for p in module._parameters.values() if p is not None}
    parameters = [(p, p.grad, p.requires_grad) for p in own]
    for parameter, gradient, _ in parameters:
        if gradient is not None:
            parameter.grad = None

    # Setting an attribute of a module takes long: only what differs is set.
    def restore() -> None:
        for module, mode, saved in zip(modules, modes, buffers, strict=True):
            if module.training is not mode:
                module.training = mode
            if saved or module._buffers:
                _restore_buffers(module, saved)
        for parameter, gradient, requires_gradient in parameters:
            if parameter.grad is not gradient:
                parameter.grad = gradient
            if parameter.requires_grad is not requires_gradient:
                parameter.requires_grad_(requires_gradient)

    return restore


def _buffers(module: nn.Module) -> _Buffers:
    return {k: (v, None if v is None else v.detach().clone()) for k, v in module._buffers.items()}


def _restore_buffers(module: nn.Module, saved: _Buffers) -> None:
    for name in [name for name in module._buffers if name not in saved]:
        del module._buffers[name]
    for name, (buffer, values) in saved.items():
        if buffer is not None and values is not None:
            with torch.no_grad():
                buffer.copy_(values)
        module._buffers[name] = buffer


def _torch_state(seed: int | None) -> Callable[[], None]:
    state = torch.get_rng_state()
    # Asking an unused CUDA for its state would start it, which costs memory and seconds.
    uses_cuda = bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
    cuda_states = torch.cuda.get_rng_state_all() if uses_cuda else None
    if seed is not None:
        # `torch.manual_seed` would queue a seed for a CUDA that is not started yet.
        torch.default_generator.manual_seed(seed)
        if cuda_states is not None:
            torch.cuda.manual_seed_all(seed)

    def restore() -> None:
        torch.set_rng_state(state)
        if cuda_states is not None:
            torch.cuda.set_rng_state_all(cuda_states)

    return restore


def _other_state(seed: int | None) -> Callable[[], None]:
    python_state = random.getstate()
    numpy = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy else None
    if seed is not None:
        random.seed(seed)
        if numpy:
            numpy.random.seed(seed)

    def restore() -> None:
        random.setstate(python_state)
        if numpy:
            numpy.random.set_state(numpy_state)

    return restore
