"""The outputs of a model that is shaken: by dropout, by noise on its weights, by augmented inputs.

Source: MC dropout: Gal and Ghahramani 2016; weight noise: Li et al. 2024 (NoiseStability);
    augmentation: Bang et al. 2021 (Rainbow Memory).
Formula: `z[i, k]` are the logits of sample i in draw k. Weight noise adds to each parameter W
    outside normalisation layers ζ·‖W‖·ε/‖ε‖ with ε standard normal; draw k is the same noise
    for every sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.probe.closed_layers import is_normalisation
from clcore.probe.seeds import mixed_seed

Run = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Perturbation:
    """How `perturbed_logits` are made.

    Args:
        kind: `"dropout"`: dropout layers drop, all else (BatchNorm too) stays in evaluation mode;
            only dropout that is a layer of its own counts. `"weight-noise"`: see the formula.
            `"augment"`: `transform` changes the inputs.
        draws: K.
        scale: ζ of the weight noise.
        transform: For `"augment"`: takes a batch of inputs as the data hold them, before the
            probe's own transform, and gives a batch.
        seed: Of every draw. Draws of dropout and augmentation depend on the batch size too.
    """

    kind: Literal["dropout", "weight-noise", "augment"] = "dropout"
    draws: int = 10
    scale: float = 1e-3
    transform: Callable[[Tensor], Tensor] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number("draws", self.draws, least=1)
        whole_number("seed", self.seed)
        if self.kind not in ("dropout", "weight-noise", "augment"):
            allowed = "'dropout', 'weight-noise' or 'augment'"
            raise ArgumentError(f"kind must be {allowed}, not {self.kind!r}")
        if not 0 < self.scale < float("inf"):
            raise ArgumentError(f"scale must be a positive number, not {self.scale!r}")
        if (self.transform is not None) != (self.kind == "augment"):
            raise ArgumentError("transform belongs to kind='augment', which needs it")

    def possible(self, model: nn.Module) -> bool:
        """Say whether a model can be shaken so: dropout needs layers that drop."""
        return self.kind != "dropout" or bool(_dropouts(model))

    def logits(self, model: nn.Module, x: Tensor, run: Run, row: int) -> Tensor:
        """Compute the outputs of every draw.

        Args:
            model: In evaluation mode.
            x: A batch of inputs as the data hold them.
            run: `run(x, parameters)`: the logits of inputs with some parameters exchanged.
            row: The place of the batch in the data: draws differ from batch to batch.

        Returns:
            `[n, K, ...]`.

        Raises:
            ArgumentError: If the model has no dropout to draw from.
        """
        with guard(seed=mixed_seed(self.seed, row)):
            draws = [self._draw(model, x, run, draw) for draw in range(self.draws)]
        return torch.stack(draws, dim=1)

    def _draw(self, model: nn.Module, x: Tensor, run: Run, draw: int) -> Tensor:
        if self.transform is not None:
            return run(self.transform(x), {})
        if self.kind == "weight-noise":
            return run(x, self._noisy(model, draw))
        dropouts = _dropouts(model)
        if not dropouts:
            raise ArgumentError(
                "the model has no dropout layer that drops: give the probe "
                "perturbation=Perturbation(kind='weight-noise') or 'augment'"
            )
        for layer in dropouts:
            layer.training = True
        try:
            return run(x, {})
        finally:
            for layer in dropouts:
                layer.training = False

    def _noisy(self, model: nn.Module, draw: int) -> dict[str, Tensor]:
        """Return the parameters of one draw, the same for every batch."""
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, draw))
        noisy: dict[str, Tensor] = {}
        for path, layer in model.named_modules():
            if is_normalisation(layer):
                continue
            for name, weight in layer.named_parameters(path, recurse=False):
                noise = torch.randn(weight.shape, generator=generator).to(weight)
                length = noise.norm().clamp_min(torch.finfo(noise.dtype).tiny)
                values = weight.detach()
                noisy[name] = values + noise * (self.scale * values.norm() / length)
        # A shared weight has one name among a model's parameters: the first.
        return {name: noisy[name] for name, _ in model.named_parameters() if name in noisy}


def _dropouts(model: nn.Module) -> list[nn.Module]:
    """Return the layers that drop something in training mode."""
    kind = nn.modules.dropout._DropoutNd
    return [layer for layer in model.modules() if isinstance(layer, kind) and layer.p > 0]
