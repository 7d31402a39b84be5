"""CIFAR-10 by a ResNet-20 on 1 to 20 % of the rows, chosen every epoch and every 5 epochs: CRAIG.

Mirzasoleiman, Bilmes and Leskovec 2020, section 5: ResNet-20, subsets of 1, 2, 3, 4, 5, 10 and
20 %, chosen at the beginning of every epoch or of every fifth. The authors' script: 200 epochs, SGD
with momentum 0.9, rate 0.1 after a linear warm-up of 20 epochs, a tenth of it after 100 and after
150, weight decay 1e-4, batches of 512, crops and flips.

By default this is short, for a CPU: 8 epochs of 10,000 rows, one fraction. The whole, on a GPU:

    clcore run cifar10-craig --fractions 1%,2%,3%,4%,5%,10%,20% --seeds 0-4 \
        --set train_rows=50000 --set epochs=200 --set rate_warmup=20 --set device=cuda \
        --set evaluate_every=10 --set loss_rows=null --set batch_size=512
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.offline.suite import OfflineSuite

_CODE = "the authors' code for CIFAR-10"
_SHORT = "ours: short for a CPU; see the file for the whole"

SUITE = OfflineSuite(
    name="cifar10-craig",
    version=1,
    title="CIFAR-10, ResNet-20, subsets chosen every epoch or every fifth, as in CRAIG (short)",
    dataset="cifar-10",
    model=ModelSettings("resnet20", hidden=(16,)),
    normalise="dataset",
    augmentation="crop-flip",
    train_rows=10_000,
    epochs=8,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    l2=1e-4,
    schedule="steps",
    milestones=(0.5, 0.75),
    rate_warmup=1,
    methods=("full", "random", "random-fixed", "craig", "craig+every5"),
    fractions=(0.1,),
    seeds=(0,),
    every=1,
    evaluate_every=2,
    loss_rows=2_000,
    measure_gradients=False,
    sources={
        "model": "the paper: ResNet-20",
        "fractions": "the paper: 1, 2, 3, 4, 5, 10, 20 %; " + _SHORT,
        "every": "the paper: every epoch, and every fifth (craig+every5)",
        "train_rows": _SHORT,
        "epochs": f"200 in {_CODE}; " + _SHORT,
        "batch_size": f"512 in {_CODE}; " + _SHORT,
        "learning_rate": _CODE,
        "momentum": _CODE,
        "l2": _CODE,
        "milestones": f"{_CODE}: after 100 and 150 of 200 epochs",
        "rate_warmup": f"20 of 200 epochs in {_CODE}",
    },
)
"""The suite."""
