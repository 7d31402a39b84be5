"""Split MNIST by the protocol of Borsos et al. 2020: a convolutional network, 100 exemplars.

5 experiences of 1,000 images, convolutions of 32 and 64 channels and a layer of 128 units with
dropout 0.5, training as in `borsos-permuted-mnist` but β = 100 (the authors' best for their
coreset and k-means; 10 for uniform and iCaRL). A run takes about a quarter of an hour on one core.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.models import ModelSettings
from benchmarks.suites.borsos_permuted_mnist import SUITE as _PERMUTED

SUITE = replace(
    _PERMUTED,
    name="borsos-split-mnist",
    version=1,
    title="MNIST, 5 x 2 classes, 1,000 images each, 400 epochs, 100 exemplars, as in Borsos et al.",
    scenario={"split": {"classes_per_experience": 2}, "sampled": {"samples": 1000}},
    model=ModelSettings("conv", hidden=(32, 64, 128), dropout=0.5),
    beta=100.0,
)
