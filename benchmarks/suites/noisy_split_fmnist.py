"""Split Fashion-MNIST with wrong labels: three in ten training images carry another class's label.

1,000 images an experience and training as in `gss-split-mnist`; wrong labels are those of the other
class of the same experience, so none appears before its time. Tests are clean. A memory that keeps
wrong labels replays them for ever. Symmetric label noise as in Kim et al. 2021, "Continual Learning
on Noisy Data Streams via Self-Purified Replay"; no published number uses these settings.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites.gss_split_mnist import SUITE as _CLEAN

SUITE = replace(
    _CLEAN,
    name="noisy-split-fmnist",
    version=2,
    title="Fashion-MNIST, 5 x 2 classes, 1,000 images each, 30 % wrong labels",
    dataset="fashion-mnist",
    scenario={**_CLEAN.scenario, "noisy": {"labels": 0.3}},
    memory_sizes=(300,),
    published=(),
    sources={
        **_CLEAN.sources,
        "dataset": "Xiao et al. 2017",
        "scenario": "symmetric label noise as in Kim et al. 2021; share and sizes are ours",
    },
)
