"""What a suite of generative models is: data, learner, schedule, methods, batch sizes, measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from benchmarks.suites._base import AnySuite, Positive, Rate, check_choice
from clcore.errors import ArgumentError

CHOICE = ("methods", "batch_sizes", "seeds")
"""Fields that say which cells are run; they don't change what a cell computes."""

GAUSSIANS = "gaussians"
"""The data set that is no file: Gaussians on a grid in the plane."""

MODES = ("recovered_modes", "high_quality", "kl")
"""Measures of `GAUSSIANS`."""

IMAGES = ("frechet_distance", "kernel_distance", "precision", "recall")
"""Measures of images."""

LIKELIHOODS = ("log_likelihood", "elbo")
"""Measures of a VAE, beside those of its images."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Factor = Annotated[float, Field(ge=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]


@dataclass(frozen=True)
class NetworkSettings:
    """Which networks.

    Attributes:
        name: `"mlp"`: fully connected, of a GAN on points and of a VAE; `"sn-gan"`: convolutions
            with spectral norm in the discriminator, of a GAN on images; `"unet"`: diffusers'
            `UNet2DModel`, of a diffusion model.
        hidden: `"mlp"`: units of each hidden layer; `"sn-gan"`: channels of each level of the
            discriminator, from level to level half as wide and high; `"unet"`: of each level,
            multiples of 8.
        blocks: `"sn-gan"`: further convolutions at the beginning of a level; `"unet"`: residual
            blocks a level.
    """

    name: Literal["mlp", "sn-gan", "unet"] = "mlp"
    hidden: tuple[Positive, ...] = (128, 128, 128)
    blocks: Count = 1


@dataclass(frozen=True)
class PublishedMeasure:
    """A number that somebody published for this suite's protocol.

    Attributes:
        method: Our name of the method that comes closest.
        batch_size: Rows in a step.
        measure: Name of the measure.
        value: The number.
        source: Who published it.
        note: In what it differs from what the suite runs; empty where it does not.
    """

    method: str
    batch_size: int
    measure: str
    value: float
    source: str
    note: str = ""


@dataclass(frozen=True)
class GenerativeSuite(AnySuite):
    """A benchmark of choosing latents, images or data for a generative model.

    Attributes:
        name: Registered name: the file's, with hyphens.
        version: Raised whenever a change of the suite changes its numbers.
        title: One line for people.
        dataset: A data set of images of `benchmarks.datasets`, or `"gaussians"`: points around
            the `modes` of a square grid.
        learner: `"gan"`, `"vae"` or `"diffusion"`: which trainer of `strategies.generative`.
        steps: Steps of training; of a GAN those of its generator.
        measure: The one that methods go by; the others of the data set and learner follow.
        methods: `"plain"`, or words joined by `+`; see `benchmarks.generative.method`.
        batch_sizes: Rows in a step, one run each.
        seeds: One run each.
        network: The networks.
        learning_rate: Of Adam; of a GAN's generator.
        discriminator_rate: Of a GAN's discriminator; None: `learning_rate`.
        betas: Of Adam.
        loss: Of a GAN.
        gradient_penalty: Weight of a GAN's gradient penalty; 0 for none.
        penalty: Which: `"r1"` at real rows, or `"interpolated"` between them and generated ones.
        discriminator_steps: Steps of the discriminator for each of the generator.
        latent_size: Numbers of a latent of a GAN or VAE.
        prior: Of a GAN's latents: `"uniform"` on [−1, 1] or the standard `"normal"`.
        ema: Decay of the averaged weights that are sampled from; 0 for none. GAN and diffusion.
        latent_factor: Out of how many times the batch a selector chooses latents.
        image_factor: Out of how many times the batch a selector chooses images.
        latent_options: Options of the selectors of latents, by name.
        image_options: Options of the selectors of images, by name.
        embedding: What images are chosen by: `"pixels"`; `"classifier"`: the extractor of that
            name; `"efficientnet-lite0"`. Of Gaussians the points themselves (`"pixels"`).
        projection: Numbers that embeddings are projected to at random; None for no projection.
        top_k_gamma: What the batch of top-k is multiplied by after each pass over the data.
        top_k_nu: Share of the batch that it falls to.
        keep: Share of the rows that methods keep which choose data before training.
        clusters: Of the methods that keep parts of clusters.
        density: Of instance selection.
        reference_steps: Steps of the reference model of `+reweighted`; None: `steps`.
        pseudo_points: Exemplars of a `pseudo-coreset`.
        matching_every: Passes over the data from one matching of a pseudo-coreset to the next.
        matching_steps: Steps of each.
        likelihood: Of a VAE.
        beta_warmup: Steps in which a VAE's KL term rises to its full weight.
        binarise: Whether pixels are 0 or 1, by the threshold 0.5: then a Bernoulli likelihood is
            one.
        timesteps: Of a diffusion model.
        sample_steps: Of DDIM, when it is sampled from.
        modes: Of `"gaussians"`: a square number.
        spacing: From mode to mode.
        sigma: Standard deviation of a mode.
        points: Points of `"gaussians"`, drawn once a seed.
        train_rows: Rows of images used, the first ones of an order that is the same for all seeds;
            None for all.
        extractor: Whose features images are measured by: `"classifier"`: a small network trained
            on the labelled training rows of the run; `"efficientnet-lite0"`, of ImageNet.
        extractor_epochs: Of the `"classifier"`.
        references: Test rows that samples are compared with, in an order that is the same for all
            seeds; None for all.
        samples: Samples that are measured at each evaluation.
        likelihood_rows: Test rows whose likelihood is measured.
        likelihood_samples: Latents for each of them.
        evaluate_every: Steps from one evaluation to the next; the last step is evaluated always.
        device: Where networks are trained.
        threads: Threads that each process lets PyTorch use.
        kind: Family of the suite.
        published: Numbers to compare with.
        sources: Where each setting comes from.

    Raises:
        ArgumentError: No method, no seed, something given twice or out of range, or settings that
            don't go together.
    """

    name: str
    version: int
    title: str
    dataset: str
    learner: Literal["gan", "vae", "diffusion"]
    steps: Positive
    measure: str
    methods: tuple[str, ...]
    batch_sizes: tuple[Positive, ...]
    seeds: tuple[Count, ...]
    network: NetworkSettings = field(default_factory=NetworkSettings)
    learning_rate: Rate = 2e-4
    discriminator_rate: Rate | None = None
    betas: tuple[Decay, Decay] = (0.5, 0.999)
    loss: Literal["hinge", "non-saturating", "wasserstein"] = "hinge"
    gradient_penalty: Annotated[float, Field(ge=0.0)] = 0.0
    penalty: Literal["r1", "interpolated"] = "r1"
    discriminator_steps: Positive = 1
    latent_size: Positive = 128
    prior: Literal["uniform", "normal"] = "uniform"
    ema: Decay = 0.0
    latent_factor: Factor = 4.0
    image_factor: Factor = 8.0
    latent_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    image_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    embedding: Literal["pixels", "classifier", "efficientnet-lite0"] = "pixels"
    projection: Positive | None = None
    top_k_gamma: Share = 0.99
    top_k_nu: Share = 0.5
    keep: Share = 0.5
    clusters: Positive = 100
    density: Literal["gaussian", "ppca", "k-nn"] = "gaussian"
    reference_steps: Positive | None = None
    pseudo_points: Positive = 500
    matching_every: Positive = 1
    matching_steps: Positive = 10
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    beta_warmup: Count = 0
    binarise: bool = False
    timesteps: Positive = 1000
    sample_steps: Positive = 50
    modes: Positive = 25
    spacing: Rate = 2.0
    sigma: Rate = 0.05
    points: Positive = 100_000
    train_rows: Positive | None = None
    extractor: Literal["classifier", "efficientnet-lite0"] = "classifier"
    extractor_epochs: Positive = 2
    references: Positive | None = None
    samples: Annotated[int, Field(ge=10)] = 2_000
    likelihood_rows: Positive = 500
    likelihood_samples: Positive = 100
    evaluate_every: Positive = 500
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Positive = 1
    kind: Literal["generative"] = "generative"
    published: tuple[PublishedMeasure, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice(self, CHOICE)
        for size in self.batch_sizes:
            if isinstance(size, bool) or not isinstance(size, int) or size < 2:
                raise ArgumentError(f"batch_sizes: got {size!r}; whole numbers from 2 are allowed")
        self._check_learner()
        if self.measure not in self._measured:
            raise ArgumentError(
                f"measure: {self.measure!r} is not measured; of {self.dataset} with the learner "
                f"{self.learner} there are {', '.join(self._measured)}"
            )

    @property
    def gaussian(self) -> bool:
        """Whether the data are points around modes."""
        return self.dataset == GAUSSIANS

    @property
    def measures(self) -> tuple[str, ...]:
        """What is measured, the one that methods go by first."""
        return (self.measure, *(name for name in self._measured if name != self.measure))

    @property
    def _measured(self) -> tuple[str, ...]:
        names: tuple[str, ...] = MODES if self.gaussian else IMAGES
        return (*LIKELIHOODS, *names) if self.learner == "vae" else names

    def _check_learner(self) -> None:
        networks = {"gan": "mlp" if self.gaussian else "sn-gan", "vae": "mlp", "diffusion": "unet"}
        if self.gaussian and self.learner != "gan":
            raise ArgumentError(f"learner: {GAUSSIANS} has a gan only, not a {self.learner}")
        wanted = networks[self.learner]
        if self.network.name != wanted:
            raise ArgumentError(
                f"network.name: a {self.learner} on {self.dataset} has the network {wanted!r}, not "
                f"{self.network.name!r}"
            )
        if not self.network.hidden:
            raise ArgumentError("network.hidden: at least one number is needed")
        if wanted == "unet" and any(width % 8 for width in self.network.hidden):
            raise ArgumentError(
                f"network.hidden: got {self.network.hidden}; a unet's channels are multiples of 8"
            )
        side = round(self.modes**0.5)
        if self.gaussian and side * side != self.modes:
            raise ArgumentError(f"modes: got {self.modes}; a square grid has 4, 9, 16, 25, ...")
        if self.gaussian and self.embedding != "pixels":
            raise ArgumentError("embedding: points are chosen by themselves; set it to 'pixels'")
        if self.binarise and self.learner != "vae":
            raise ArgumentError(f"binarise: images of a {self.learner} have grey values")
        if self.learner == "vae" and self.likelihood == "bernoulli" and not self.binarise:
            raise ArgumentError(
                "likelihood: of grey values a Bernoulli's is none; set binarise=true, or "
                "likelihood=gaussian"
            )
