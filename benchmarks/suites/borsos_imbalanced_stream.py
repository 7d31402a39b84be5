"""Imbalanced streaming Split MNIST by the protocol of Borsos et al. 2020, whose numbers are known.

Borsos, Mutný and Krause 2020, "Coresets via Bilevel Optimization for Continual Learning and
Streaming", the streaming with one dominant task, with the settings of the authors' code:

- experiences {0, 1} to {8, 9} of 200, 200, 200, 200 and 2,000 images, as one stream in 22 chunks of
  125 that cross the borders of experiences; the 50 rows left at the end are not used;
- on each chunk, 40 epochs with batches of 256 (so 40 steps) and an Adam at 0.0005 of its own; then
  the memory of 100 is offered the chunk;
- each step adds β times the mean loss of the whole memory; of a coreset's slots, the mean of each,
  times the chunks that it stands for (so t β after t chunks in one slot);
- the accuracy is the mean over the five experiences at the end.

The authors choose β out of six for each method by its accuracy on the test images: 10 for the
coreset and class-balancing reservoir, 100 for the reservoir. Here it is 10 for all; give
`--set beta=100` for the reservoir.

Differences: images and their order are drawn by the seed (the authors have one draw for all seeds,
so that their deviations are those of the training only); dropout is of channels, after pooling
(theirs is of single numbers, before ReLU and pooling); the coreset's kernel is of a fully connected
network (theirs of a convolutional one), its fitted weights count (theirs are thrown away), and a
chunk is merged as it is (theirs is reduced to 100 before); the authors' class-balancing reservoir
marks classes as full before the memory is.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Published, Suite

CODE = "the authors' code (zalanborsos/bilevel_coresets)"
README = "README of zalanborsos/bilevel_coresets, imbalanced streaming"

SUITE = Suite(
    name="borsos-imbalanced-stream",
    version=1,
    title="MNIST, 5 x 2 classes, the last ten times the others, in chunks of 125, as in Borsos",
    dataset="mnist",
    scenario={
        "split": {"classes_per_experience": 2},
        "imbalanced": {"dominant": 4, "ratio": 0.1, "largest": 2000},
        "chunked": {"size": 125, "drop_last": True},
    },
    model=ModelSettings("conv", hidden=(32, 64, 128), dropout=0.5),
    normalise="dataset",
    epochs=40,
    batch_size=256,
    replay_batch_size=100,
    learning_rate=0.0005,
    optimizer="adam",
    renew_optimizer=True,
    replay="whole-memory",
    replay_groups="slot",
    beta=10.0,
    update="experience",
    methods=(
        "naive",
        "joint",
        "reservoir",
        "class-balancing-reservoir",
        "greedy-coreset-stream",
        "balanced-reservoir",
        "herding",
        "auto",
    ),
    memory_sizes=(100,),
    seeds=(0, 1, 2, 3, 4),
    evaluations_during=0,
    published=(
        Published("reservoir", 100, 0.8060, README, "beta 100"),
        Published("class-balancing-reservoir", 100, 0.8971, README),
        Published("greedy-coreset-stream", 100, 0.9230, README, "a convolutional kernel"),
    ),
    sources={
        "dataset": "LeCun et al. 1998",
        "scenario": CODE,
        "model": CODE,
        "normalise": CODE,
        "epochs": CODE,
        "batch_size": CODE,
        "replay_batch_size": "not used: the whole memory",
        "learning_rate": CODE,
        "optimizer": CODE,
        "renew_optimizer": CODE,
        "replay": CODE,
        "replay_groups": CODE,
        "beta": f"{CODE}, the file of best β; 100 for the reservoir",
        "update": CODE,
        "memory_sizes": CODE,
    },
)
