"""Rotated MNIST as in OCS: 20 experiences, each turned by 9 degrees more, 200 exemplars.

Yoon, Madaan, Yang and Hwang 2022, "Online Coreset Selection for Rehearsal-based Continual Learning"
(ICLR), with the settings of the authors' code: MLP 784-256-256-10 with dropout 0.2, SGD at 0.005
with momentum 0.8, the rate falling by 0.75 from each experience to the next; OCS picks 10 of 100
images in each step.

Differences, to end within minutes on a CPU: 3,000 images of each experience, one pass (the authors:
60,000). OCS makes 10 passes, as in the authors' code, and so as many steps as the others. Their
baselines' training is not described closely enough to make again, so no published number stands
beside ours.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Suite
from benchmarks.suites.gss_split_mnist import METHODS

_CODE = "the authors' code for Rotated MNIST"

SUITE = Suite(
    name="ocs-rotated-mnist",
    version=1,
    title="Rotated MNIST, 20 x 3,000 images in steps of 9 degrees, as in OCS (Yoon et al. 2022)",
    dataset="mnist",
    scenario={"rotated": {"experiences": 20}, "sampled": {"samples": 3000}},
    model=ModelSettings("mlp", hidden=(256, 256), dropout=0.2),
    batch_size=10,
    replay_batch_size=10,
    learning_rate=0.005,
    momentum=0.8,
    rate_decay=0.75,
    selection_batch_size=100,
    selection_epochs=10,
    update="iteration",
    methods=METHODS,
    memory_sizes=(200,),
    seeds=(0, 1, 2, 3, 4),
    evaluations_during=0,
    sources={
        "update": "after each step, as in a stream",
        "epochs": "ours, see above",
        "dataset": "LeCun et al. 1998",
        "scenario": f"{_CODE}; 3,000 images each are ours",
        "model": _CODE,
        "batch_size": f"{_CODE}: 10 picked images",
        "replay_batch_size": _CODE,
        "learning_rate": _CODE,
        "momentum": _CODE,
        "rate_decay": _CODE,
        "selection_batch_size": _CODE,
        "selection_epochs": _CODE,
        "memory_sizes": _CODE,
    },
)
