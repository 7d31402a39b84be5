"""What samples are measured by.

Points on the plane (`ModeMeter`), by the rule of Small-GAN's replication (ksander14/small-gan): a
sample is good within 4 σ of a mode, and a mode is recovered if it has a good sample. Beside them
the divergence of the modes' counts of good samples from even ones, Σ p log(m p) in nats, and log m,
its greatest value, where no sample is good.

Images (`ImageMeter`), by the features of an extractor: Fréchet and kernel distance to the test
images by torchmetrics' `FrechetInceptionDistance` and `KernelInceptionDistance`, which take any
extractor; neither is FID or KID, which are Inception's. Precision and recall compare as many test
images as there are samples (fewer where there are not so many).
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from benchmarks.generative.data import GenerativeData
from benchmarks.generative.extractor import TITLES, Extractor, make_extractor
from benchmarks.generative.record import Measure
from benchmarks.generative.shared import Made, once
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.settings import derived_seed
from clcore.errors import ArgumentError
from strategies.generative import mode_counts, precision_recall

RADIUS = 4.0
"""Standard deviations up to which a sample is good."""

SUBSETS = 20
"""Of the kernel distance: means over so many pairs of subsets."""

SUBSET_SIZE = 1000
"""Rows of a subset at most; half the samples where they are fewer than twice as many."""


class Meter(Protocol):
    """Measures samples."""

    def measure(self, samples: Tensor) -> dict[str, float]:
        """Measure samples `[n, ...]` as a network makes them: values by the measure's name."""


class ModeMeter:
    """Measures points by the modes that they should lie around.

    Args:
        modes: Centres `[m, 2]`.
        sigma: Standard deviation around each.
    """

    def __init__(self, modes: Tensor, sigma: float) -> None:
        self.modes, self.radius = modes, RADIUS * sigma

    def measure(self, samples: Tensor) -> dict[str, float]:
        """Share of the modes recovered, share of good samples, and evenness."""
        counts = mode_counts(samples.cpu(), self.modes, self.radius)
        return {
            "recovered_modes": counts.covered / len(self.modes),
            "high_quality": counts.good_share,
            "kl": divergence_from_even(counts.good_counts),
        }


def divergence_from_even(counts: Tensor) -> float:
    """Σ p log(m p) of the shares p of m counts, in nats; log m where all are 0.

    Args:
        counts: `[m]`, none negative.
    """
    total = float(counts.sum())
    if total == 0:
        return math.log(len(counts))
    shares = counts.double() / total
    return float(torch.xlogy(shares, shares * len(counts)).sum())


class ImageMeter:
    """Measures images by the features of an extractor.

    Args:
        extractor: The extractor.
        references: Features of the test images, float32 `[m, d]`, in a random order.
        low: The value of black in samples; that of white is 1.

    Raises:
        ArgumentError: There are too few test images.
    """

    def __init__(self, extractor: Extractor, references: Tensor, low: float) -> None:
        if len(references) < 10:
            raise ArgumentError(
                f"references: at least 10 are needed, and there are {len(references)}"
            )
        self.extractor, self.references, self.low = extractor, references, low

    def measure(self, samples: Tensor) -> dict[str, float]:
        """Distances, precision and recall."""
        pixels = ((samples - self.low) / (1.0 - self.low)).clamp(0.0, 1.0)
        found = self.extractor.features(pixels)
        shares = precision_recall(self.references[: max(len(found), 10)], found)
        return {
            "frechet_distance": frechet(self.references, found),
            "kernel_distance": kernel(self.references, found),
            "precision": shares.precision,
            "recall": shares.recall,
        }


class _Given(nn.Identity):
    """Features that were computed before, for metrics that want an extractor."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size


def frechet(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of features, by torchmetrics.

    Args:
        real: `[n, d]`.
        generated: `[m, d]`.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]))
    metric.update(real.double(), real=True)
    metric.update(generated.double(), real=False)
    return float(metric.compute())


def kernel(real: Tensor, generated: Tensor) -> float:
    """Kernel distance (squared maximum mean discrepancy) of features, by torchmetrics.

    Args:
        real: `[n, d]`.
        generated: `[m, d]`.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = max(2, min(SUBSET_SIZE, len(real) // 2, len(generated) // 2))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # It says that it keeps all features, which are few here.
        warnings.simplefilter("ignore", UserWarning)
        torch.manual_seed(derived_seed(0, "kernel distance"))
        metric = KernelInceptionDistance(
            feature=_Given(real.shape[1]), subsets=SUBSETS, subset_size=size
        )
        metric.update(real, real=True)
        metric.update(generated, real=False)
        return float(metric.compute()[0])


def make_meter(suite: GenerativeSuite, data: GenerativeData, folder: Path) -> Meter:
    """Make what measures the samples of a cell.

    Args:
        suite: The suite.
        data: Its data.
        folder: Where extractor and features of test images are kept, for all cells of a run.
    """
    if data.modes is not None:
        return ModeMeter(data.modes, data.sigma)
    extractor = make_extractor(suite.extractor, suite, data, folder)
    references = once(
        folder / "references.safetensors",
        lambda: Made({"features": extractor.features(data.test_x)}),
    )
    return ImageMeter(extractor, references.tensors["features"], data.low)


def described(suite: GenerativeSuite) -> list[Measure]:
    """What a suite measures, in words, the measure that methods go by first."""
    by = f" ({TITLES[suite.extractor]})"
    latents = suite.likelihood_samples
    titles = {
        "recovered_modes": "recovered modes",
        "high_quality": "high-quality samples",
        "kl": "KL of mode counts",
        "frechet_distance": f"Fréchet distance{by}",
        "kernel_distance": f"kernel distance{by}",
        "precision": f"precision{by}",
        "recall": f"recall{by}",
        "elbo": "ELBO, nats",
        "log_likelihood": f"log-likelihood of {latents} latents, nats",
    }
    lower = ("kl", "frechet_distance", "kernel_distance")
    percent = ("recovered_modes", "high_quality", "precision", "recall")
    return [
        Measure(
            name=name,
            title=titles[name],
            higher_is_better=name not in lower,
            percent=name in percent,
        )
        for name in suite.measures
    ]
