"""What choosing latents does to their lengths: the generator is sampled with the prior later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch

from benchmarks.settings import derived_seed
from benchmarks.speed.batches.settings import GenerativeSettings
from benchmarks.speed.figures import Column, Table, digits
from benchmarks.speed.repeats import MeanError
from strategies.generative import select_latents

BATCH, FACTOR = 64, 4
SIZES = (2, 128)
SELECTORS = ("k-center", "kernel-herding")
PRIORS: tuple[Literal["uniform", "normal"], ...] = ("uniform", "normal")


def latents(settings: GenerativeSettings) -> Iterator[Table]:
    """Compare the lengths of chosen latents with those of plain ones.

    Yields:
        One table.
    """
    rows = []
    for prior in PRIORS:
        for size in SIZES:
            row: dict[str, object] = {"prior": prior, "size": size}
            for name in ("random", *SELECTORS):
                lengths = []
                for draw in range(settings.latent_draws):
                    seed = derived_seed(settings.seed, f"latents {draw}")
                    generator = torch.Generator().manual_seed(seed)
                    z = select_latents(
                        BATCH, FACTOR, size=size, prior=prior, selector=name, generator=generator
                    )
                    lengths.append(float(z.norm(dim=1).mean()))
                row[name] = MeanError.of(lengths)
            rows.append(row)
    yield Table(
        "latents",
        f"Mean length of {BATCH} latents of {FACTOR * BATCH}, {settings.latent_draws} draws "
        "(mean ± s.e.)",
        (
            Column("prior", "prior"),
            Column("size", "numbers"),
            *(Column(name, f"`{name}`", digits(2)) for name in ("random", *SELECTORS)),
        ),
        rows,
    )
