"""CIFAR-10 by a diffusion model on half of the data, for a GPU: pruned, and reweighted.

The form of Li et al., "Pruning then reweighting: towards data-efficient training of diffusion
models", ICASSP 2025, and of Briq et al., "Data pruning in generative diffusion models", 2024. The
first train DDPM on CIFAR-10 for as long as it takes; their repository holds no code. Measured by
EfficientNet-lite0's features, so no published FID stands beside it.

On the CPU: `--set device=cpu --set network.hidden=16,32 --set steps=500 --set samples=200`, and
`--set extractor=classifier --set embedding=classifier` where EfficientNet is not installed.
"""

from __future__ import annotations

from benchmarks.generative.suite import GenerativeSuite, NetworkSettings

SUITE = GenerativeSuite(
    name="cifar10-diffusion",
    version=1,
    title="CIFAR-10, a diffusion model on half of the data, pruned and reweighted; for a GPU",
    dataset="cifar-10",
    learner="diffusion",
    steps=50_000,
    measure="frechet_distance",
    methods=(
        "plain",
        "random-subset",
        "clusters-random",
        "clusters-nearest",
        "instance-selection",
        "instance-selection+reweighted",
        "kernel-herding",
    ),
    batch_sizes=(128,),
    seeds=(0, 1, 2),
    network=NetworkSettings("unet", hidden=(64, 128, 128), blocks=2),
    learning_rate=2e-4,
    betas=(0.9, 0.999),
    ema=0.9995,
    embedding="efficientnet-lite0",
    projection=64,
    extractor="efficientnet-lite0",
    sample_steps=50,
    samples=2_000,
    evaluate_every=10_000,
    device="cuda",
    sources={
        "dataset": "Li et al. 2025",
        "network": "diffusers' UNet2DModel, smaller than Ho et al.'s",
        "learning_rate": "Ho et al. 2020",
        "timesteps": "Ho et al. 2020",
        "sample_steps": "Song et al. 2021 (DDIM)",
        "steps": "ours",
        "keep": "ours",
    },
)
"""The suite."""
