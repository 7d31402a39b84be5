"""Scenarios: how a data set comes to the learner, one file each.

`split`, `blurry`, `permuted` and `rotated` make a scenario of a data set; `sampled`, `imbalanced`,
`long_tailed`, `thinned`, `noisy` and, last, `online` or `chunked` make another one of a scenario.
"""

from benchmarks.scenarios._base import Experience, Normalise, Rows, RowTransform, Scenario
from benchmarks.scenarios.blurry import blurry
from benchmarks.scenarios.chunked import chunked
from benchmarks.scenarios.imbalanced import imbalanced, long_tailed, thinned
from benchmarks.scenarios.noisy import noisy
from benchmarks.scenarios.online import online
from benchmarks.scenarios.permuted import permuted
from benchmarks.scenarios.rotated import rotated
from benchmarks.scenarios.sampled import sampled
from benchmarks.scenarios.split import split

__all__ = [
    "Experience",
    "Normalise",
    "RowTransform",
    "Rows",
    "Scenario",
    "blurry",
    "chunked",
    "imbalanced",
    "long_tailed",
    "noisy",
    "online",
    "permuted",
    "rotated",
    "sampled",
    "split",
    "thinned",
]
