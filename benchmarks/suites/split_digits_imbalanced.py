"""Split digits with a long tail: class 0 keeps all its images, class 9 a tenth of them.

As `split-digits` otherwise. Here memories differ that are alike on balanced data: a reservoir
mirrors the stream, class-balanced memories keep the rare classes.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites.split_digits import SUITE as _BALANCED

SUITE = replace(
    _BALANCED,
    name="split-digits-imbalanced",
    version=1,
    title="scikit-learn's digits with a long tail, 5 x 2 classes, class-incremental",
    scenario={**_BALANCED.scenario, "long-tailed": {"ratio": 0.1}},
    sources={
        **_BALANCED.sources,
        "scenario": "long tail of Cao et al. 2019 over the usual 5 x 2 classes; ratio 0.1 is ours",
    },
)
