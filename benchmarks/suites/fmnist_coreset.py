"""Fashion-MNIST on 1 to 50 % of the rows, every selector: the form of DeepCore's table.

Guo, Zhao and Bai 2022, "DeepCore: a comprehensive library for coreset selection in deep learning"
(DEXA): a network is trained a few epochs on all rows, each method chooses once by it, and a new
network is trained from scratch on what was chosen. Theirs is CIFAR-10 by a ResNet-18 for 200
epochs; ours a small convolutional network that ends within minutes on one core, so the columns are
the same and the numbers are not.

The network sees each chosen row `epochs` times, so a small fraction has few steps, as in
DeepCore. Weights count where a method defines them: by a trained model most rows have next to no
gradient, so a pick of CRAIG's may stand for hundreds of times the mean, which throws a network off
that starts from scratch; `+unweighted` takes the rows alone, `+sampled` trains on each row as often
as it weighs.

The epochs before the choice are charged to every method that reads the model. Such a choice pays
where rows are dear, not where time is.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.offline.suite import OfflineSuite

_OURS = "ours: ends within a minute a cell on one core"

SUITE = OfflineSuite(
    name="fmnist-coreset",
    version=1,
    title="Fashion-MNIST, small network from scratch on 1 to 50 %, in the form of DeepCore",
    dataset="fashion-mnist",
    model=ModelSettings("mlp", hidden=(256, 128)),
    normalise="dataset",
    validation_rows=1_000,
    pretrain_epochs=5,
    every=None,
    epochs=20,
    batch_size=64,
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    l2=5e-4,
    schedule="cosine",
    methods=(
        "full",
        "random",
        "craig",
        "craig+unweighted",
        "craig+sampled",
        "gradmatch",
        "gradmatch+unweighted",
        "gradmatch+sampled",
        "glister",
        "facility-location",
        "graph-cut",
        "k-center",
        "k-means",
        "herding",
        "moderate",
        "max-herding",
        "el2n",
        "grand",
        "forgetting",
        "least-confidence",
        "margin",
        "coverage-centric",
        "kd-tree",
        "kd-tree+sampled",
    ),
    fractions=(0.01, 0.05, 0.1, 0.2, 0.3, 0.5),
    seeds=(0, 1, 2),
    evaluate_every=5,
    sources={
        "methods": "DeepCore's, as far as the engine has them, and ours",
        "fractions": "DeepCore's range, thinned out",
        "pretrain_epochs": "DeepCore: 10 epochs of a ResNet-18; " + _OURS,
        "epochs": _OURS,
        "batch_size": _OURS,
        "learning_rate": _OURS,
        "momentum": "DeepCore: 0.9, with Nesterov",
        "l2": "DeepCore: weight decay of 5e-4",
        "schedule": "DeepCore: cosine",
        "model": _OURS,
    },
)
"""The suite."""
