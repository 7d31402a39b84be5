"""MNIST by a two-layer network on 10 and 40 % of the rows, chosen anew each epoch: CRAIG's.

Mirzasoleiman, Bilmes and Leskovec 2020, "Coresets for data-efficient training of machine learning
models" (ICML), section 5: a fully connected network with one hidden layer of 100 sigmoid units,
50,000 training rows, SGD; a subset chosen at the start of every epoch from the gradients at the
logits. The paper reports a speed-up of 2 to 3 and better generalisation.

The weights of a coreset sum to n in the theory, so a step on it is n / k times as long as one on
all rows at the same rate, and an epoch goes as far. `scale_rate` does that to every coreset, random
ones included. At a rate of 0.01 training on all rows is far from converged after 15 epochs, and
most of a speed-up over it comes from the longer steps: `full+rate10` shows what they alone give.

Differences: our L2 term is half the squared length (a weight decay), the authors' code takes the
whole; it scales weights to sum to k; the learning rate is constant, as in their script for MNIST.
Their times come from an external C++ tool; ours hold everything, in one thread.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.offline.suite import OfflineSuite, PublishedFraction

_CODE = "the authors' code for MNIST"
_PAPER = "Mirzasoleiman et al. 2020, MNIST, 2-layer network"
_RANGE = "given as 2 to 3, without saying at which fraction"

SUITE = OfflineSuite(
    name="mnist-craig",
    version=1,
    title="MNIST, 784-100-10 sigmoid network, a subset chosen each epoch, as in CRAIG",
    dataset="mnist",
    model=ModelSettings("mlp", hidden=(100,), activation="sigmoid"),
    train_rows=50_000,
    validation_rows=1_000,
    epochs=15,
    coreset_epochs=20,
    batch_size=32,
    learning_rate=0.01,
    l2=1e-4,
    every=1,
    scale_rate=True,
    methods=(
        "full",
        "full+rate10",
        "random",
        "random-fixed",
        "craig",
        "craig+every5",
        "kd-tree",
        "kd-tree+every5",
        "gradmatch-per-batch",
        "glister",
    ),
    fractions=(0.1, 0.4),
    seeds=(0, 1, 2),
    options={"gradmatch-per-batch": {"batch": 32}},
    published=(
        PublishedFraction("craig", 0.4, "speedup", 2.0, _PAPER, _RANGE),
        PublishedFraction("craig", 0.4, "speedup", 3.0, _PAPER, _RANGE),
    ),
    sources={
        "model": "the paper's section 5: one hidden layer of 100 sigmoid units",
        "train_rows": "the paper: 50,000 of the 60,000",
        "epochs": _CODE,
        "coreset_epochs": "ours: a third more, so that it shows when the loss is reached",
        "batch_size": _CODE,
        "learning_rate": _CODE,
        "l2": _CODE,
        "fractions": f"40 % in {_CODE}; 10 % ours",
        "scale_rate": "the paper's theorem: weights that sum to n",
        "every": "the paper: at the beginning of every epoch",
        "options": "mini-batches as they are trained on",
    },
)
"""The suite."""
