"""Settings of the group `generative`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Part = Literal["gaussians", "digits", "latents", "costs", "step", "trainer"]


@dataclass(frozen=True)
class GenerativeSettings:
    """What is measured, and how often.

    Attributes:
        parts: Any of `gaussians`, `digits`, `latents`, `costs`, `step` and `trainer`.
        batch_size: Rows that are chosen in `gaussians` and `digits`.
        pool_size: Rows that they are chosen from, in `costs` too.
        gaussian_draws: Pools drawn in `gaussians`.
        digit_draws: Pools drawn in `digits`.
        latent_draws: Batches drawn in `latents`.
        rounds: Timed selections of each selector in `costs`.
        step_rounds: Timed steps of each way in `step` and `trainer`.
        channels: Widths of the networks in `step` and `trainer`.
        seed: Of what is drawn.
    """

    parts: tuple[Part, ...] = ("gaussians", "digits", "latents", "costs", "step", "trainer")
    batch_size: Annotated[int, Field(ge=2)] = 64
    pool_size: Annotated[int, Field(ge=2)] = 512
    gaussian_draws: Count = 60
    digit_draws: Count = 40
    latent_draws: Count = 30
    rounds: Count = 100
    step_rounds: Count = 20
    channels: tuple[Annotated[int, Field(ge=1)], ...] = (64, 32, 16)
    seed: Annotated[int, Field(ge=0)] = 0
