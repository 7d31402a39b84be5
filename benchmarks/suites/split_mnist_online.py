"""Split MNIST as an online stream, by Avalanche's own replay baseline.

ContinualAI/continual-learning-baselines, experiments/split_mnist/online_replay.py: 5 experiences of
2 classes in the order of the labels, mini-batches of 10 seen once, 10 replayed beside each, SGD
0.1, Avalanche's `SimpleMLP` (512 units, dropout 0.5), images normalised, 1,000 exemplars held by
Avalanche's class-balanced buffer; it reaches 0.92.

Differences: the baseline holds 5 % of the training images back for validation, and its memory
keeps a reservoir of its own for each class; `balanced-reservoir` comes closest here.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Published, Suite

_SCRIPT = "continual-learning-baselines, experiments/split_mnist/online_replay.py"

SUITE = Suite(
    name="split-mnist-online",
    version=1,
    title="MNIST, 5 x 2 classes, an online stream, as Avalanche's baseline",
    dataset="mnist",
    scenario={"split": {"classes_per_experience": 2}},
    model=ModelSettings("mlp", hidden=(512,), dropout=0.5),
    training="online",
    normalise="dataset",
    batch_size=10,
    replay_batch_size=10,
    learning_rate=0.1,
    update="iteration",
    methods=(
        "naive",
        "joint",
        "reservoir",
        "balanced-reservoir",
        "class-balancing-reservoir",
        "ring",
        "k-means",
    ),
    memory_sizes=(1000,),
    seeds=(0, 1, 2),
    evaluations_during=4,
    published=(
        Published(
            "balanced-reservoir",
            1000,
            0.92,
            "continual-learning-baselines, README",
            "one reservoir a class, 5 % of the data held back",
        ),
    ),
    sources={
        "dataset": "LeCun et al. 1998",
        "scenario": _SCRIPT,
        "model": _SCRIPT,
        "normalise": "avalanche.benchmarks.classic.SplitMNIST's default transform",
        "epochs": "online: one pass",
        "batch_size": _SCRIPT,
        "replay_batch_size": f"{_SCRIPT}: the plugin's default, the size of the batch",
        "learning_rate": _SCRIPT,
        "update": "online: after each mini-batch",
        "memory_sizes": _SCRIPT,
    },
)
