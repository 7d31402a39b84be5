"""Rotated MNIST: ten experiences of 1,000 images, turned by 0, 18, ..., 162 degrees.

The smooth counterpart of permuted MNIST: neighbouring experiences look alike, so learning one helps
with the next. Images a task and network as in Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory
for Continual Learning" (1,000 images a task, an MLP of 2 x 100 units, batches of 10), with ten
evenly spaced angles instead of twenty drawn ones. No published number uses these settings.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Suite

_GEM = "Lopez-Paz and Ranzato 2017, section 5"

SUITE = Suite(
    name="rotated-mnist",
    version=1,
    title="Rotated MNIST, 10 x 1,000 images, one pass",
    dataset="mnist",
    scenario={"rotated": {"experiences": 10}, "sampled": {"samples": 1000}},
    model=ModelSettings("mlp", hidden=(100, 100)),
    batch_size=10,
    replay_batch_size=10,
    learning_rate=0.05,
    update="iteration",
    methods=(
        "naive",
        "joint",
        "reservoir",
        "balanced-reservoir",
        "ring",
        "herding",
        "k-means",
        "k-center",
    ),
    memory_sizes=(300,),
    seeds=(0, 1, 2),
    evaluations_during=1,
    sources={
        "dataset": "LeCun et al. 1998",
        "scenario": f"{_GEM}; ten even angles are ours",
        "model": _GEM,
        "epochs": "one pass, as in a stream",
        "batch_size": _GEM,
        "replay_batch_size": "as many as from the stream (Chaudhry et al. 2019)",
        "learning_rate": "as permuted-mnist",
        "update": "after each step, as in a stream",
        "memory_sizes": "as permuted-mnist",
    },
)
