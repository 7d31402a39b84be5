"""Split MNIST by the protocol of GSS, whose numbers are published.

Aljundi, Lin, Goujaud and Bengio 2019, "Gradient based sample selection for online continual
learning" (NeurIPS), section 4.1, with the settings of the authors' script `Disjoint_Mnist.sh`:

- 5 experiences of 2 classes, 1,000 training images each, seen once in batches of 10;
- MLP of 2 x 100 units, Glorot's initial weights (`model/common.py` there; PyTorch's own are less
  than half as large in the first layer, and learn more slowly), plain SGD at 0.05, three iterations
  on each batch, and after each of them a step of its own on 10 exemplars;
- 300, 400 or 500 exemplars; the accuracy is the mean over all experiences at the end.

Differences: exemplars are drawn anew for each step (the original walks through one shuffle of the
memory); the 1,000 images are another draw; the original evaluates on all test images but the last.

Their baseline `Rand` (37.5 / 45.9 / 57.9) is not among the published numbers here: its code can't
be run (it calls a method that doesn't exist), and a plain reservoir under the same training is far
above it, see docs/benchmarks.md.
"""

from __future__ import annotations

from benchmarks.models import ModelSettings
from benchmarks.suites._base import Published, Suite

PAPER = "Aljundi et al. 2019, table of Disjoint MNIST"
SCRIPT = "the authors' Disjoint_Mnist.sh"
METHODS = (
    "naive",
    "joint",
    "reservoir",
    "class-balancing-reservoir",
    "balanced-reservoir",
    "ring",
    "k-means",
    "gss",
    "gss-reference",
    "gss-iqp",
    "gss-cluster",
    "ocs",
    "ocs-memory",
    "gcr",
    "gcr-memory",
    "greedy-coreset",
    "pbcs",
    "bcsr",
    "csrel",
    "rainbow",
    "aser",
    "aser-update",
    "mir",
    "loss-aware-reservoir",
    "gdumb",
    "herding",
    "k-means-plus-plus",
    "k-center",
    "craig",
    "max-herding",
    "random",
    "auto",
)
"""The memories that the suites of this family compare.

Those that choose by task are left out, as here they are `herding` and `random`, and
`greedy-coreset-stream`, whose runs take a minute where most others take seconds.
"""

SUITE = Suite(
    name="gss-split-mnist",
    version=2,
    title="MNIST, 5 x 2 classes, 1,000 images each, as in GSS (Aljundi et al. 2019)",
    dataset="mnist",
    scenario={"split": {"classes_per_experience": 2}, "sampled": {"samples": 1000}},
    model=ModelSettings("mlp", hidden=(100, 100), initialisation="xavier"),
    batch_size=10,
    replay_batch_size=10,
    learning_rate=0.05,
    passes=3,
    replay="separate",
    selection_batch_size=20,
    update="iteration",
    methods=METHODS,
    memory_sizes=(300, 400, 500),
    seeds=(0, 1, 2, 3, 4),
    evaluations_during=1,
    published=(
        Published("gss-reference", 300, 0.826, PAPER),
        Published("gss-reference", 400, 0.846, PAPER),
        Published("gss-reference", 500, 0.848, PAPER),
        Published("gss-iqp", 300, 0.759, PAPER),
        Published("gss-iqp", 400, 0.821, PAPER),
        Published("gss-iqp", 500, 0.841, PAPER),
        Published("gss-cluster", 300, 0.757, PAPER),
        Published("gss-cluster", 400, 0.814, PAPER),
        Published("gss-cluster", 500, 0.839, PAPER),
    ),
    sources={
        "epochs": "one pass, three steps on each batch",
        "dataset": "LeCun et al. 1998",
        "scenario": SCRIPT,
        "model": "the authors' Disjoint_Mnist.sh and model/common.py",
        "batch_size": SCRIPT,
        "replay_batch_size": SCRIPT,
        "learning_rate": SCRIPT,
        "passes": SCRIPT,
        "replay": "the authors' model/GSS_Greedy.py",
        "update": "the authors' model/GSS_Greedy.py",
        "memory_sizes": "the paper's",
        "selection_batch_size": "OCS picks 10 of 20, as on CIFAR-100 in Yoon et al. 2022",
    },
)
