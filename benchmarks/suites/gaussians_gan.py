"""25 Gaussians on a grid, a GAN of small networks: does a chosen batch save the modes?

The toy problem of Small-GAN (Sinha et al., "Small-GAN: speeding up GAN training using core-sets",
ICML 2020) and of many papers before it: modes with a standard deviation of 0.05, 2 apart on a
square grid. The coordinates are divided so that the whole has a deviation of 1; counts and radii
are those of the grid.

What short runs can say is little: modes come and go, and seeds differ more than methods. So there
are many seeds, and the table gives their spread. With a gradient penalty (`gaussians-gan-100`)
there is no mode loss to repair.

The published numbers are those of a replication, ksander14/small-gan, whose event files hold one
seed: 512 units a layer, a gradient penalty, 120,000 steps. They are beside ours for scale.
"""

from __future__ import annotations

from benchmarks.generative.suite import GenerativeSuite, NetworkSettings, PublishedMeasure

SOURCE = "ksander14/small-gan, a replication"
NOTE = "one seed, 512 units a layer, gradient penalty 0.1, 120,000 steps"

SUITE = GenerativeSuite(
    name="gaussians-gan",
    version=1,
    title="25 Gaussians on a grid, a small GAN, the toy problem of Small-GAN",
    dataset="gaussians",
    learner="gan",
    steps=7_000,
    measure="recovered_modes",
    methods=(
        "plain",
        "k-center",
        "k-center+latents",
        "k-center+images",
        "kernel-herding+images",
        "top-k",
        "k-center+top-k",
        "importance",
    ),
    batch_sizes=(64,),
    seeds=(0, 1, 2, 3, 4),
    network=NetworkSettings("mlp", hidden=(64, 64, 64)),
    learning_rate=1e-3,
    betas=(0.5, 0.999),
    loss="non-saturating",
    latent_size=2,
    prior="uniform",
    image_options={"kernel-herding": {"bandwidth": 0.035}},
    top_k_gamma=0.8,
    samples=10_000,
    evaluate_every=500,
    published=(
        PublishedMeasure("plain", 64, "recovered_modes", 1.0, SOURCE, NOTE),
        PublishedMeasure("k-center", 64, "recovered_modes", 1.0, SOURCE, NOTE),
        PublishedMeasure("plain", 64, "high_quality", 0.963, SOURCE, NOTE),
        PublishedMeasure("k-center", 64, "high_quality", 0.940, SOURCE, NOTE),
    ),
    sources={
        "dataset": "25 modes, 2 apart, of deviation 0.05: " + SOURCE,
        "steps": "ours: a minute a cell on one core",
        "network": "ours: a small one, so that a short run gets somewhere",
        "learning_rate": "ours",
        "betas": SOURCE,
        "loss": SOURCE,
        "batch_sizes": SOURCE,
        "latent_factor": "Small-GAN: 4",
        "image_factor": "Small-GAN: 8",
        "prior": "Small-GAN: uniform, so that distances mean something",
        "image_options": "ours: two deviations of a mode (docs/generative.md)",
        "top_k_gamma": "ours: to half the batch after four of the 4.5 passes",
        "samples": "ours",
    },
)
"""The suite."""
