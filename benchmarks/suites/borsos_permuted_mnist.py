"""Permuted MNIST by the protocol of Borsos et al. 2020, which later coreset papers use too.

Borsos, Mutný and Krause 2020, "Coresets via Bilevel Optimization for Continual Learning and
Streaming", with the settings of the authors' code: 10 experiences of 1,000 images, MLP
784-100-100-10 with dropout 0.2, 400 epochs each with Adam at 0.0005 and batches of 256, 100
exemplars; each step adds β = 0.01 times the sum over experiences of the mean loss of their
exemplars (the authors tune β for each method; 0.01 is the best for nearly all of them here).

The memory is chosen after each experience, by every method.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Suite
from benchmarks.suites.gss_split_mnist import METHODS

CODE = "the authors' code (zalanborsos/bilevel_coresets)"
# Each step takes the whole memory, so there is nothing for these two to pick.
_METHODS = tuple(name for name in METHODS if name not in ("aser", "mir"))

SUITE = Suite(
    name="borsos-permuted-mnist",
    version=1,
    title="Permuted MNIST, 10 x 1,000 images, 400 epochs, 100 exemplars, as in Borsos et al. 2020",
    dataset="mnist",
    scenario={"permuted": {"experiences": 10}, "sampled": {"samples": 1000}},
    model=ModelSettings("mlp", hidden=(100, 100), dropout=0.2),
    normalise="dataset",
    epochs=400,
    batch_size=256,
    replay_batch_size=100,
    learning_rate=0.0005,
    optimizer="adam",
    replay="whole-memory",
    beta=0.01,
    update="experience",
    methods=_METHODS,
    memory_sizes=(100,),
    seeds=(0, 1, 2, 3, 4),
    evaluations_during=0,
    sources={
        "update": CODE,
        "replay_batch_size": "not used: the whole memory",
        "dataset": "LeCun et al. 1998",
        "scenario": CODE,
        "model": CODE,
        "normalise": CODE,
        "epochs": CODE,
        "batch_size": CODE,
        "learning_rate": CODE,
        "optimizer": CODE,
        "replay": CODE,
        "beta": f"{CODE}, the files of best β",
        "memory_sizes": CODE,
    },
)
