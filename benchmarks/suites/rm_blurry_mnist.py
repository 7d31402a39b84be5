"""Blurry MNIST by the protocol of rainbow memory, whose numbers are published.

Bang, Kim, Yoo, Ha and Choi 2021, "Rainbow Memory: Continual Learning with a Memory of Diverse
Samples" (CVPR), with the settings of the authors' code (clovaai/rainbow-memory, `experiment.sh`,
blurry10, online, for their figures without data augmentation): 5 experiences of 2 main classes, a
tenth of each experience from the other classes; MLP of 2 x 400 units with BatchNorm; SGD at 0.05
with Nesterov momentum 0.9 and weight decay 0.0001; each experience once, 8 images beside 8
exemplars; then 5 epochs on the memory alone, with the authors' rates; the output layer and the
optimiser begin anew with each experience; images are normalised.

Differences: the released code crops images after padding and mirrors them, digits too, whatever it
is told; the published figures are in reach without that only (`--set augmentation=crop-flip` is as
released; see docs/benchmarks.md). The authors report the best epoch on the test set for each
experience, we the last network; they turn the digits into three equal colour channels; their
experiences are three fixed draws, and 250 images a class are held back for validation.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Published, Suite
from benchmarks.suites.gss_split_mnist import METHODS

_README = "README of clovaai/rainbow-memory, MNIST, Blurry10-online, K = 500"
_CODE = "clovaai/rainbow-memory, experiment.sh and methods/rainbow_memory.py"
_BEST = "best epoch on the test set"

SUITE = Suite(
    name="rm-blurry-mnist",
    version=2,
    title="Blurry MNIST, 5 x 2 main classes, one pass, then the memory, as in rainbow memory",
    dataset="mnist",
    scenario={"blurry": {"classes_per_experience": 2, "minority": 0.1}},
    model=ModelSettings("mlp", hidden=(400, 400), batch_norm=True),
    normalise="dataset",
    batch_size=8,
    replay_batch_size=8,
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=0.0001,
    memory_epochs=5,
    selection_batch_size=16,
    update="iteration",
    methods=METHODS,
    memory_sizes=(500,),
    seeds=(0, 1, 2, 3, 4),
    evaluations_during=0,
    published=(
        Published("rainbow", 500, 0.9265, _README, _BEST),
        Published("gdumb", 500, 0.8851, _README, f"{_BEST}; GDumb with the same training"),
        Published("herding", 500, 0.7809, _README, f"{_BEST}; iCaRL with its own training"),
    ),
    sources={
        "update": "after each step, where a memory can; rainbow memory's after each experience",
        "epochs": _CODE,
        "dataset": "LeCun et al. 1998",
        "scenario": _CODE,
        "model": "clovaai/rainbow-memory, models/mnist.py",
        "normalise": "clovaai/rainbow-memory, main.py",
        "batch_size": f"{_CODE}: half of 16",
        "replay_batch_size": f"{_CODE}: half of 16",
        "learning_rate": _CODE,
        "momentum": "clovaai/rainbow-memory, utils/train_utils.py",
        "nesterov": "clovaai/rainbow-memory, utils/train_utils.py",
        "weight_decay": "clovaai/rainbow-memory, utils/train_utils.py",
        "memory_epochs": _CODE,
        "augmentation": "ours, see above",
        "memory_sizes": "the README's",
    },
)
