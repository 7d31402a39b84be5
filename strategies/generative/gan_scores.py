"""Scores of a discriminator, and whether two networks fit each other and the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clcore.errors import ArgumentError
from clcore.guard import guard
from strategies.generative.extractors import one_head


def scores_of(outputs: object, rows: int, head: int | None = None) -> Tensor:
    """Read a discriminator's scores.

    Args:
        outputs: What it returned: `[b]`, `[b, 1]` or `[b, 1, 1, 1]`; of several heads the tuple.
        rows: b.
        head: Which output is the score, where there are several.

    Returns:
        `[b]`, with their graph.

    Raises:
        ArgumentError: If there is not one score for each image.
    """
    scores = one_head(outputs, head)
    if scores.ndim == 0 or len(scores) != rows or scores.numel() != rows:
        raise ArgumentError(
            f"discriminator must return one score for each of {rows} images, not shape "
            f"{tuple(scores.shape)}: of patches take the mean"
        )
    return scores.reshape(-1)


class Scorer(nn.Module):
    """A discriminator with one score an image, where it may have several heads.

    Args:
        discriminator: The network.
        head: Which output is the score.
    """

    def __init__(self, discriminator: nn.Module, head: int | None) -> None:
        super().__init__()
        self.discriminator, self.head = discriminator, head

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of images `[b, ...]`: `[b]`."""
        return scores_of(self.discriminator(images), len(images), self.head)


def require_fit(
    generator: nn.Module, scorer: Scorer, latents: Tensor, shape: tuple[int, ...]
) -> None:
    """Run both networks once, so that what doesn't fit is said at the door.

    They run in evaluation mode and are found again as they were.

    Args:
        generator: The generator.
        scorer: The discriminator.
        latents: A few `[b, ...]`.
        shape: Of an image of the data.

    Raises:
        ArgumentError: If a network doesn't take what it is given, or returns something else.
    """
    rows, wanted = len(latents), (len(latents), *shape)
    with guard(generator, scorer, seed=0), torch.no_grad():
        generator.eval()
        scorer.eval()
        made = _tried("generator", generator, latents, f"latents of shape {_of_one(latents)}")
        if not isinstance(made, Tensor) or tuple(made.shape) != wanted:
            what = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ArgumentError(
                f"generator must make {wanted} of {rows} latents, as the data are, not {what}"
            )
        images = f"images of shape {shape}"
        outputs = _tried("discriminator", scorer.discriminator, made, images)
        scores_of(outputs, rows, scorer.head)


def _of_one(values: Tensor) -> tuple[int, ...]:
    return tuple(values.shape[1:])


def _tried(name: str, network: nn.Module, values: Tensor, what: str) -> object:
    try:
        return network(values)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ArgumentError(f"{name} doesn't take {what}: {error}") from error
