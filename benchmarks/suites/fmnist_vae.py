"""Fashion-MNIST, pixels 0 or 1, by a VAE: batches, data or the prior chosen.

The learned exemplar prior is ByPE-VAE's (Ai et al., NeurIPS 2021): 500 points, brought near the
prior over all images by residual matching after each pass. What it is compared with is a standard
normal prior; the paper compares with an exemplar prior over all data too, and trains for hundreds
of epochs, so its numbers are not beside ours.

The log-likelihood is an importance-weighted bound over test images; the sampled images whose
distances are measured are the decoder's means, grey where it is unsure.
"""

from __future__ import annotations

from benchmarks.generative.suite import GenerativeSuite, NetworkSettings

_OURS = "ours: a minute a cell on one core"

SUITE = GenerativeSuite(
    name="fmnist-vae",
    version=1,
    title="Fashion-MNIST in black and white, a VAE, batches, data or prior chosen",
    dataset="fashion-mnist",
    learner="vae",
    steps=4_000,
    measure="log_likelihood",
    methods=(
        "plain",
        "pseudo-coreset",
        "k-center",
        "kernel-herding",
        "instance-selection",
        "clusters-random",
        "random-subset",
    ),
    batch_sizes=(100,),
    seeds=(0, 1, 2),
    network=NetworkSettings("mlp", hidden=(300, 300)),
    learning_rate=5e-4,
    betas=(0.9, 0.999),
    latent_size=40,
    beta_warmup=1_000,
    binarise=True,
    embedding="classifier",
    samples=2_000,
    evaluate_every=1_000,
    sources={
        "dataset": "ours: binary, so that a Bernoulli likelihood is one",
        "network": "ByPE-VAE: 300 hidden units, 40 latent",
        "latent_size": "ByPE-VAE",
        "learning_rate": "ByPE-VAE",
        "batch_sizes": "ByPE-VAE",
        "pseudo_points": "ByPE-VAE",
        "beta_warmup": "ours; ByPE-VAE: 100 epochs",
        "steps": _OURS,
    },
)
"""The suite."""
