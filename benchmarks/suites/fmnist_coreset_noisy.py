"""Fashion-MNIST where one training label in five is wrong: does a selector take the wrong ones?

Wrong labels are drawn evenly from the other classes; test labels are right. A method that looks for
large losses or gradients finds the wrong labels first; one that covers the data need not. The share
of wrong labels in each coreset is in the results (`wrong_labels`) beside the accuracy. Everything
else is as in `fmnist-coreset`.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites.fmnist_coreset import SUITE as _WHOLE

SUITE = replace(
    _WHOLE,
    name="fmnist-coreset-noisy",
    version=1,
    title="Fashion-MNIST with 20 % wrong labels, small network from scratch on 5 to 30 %",
    label_noise=0.2,
    fractions=(0.05, 0.1, 0.3),
    sources={**_WHOLE.sources, "label_noise": "ours: symmetric noise of 20 %, a usual setting"},
)
"""The suite."""
