"""Split MNIST with one dominant experience: 2,000 images, 200 in each of the others.

Aljundi, Lin, Goujaud and Bengio 2019, "Gradient based sample selection for online continual
learning" (NeurIPS), section 4.3: the mean over which experience dominates. Seed s has experience
s mod 5, so five seeds are one run for each; the deviation between runs is mostly that between
positions. Everything else is as in `gss-split-mnist`.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites._base import Published
from benchmarks.suites.gss_split_mnist import SUITE as _BALANCED

_PAPER = "Aljundi et al. 2019, imbalanced MNIST, mean over the dominant task"

SUITE = replace(
    _BALANCED,
    name="gss-imbalanced",
    version=2,
    title="MNIST, 5 x 2 classes, one experience ten times the others, as in GSS",
    scenario={
        "split": {"classes_per_experience": 2},
        "imbalanced": {
            "dominant": {"by_seed": [0, 1, 2, 3, 4]},
            "ratio": 0.1,
            "largest": 2000,
        },
    },
    memory_sizes=(300,),
    published=(
        Published("reservoir", 300, 0.6912, _PAPER),
        Published("gss-iqp", 300, 0.7649, _PAPER),
        Published("gss-reference", 300, 0.7796, _PAPER),
    ),
    sources={**_BALANCED.sources, "scenario": "sizes of the paper's section 4.3"},
)
