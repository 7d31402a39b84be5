"""Fashion-MNIST by a small diffusion model: batches or half of the data chosen.

Data are pruned as by Briq et al., "Data pruning in generative diffusion models", 2024 (equal parts
of clusters), and as by Li et al., "Pruning then reweighting", ICASSP 2025 (density, then classes
weighted against a reference model trained on everything, whose training is charged to the method).
Both papers train large latent models for days; here a small network on pixels is trained for
minutes, so nothing published stands beside it.
"""

from __future__ import annotations

from benchmarks.generative.suite import GenerativeSuite, NetworkSettings

_OURS = "ours: five minutes a cell on one core"

SUITE = GenerativeSuite(
    name="fmnist-diffusion",
    version=1,
    title="Fashion-MNIST, a small diffusion model, batches or half of the data chosen",
    dataset="fashion-mnist",
    learner="diffusion",
    steps=1_000,
    measure="frechet_distance",
    methods=(
        "plain",
        "k-center",
        "kernel-herding",
        "clusters-random",
        "clusters-nearest",
        "instance-selection",
        "instance-selection+reweighted",
        "random-subset",
    ),
    batch_sizes=(64,),
    seeds=(0, 1, 2),
    network=NetworkSettings("unet", hidden=(16, 32, 32), blocks=1),
    learning_rate=1e-3,
    betas=(0.9, 0.999),
    ema=0.995,
    embedding="classifier",
    sample_steps=25,
    samples=500,
    evaluate_every=500,
    sources={
        "dataset": "ours",
        "network": "diffusers' UNet2DModel; " + _OURS,
        "steps": _OURS,
        "learning_rate": _OURS,
        "timesteps": "Ho et al. 2020",
        "sample_steps": "Song et al. 2021 (DDIM); " + _OURS,
        "keep": "ours",
        "clusters": "ours",
    },
)
"""The suite."""
