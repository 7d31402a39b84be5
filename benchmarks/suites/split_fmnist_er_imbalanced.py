"""Split Fashion-MNIST with one dominant experience: 2,000 images, 200 in each of the others.

The imbalance of Aljundi et al. 2019, "Gradient based sample selection for online continual
learning" (NeurIPS), section 4.3, on the data, network and training of `split-fmnist-er`. The third
experience dominates: there is something to forget before it and something to learn after it.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites.split_fmnist_er import SUITE as _BALANCED

SUITE = replace(
    _BALANCED,
    name="split-fmnist-er-imbalanced",
    version=1,
    title="Fashion-MNIST, 5 x 2 classes, one experience ten times the others",
    scenario={**_BALANCED.scenario, "imbalanced": {"dominant": 2, "ratio": 0.1, "largest": 2000}},
    memory_sizes=(200, 500),
    published=(),
    sources={
        **_BALANCED.sources,
        "scenario": "sizes of Aljundi et al. 2019, section 4.3; which one dominates is ours",
    },
)
