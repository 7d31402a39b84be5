"""Split CIFAR-10 with a reduced ResNet-18, one pass.

5 experiences of 2 classes in the order of the labels; the reduced ResNet-18 of Lopez-Paz and
Ranzato 2017 (20 channels), SGD at 0.1, batches of 10 with 10 exemplars beside them, as in the
online literature (Chaudhry et al. 2019; Shim et al. 2021). For a CPU 500 images of each experience
are used; `--set scenario.sampled.samples=10000` takes all of them. No published number uses 500.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Suite
from benchmarks.suites.gss_split_mnist import METHODS

_ONLINE = "Shim et al. 2021, section 4"

SUITE = Suite(
    name="split-cifar10",
    version=1,
    title="CIFAR-10, 5 x 2 classes, 500 images each, reduced ResNet-18, one pass",
    dataset="cifar-10",
    scenario={"split": {"classes_per_experience": 2}, "sampled": {"samples": 500}},
    model=ModelSettings("resnet18", hidden=(20,)),
    normalise="dataset",
    batch_size=10,
    replay_batch_size=10,
    learning_rate=0.1,
    selection_batch_size=20,
    update="iteration",
    methods=METHODS,
    memory_sizes=(200,),
    seeds=(0, 1, 2, 3, 4),
    evaluations_during=0,
    sources={
        "memory_sizes": f"{_ONLINE}, the smallest",
        "update": "after each step, as in a stream",
        "epochs": "one pass",
        "dataset": "Krizhevsky 2009",
        "scenario": f"{_ONLINE}; 500 images are ours",
        "model": "Lopez-Paz and Ranzato 2017, section 5",
        "batch_size": _ONLINE,
        "replay_batch_size": _ONLINE,
        "learning_rate": _ONLINE,
        "selection_batch_size": "OCS picks 10 of 20, as on CIFAR-100 in Yoon et al. 2022",
    },
)
