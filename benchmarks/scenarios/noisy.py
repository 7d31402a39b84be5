"""Noisy: some labels are wrong, or some images carry noise. Tests stay clean.

Sources: symmetric label noise as in Kim, Jeong, Kim, Kim, Shin, "Continual learning on noisy data
streams via self-purified replay", ICCV 2021; noisy images as in Yoon, Madaan, Yang, Hwang, "Online
coreset selection for rehearsal-based continual learning", ICLR 2022 (there 60 % of the images).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmarks.scenarios._base import Experience, Rows, RowTransform, Scenario, with_train
from benchmarks.scenarios._checks import generator_of, share, uncut
from clcore.errors import ArgumentError
from clcore.randomness import seed_from


@dataclass(frozen=True, eq=False)
class ImageNoise:
    """Adds Gaussian noise to some rows of the source; a row's noise depends on its number only.

    Attributes:
        chosen: bool `[N]`: which rows of the source.
        deviation: Standard deviation of the noise, on the scale 0 to 1.
        first_seed: Seed of row 0; row `i` has `first_seed + i`.
        before: What is done to the images first; None for nothing.
    """

    chosen: Tensor
    deviation: float
    first_seed: int
    before: RowTransform | None = None

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """Add the noise to images uint8 `[n, c, h, w]` of the rows `[n]`; values are clipped."""
        if self.before is not None:
            images = self.before(images, rows)
        positions = self.chosen[rows].nonzero().flatten()
        if not len(positions):
            return images
        noise = torch.empty((len(positions), *images.shape[1:]))
        generator = torch.Generator()
        for place, row in enumerate(rows[positions].tolist()):
            generator.manual_seed(self.first_seed + row)
            noise[place].normal_(std=255 * self.deviation, generator=generator)
        noise += images[positions]
        images[positions] = noise.round_().clamp_(0, 255).to(torch.uint8)
        return images


def noisy(
    scenario: Scenario,
    *,
    labels: float = 0.0,
    images: float = 0.0,
    deviation: float = 0.5,
    among: Literal["experience", "scenario"] = "experience",
    seed: int = 0,
) -> Scenario:
    """Spoil labels, images, or both.

    Args:
        scenario: Any scenario that is not cut into batches.
        labels: Share of the training rows of each experience that get a wrong label: exactly
            `round(labels * n)` of them, each drawn uniformly from the classes other than its own.
        images: Share of the training rows of each experience whose image gets Gaussian noise:
            exactly `round(images * n)` of them, drawn independently of the labels.
        deviation: Standard deviation of that noise, on the scale 0 to 1; results are clipped.
        among: Whether wrong labels are classes of the same experience (none appears before its
            time), or any class of the scenario.
        seed: Seed of the draws.

    Returns:
        The noisy scenario. `experience.train.true_y` keeps the right labels.

    Raises:
        ArgumentError: If an argument is out of range, or an experience has a single class to draw
            wrong labels from.
    """
    uncut(scenario, "noisy")
    wrong = share("labels", labels)
    spoilt = share("images", images)
    if not isinstance(deviation, int | float) or not 0 < deviation < float("inf"):
        raise ArgumentError(f"deviation is {deviation!r}; it must be a number above 0")
    if among not in ("experience", "scenario"):
        raise ArgumentError(f"among is {among!r}; allowed are 'experience' and 'scenario'")
    generator = generator_of(seed)
    train = []
    for old in scenario:
        within = sorted(old.class_counts) if among == "experience" else range(scenario.classes)
        candidates = torch.tensor(list(within))
        rows = _flip(old, wrong, candidates, generator) if wrong else old.train
        if spoilt:
            rows = _spoil(rows, spoilt, float(deviation), generator)
        train.append(rows)
    return with_train(scenario, f"noisy {scenario.name}", train)


def _flip(
    experience: Experience, wrong: float, candidates: Tensor, generator: torch.Generator
) -> Rows:
    """Give an exact share of the rows a wrong label."""
    if len(candidates) < 2:
        raise ArgumentError(
            f"experience {experience.index} has a single class, so among='experience' leaves no "
            "wrong label to draw; use among='scenario'"
        )
    rows = experience.train
    y = rows.y.clone()
    chosen = torch.randperm(len(rows), generator=generator)[: round(wrong * len(rows))]
    # A step of 1 to n - 1 around the ring of candidates never ends where it began.
    steps = torch.randint(1, len(candidates), chosen.shape, generator=generator)
    own = torch.searchsorted(candidates, y[chosen])
    y[chosen] = candidates[(own + steps) % len(candidates)]
    return Rows(rows.source, rows.indices, y, rows.true_y, rows.transform)


def _spoil(rows: Rows, share_of_rows: float, deviation: float, generator: torch.Generator) -> Rows:
    """Put noise on an exact share of the images."""
    chosen = torch.randperm(len(rows), generator=generator)[: round(share_of_rows * len(rows))]
    marked = torch.zeros(len(rows.source), dtype=torch.bool)
    marked[rows.indices[chosen]] = True
    noise = ImageNoise(marked, deviation, seed_from(generator), rows.transform)
    return Rows(rows.source, rows.indices, rows.y, rows.true_y, noise)
