"""Batch and data selection for generative models: GANs, VAEs, diffusion."""

from strategies.generative.batch_sampler import CoresetBatchSampler
from strategies.generative.batch_statistics import (
    ModeCounts,
    Moments,
    count_dispersion,
    frechet_distance,
    mode_counts,
)
from strategies.generative.checksum import checksum_of
from strategies.generative.embeddings import Embeddings
from strategies.generative.latents import select_latents
from strategies.generative.projection import random_projection

__all__ = [
    "CoresetBatchSampler",
    "Embeddings",
    "ModeCounts",
    "Moments",
    "checksum_of",
    "count_dispersion",
    "frechet_distance",
    "mode_counts",
    "random_projection",
    "select_latents",
]
