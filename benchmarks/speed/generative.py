"""Batches for generative models: what selectors make of a batch, and what choosing one costs.

Parts (`--set parts=...`): `gaussians`, `digits`, `latents`, `costs`, `step` and `trainer`; nothing
is trained but for the steps that are timed. See docs/generative.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.speed.batches.costs import costs
from benchmarks.speed.batches.digits import digit_batches
from benchmarks.speed.batches.gaussians import gaussians
from benchmarks.speed.batches.latents import latents
from benchmarks.speed.batches.settings import GenerativeSettings
from benchmarks.speed.batches.step import step
from benchmarks.speed.batches.trainer import trainer
from benchmarks.speed.parts import run_parts

SETTINGS = GenerativeSettings()
QUICK = replace(
    SETTINGS,
    gaussian_draws=10,
    digit_draws=10,
    latent_draws=10,
    rounds=20,
    step_rounds=5,
    channels=(32,),
)


def report(
    out: Path | None = None,
    *,
    quick: bool = False,
    assignments: Sequence[str] = (),
    show: Callable[[str], None] = print,
) -> int:
    """Measure the parts and show their tables.

    Args:
        out: Where to write the figures as JSON, if wanted.
        quick: Fewer draws and rounds, and one width of networks.
        assignments: `key=value` texts of `GenerativeSettings`.
        show: Called with each line of text to show.

    Returns:
        The exit status, 0.

    Raises:
        ArgumentError: A setting is wrong.
    """
    parts = {
        "gaussians": gaussians,
        "digits": digit_batches,
        "latents": latents,
        "costs": costs,
        "step": step,
        "trainer": trainer,
    }
    return run_parts("generative", parts, QUICK if quick else SETTINGS, assignments, out, show)
