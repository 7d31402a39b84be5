"""100 Gaussians on a grid: the larger toy problem, with the gradient penalty of the replication.

With a penalty no mode is lost for long, and what is left to gain is sharpness: in the replication
ksander14/small-gan Small-GAN had fewer good samples than plain training after as many steps.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.generative.suite import PublishedMeasure
from benchmarks.suites.gaussians_gan import NOTE, SOURCE
from benchmarks.suites.gaussians_gan import SUITE as _SMALL

SUITE = replace(
    _SMALL,
    name="gaussians-gan-100",
    version=1,
    title="100 Gaussians on a grid, a small GAN with a gradient penalty",
    modes=100,
    gradient_penalty=0.1,
    measure="high_quality",
    published=(
        PublishedMeasure("plain", 64, "recovered_modes", 0.988, SOURCE, NOTE),
        PublishedMeasure("k-center", 64, "recovered_modes", 0.993, SOURCE, NOTE),
        PublishedMeasure("plain", 64, "high_quality", 0.661, SOURCE, NOTE),
        PublishedMeasure("k-center", 64, "high_quality", 0.488, SOURCE, NOTE),
    ),
    sources={**_SMALL.sources, "gradient_penalty": SOURCE},
)
"""The suite."""
