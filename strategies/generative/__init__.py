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
from strategies.generative.extractors import (
    ImageFeatures,
    discriminator_features,
    efficientnet_lite0,
    inception,
    one_head,
)
from strategies.generative.instance_selection import select_instances
from strategies.generative.latents import select_latents
from strategies.generative.projection import random_projection
from strategies.generative.top_k import TopKSchedule, top_k_fakes

__all__ = [
    "CoresetBatchSampler",
    "Embeddings",
    "ImageFeatures",
    "ModeCounts",
    "Moments",
    "TopKSchedule",
    "checksum_of",
    "count_dispersion",
    "discriminator_features",
    "efficientnet_lite0",
    "frechet_distance",
    "inception",
    "mode_counts",
    "one_head",
    "random_projection",
    "select_instances",
    "select_latents",
    "top_k_fakes",
]
