"""Fashion-MNIST by a small GAN with spectral norm: latents, images, fakes or data chosen.

The form of Small-GAN's experiments on images (Sinha et al., ICML 2020): an SN-GAN whose latents are
chosen out of four times, and images out of eight times the batch, against plain training with that
batch and larger ones. Beside it top-k training (Sinha et al., NeurIPS 2020), latents by importance
(FIS-GAN's idea), and instance selection (DeVries et al., NeurIPS 2020).

The paper's tables are of CIFAR-10, ImageNet and LSUN, measured by Inception's FID after some
100,000 steps of a large network on a GPU; ours is small enough for one core, runs for minutes, and
is measured by a classifier of the data. So there is nothing published to stand beside it.

Images are chosen by the features of that classifier, which saw labels: its training is charged to
the methods that choose images by it. A selector sees no label itself; instance selection keeps an
equal share of each class.
"""

from __future__ import annotations

from benchmarks.generative.suite import GenerativeSuite, NetworkSettings

_OURS = "ours: recognisable garments within two minutes on one core"

SUITE = GenerativeSuite(
    name="fmnist-gan",
    version=1,
    title="Fashion-MNIST, a small SN-GAN, latents and images chosen as in Small-GAN",
    dataset="fashion-mnist",
    learner="gan",
    steps=2_000,
    measure="frechet_distance",
    methods=(
        "plain",
        "k-center",
        "k-center+latents",
        "k-center+images",
        "kernel-herding",
        "kernel-herding+images",
        "top-k",
        "importance",
        "instance-selection",
        "random-subset",
    ),
    batch_sizes=(64,),
    seeds=(0, 1, 2),
    network=NetworkSettings("sn-gan", hidden=(32, 64), blocks=0),
    learning_rate=5e-4,
    betas=(0.0, 0.9),
    loss="hinge",
    latent_size=64,
    prior="uniform",
    ema=0.99,
    embedding="classifier",
    top_k_gamma=0.7,
    samples=2_000,
    evaluate_every=500,
    sources={
        "dataset": "ours",
        "network": "Miyato et al. 2018 (spectral norm) in the size of DCGAN; " + _OURS,
        "steps": _OURS,
        "learning_rate": _OURS,
        "betas": "SAGAN's and BigGAN's; of (0.5, 0.999) the distance after 600 steps was larger",
        "loss": "Miyato et al. 2018",
        "prior": "Small-GAN: uniform, so that distances mean something",
        "latent_size": _OURS,
        "ema": "usual for GANs; " + _OURS,
        "embedding": "ours; Small-GAN: Inception's features projected to 32 numbers",
        "top_k_gamma": "ours: to half the batch within the two passes over the data",
        "keep": "DeVries et al. 2020: half, their best for batches of 256",
    },
)
"""The suite."""
