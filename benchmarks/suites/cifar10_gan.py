"""CIFAR-10 by SN-GAN at three batch sizes, for a GPU: Small-GAN's table in form.

Sinha et al., "Small-GAN: speeding up GAN training using core-sets", ICML 2020, train SN-GAN on
CIFAR-10 with batches of 128, 256 and 512, plainly and with latents and images chosen by k-center,
and compare FIDs. Theirs are distances of Inception's features; ours are of EfficientNet-lite0's,
which are other numbers altogether, so none of theirs stands beside them.

Choosing and drawing are done on the CPU; a step of the network takes a GPU to be quick. On the CPU:
`--set device=cpu --set network.hidden=32,64 --set network.blocks=0 --set steps=1000`, and
`--set extractor=classifier --set embedding=classifier` where EfficientNet is not installed.
"""

from __future__ import annotations

from benchmarks.generative.suite import GenerativeSuite, NetworkSettings

_PAPER = "Small-GAN"

SUITE = GenerativeSuite(
    name="cifar10-gan",
    version=1,
    title="CIFAR-10, SN-GAN at three batch sizes, as in Small-GAN; for a GPU",
    dataset="cifar-10",
    learner="gan",
    steps=50_000,
    measure="frechet_distance",
    methods=(
        "plain",
        "k-center",
        "kernel-herding",
        "top-k",
        "instance-selection",
    ),
    batch_sizes=(128, 256, 512),
    seeds=(0, 1, 2),
    network=NetworkSettings("sn-gan", hidden=(64, 128, 256), blocks=1),
    learning_rate=2e-4,
    betas=(0.5, 0.999),
    loss="hinge",
    latent_size=128,
    prior="uniform",
    ema=0.999,
    embedding="efficientnet-lite0",
    projection=32,
    extractor="efficientnet-lite0",
    samples=5_000,
    evaluate_every=5_000,
    device="cuda",
    sources={
        "dataset": _PAPER,
        "batch_sizes": _PAPER,
        "network": "Miyato et al. 2018: standard CNN",
        "learning_rate": "Miyato et al. 2018",
        "betas": "Miyato et al. 2018: one of their settings",
        "loss": "Miyato et al. 2018",
        "projection": _PAPER,
        "prior": _PAPER,
        "steps": "ours; the paper trains longer",
        "ema": "ours",
    },
)
"""The suite."""
