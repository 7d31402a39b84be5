"""Permuted MNIST by the protocol of GSS.

Aljundi, Lin, Goujaud and Bengio 2019, "Gradient based sample selection for online continual
learning" (NeurIPS), section 4.1: 10 experiences of 1,000 images, each with its pixels in another
order, 300 exemplars; training as in `gss-split-mnist`.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.suites._base import Published
from benchmarks.suites.gss_split_mnist import SUITE as _SPLIT

_PAPER = "Aljundi et al. 2019, table of Permuted MNIST"

SUITE = replace(
    _SPLIT,
    name="gss-permuted-mnist",
    version=2,
    title="Permuted MNIST, 10 x 1,000 images, as in GSS (Aljundi et al. 2019)",
    scenario={"permuted": {"experiences": 10}, "sampled": {"samples": 1000}},
    memory_sizes=(300,),
    published=(
        Published("gss-reference", 300, 0.773, _PAPER),
        Published("gss-iqp", 300, 0.773, _PAPER),
        Published("gss-cluster", 300, 0.7974, _PAPER),
    ),
    sources={**_SPLIT.sources, "scenario": "the authors' Permuted_Mnist.sh"},
)
