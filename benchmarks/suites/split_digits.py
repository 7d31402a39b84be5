"""Split digits: five experiences of two classes each, class-incremental, in seconds.

The default suite and the demonstration: every method side by side on real data that needs no
download. The images are small (8 x 8) and few (1,438 for training), so the numbers rank methods
for small data only; `split-fmnist-er` is the one with published numbers.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Suite

_OURS = "ours: chosen so that joint training is good and naive training forgets, in seconds"

SUITE = Suite(
    name="split-digits",
    version=1,
    title="scikit-learn's digits, 5 x 2 classes, class-incremental",
    dataset="digits",
    scenario={"split": {"classes_per_experience": 2}},
    model=ModelSettings("mlp", hidden=(256, 256)),
    epochs=10,
    batch_size=10,
    replay_batch_size=10,
    learning_rate=0.1,
    update="experience",
    methods=(
        "naive",
        "joint",
        "reservoir",
        "balanced-reservoir",
        "class-balancing-reservoir",
        "ring",
        "herding",
        "herding+nem",
        "k-means",
        "k-center",
        "k-means-plus-plus",
        "random",
    ),
    memory_sizes=(100,),
    seeds=(0, 1, 2),
    evaluations_during=4,
    log_points=20,
    sources={
        "dataset": "scikit-learn 1.x, with the fixed division of benchmarks/datasets/digits.py",
        "scenario": "the usual 5 x 2 classes in the order of the labels (Split MNIST)",
        "model": "MLP 256-256, as in Buzzega et al. 2020",
        "epochs": _OURS,
        "batch_size": "10, as in Buzzega et al. 2020",
        "replay_batch_size": "as many as from the stream (Chaudhry et al. 2019)",
        "learning_rate": _OURS,
        "update": "several epochs: offered once, at the end of the experience, as Avalanche does",
        "memory_sizes": "ten exemplars a class",
    },
)
