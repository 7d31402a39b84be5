"""Fashion-MNIST with a long tail: the rarest class has a hundredth of the most frequent one's rows.

The division is that of Cui et al. 2019 and Cao et al. 2019: class c of C keeps μ^(c / (C − 1)) of
the rows, μ = 0.01. The test rows are balanced, so a method that gives rare classes more than their
share is not punished for it, and one that loses them is. Everything else is as in `fmnist-coreset`.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites.fmnist_coreset import SUITE as _WHOLE

SUITE = replace(
    _WHOLE,
    name="fmnist-coreset-imbalanced",
    version=1,
    title="Fashion-MNIST with a long tail of 100 to 1, small network from scratch on 5 to 30 %",
    imbalance=0.01,
    fractions=(0.05, 0.1, 0.3),
    sources={
        **_WHOLE.sources,
        "imbalance": "Cui et al. 2019: ratios of 10 to 100",
        "fractions": "ours: below 5 % the rarest class has no row left",
    },
)
"""The suite."""
