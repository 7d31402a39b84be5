"""Rotated MNIST with unequal classes, as in OCS: classes 0 and 5 keep all, the others a tenth.

Yoon, Madaan, Yang and Hwang 2022, "Online Coreset Selection for Rehearsal-based Continual Learning"
(ICLR), with the authors' factor of 0.8 on the rate from experience to experience; everything else
is as in `ocs-rotated-mnist`.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites.ocs_rotated_mnist import SUITE as _BALANCED

SUITE = replace(
    _BALANCED,
    name="ocs-rotated-mnist-imbalanced",
    version=1,
    title="Rotated MNIST, 20 experiences, classes 0 and 5 ten times the others, as in OCS",
    scenario={
        "rotated": {"experiences": 20},
        "thinned": {"keep": [0, 5], "ratio": 0.1},
        "sampled": {"samples": 3000},
    },
    rate_decay=0.8,
    sources={**_BALANCED.sources, "scenario": "the authors' code; 3,000 images each are ours"},
)
