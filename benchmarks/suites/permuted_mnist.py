"""Permuted MNIST: ten experiences of 1,000 images, each with its pixels in another order.

The sizes are those of Aljundi et al. 2019, "Gradient based sample selection for online continual
learning" (NeurIPS), section 4: 10 tasks of 1,000 images, 300 exemplars, an MLP of 2 x 100 units,
batches of 10. They take three steps on each batch, with separate steps for stream and memory; here
it is one step for both together, so their numbers say where the level is and no more.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Published, Suite

_GSS = "Aljundi et al. 2019, section 4 and the authors' scripts"
_OTHER = "three steps a batch, stream and memory in separate steps"

SUITE = Suite(
    name="permuted-mnist",
    version=1,
    title="Permuted MNIST, 10 x 1,000 images, one pass",
    dataset="mnist",
    scenario={"permuted": {"experiences": 10}, "sampled": {"samples": 1000}},
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
    published=(
        Published(
            "reservoir", 300, 0.7254, "Aljundi et al. 2019, 'Rand' (its code cannot be run)", _OTHER
        ),
    ),
    sources={
        "dataset": "LeCun et al. 1998",
        "scenario": _GSS,
        "model": _GSS,
        "epochs": "one pass; see above",
        "batch_size": _GSS,
        "replay_batch_size": "as many as from the stream (Chaudhry et al. 2019)",
        "learning_rate": _GSS,
        "update": "after each step, as in a stream",
        "memory_sizes": _GSS,
    },
)
