"""Inner products of whole-network gradients: ours, a loop, vmap, and one plain step beside them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.speed.side_by_side.problem import Answer, Problem
from clcore import Probe


def network(width: int) -> nn.Sequential:
    """Make the classifier of the row: width-256-256-10, the same each time.

    Args:
        width: Numbers an input has.

    Returns:
        The network in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(256, 10)).eval()


def batch(problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the inputs `[n, d]` and the labels `[n]`."""
    return torch.from_numpy(problem.features), torch.from_numpy(problem.arrays["labels"])


def ours(problem: Problem) -> Answer:
    """Products of layer inputs and of output gradients, layer by layer."""
    x, y = batch(problem)
    model = network(x.shape[1])
    return Answer(matrix=Probe(model).gradient_products(x, y).numpy())


def plain(problem: Problem) -> Answer:
    """One forward and backward pass of the batch: the measure, which has no products."""
    x, y = batch(problem)
    model = network(x.shape[1])
    torch.autograd.backward(nn.functional.cross_entropy(model(x), y))
    return Answer()


def loop(problem: Problem) -> Answer:
    """One backward pass a row."""
    return Answer(matrix=products(*batch(problem)).numpy())


def products(x: Tensor, y: Tensor) -> Tensor:
    """Compute all inner products of per-row gradients by one backward pass a row.

    Args:
        x: `[n, d]`; its precision is that of the answer.
        y: int64 `[n]`.

    Returns:
        `[n, n]`.
    """
    model = network(x.shape[1]).to(x.dtype)
    parameters = list(model.parameters())
    rows = []
    for row, label in zip(x, y, strict=True):
        loss = nn.functional.cross_entropy(model(row[None]), label[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    matrix = torch.stack(rows)
    return matrix @ matrix.t()


def vmap(problem: Problem) -> Answer:
    """Per-row gradients by `torch.func.vmap` of `grad`, then their products."""
    x, y = batch(problem)
    model = network(x.shape[1])
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(values: dict[str, Tensor], row: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(model, values, (row[None],))
        return nn.functional.cross_entropy(logits, label[None])

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    total = torch.zeros(len(x), len(x))
    for gradient in found.values():
        flat = gradient.flatten(1)
        total = total + flat @ flat.t()
    return Answer(matrix=total.numpy())
