"""Selection for generative models, and their training: GANs, VAEs, diffusion."""

import importlib
from typing import TYPE_CHECKING, Any

from strategies.generative.batch_sampler import CoresetBatchSampler
from strategies.generative.batch_statistics import (
    ModeCounts,
    Moments,
    count_dispersion,
    frechet_distance,
    mode_counts,
)
from strategies.generative.checksum import checksum_of
from strategies.generative.class_weights import ClassWeights
from strategies.generative.cluster_pruning import Pruned, prune_by_cluster, pruning_table
from strategies.generative.diffusion_trainer import DiffusionTrainer
from strategies.generative.embeddings import Embeddings
from strategies.generative.extractors import (
    ImageFeatures,
    discriminator_features,
    efficientnet_lite0,
    inception,
    one_head,
)
from strategies.generative.gan_losses import GANLoss, Penalty
from strategies.generative.gan_trainer import GANTrainer
from strategies.generative.importance import importance_latents, latent_importance
from strategies.generative.instance_selection import select_instances
from strategies.generative.latents import select_latents
from strategies.generative.precision_recall import PrecisionRecall, precision_recall
from strategies.generative.projection import random_projection
from strategies.generative.pseudo_coreset import PseudoCoreset, ResidualMatching
from strategies.generative.top_k import TopKSchedule, top_k_fakes
from strategies.generative.training_loop import LossDivergedError
from strategies.generative.vae_objective import ExemplarEncoder
from strategies.generative.vae_trainer import VAETrainer

if TYPE_CHECKING:
    from strategies.generative.latent_flow import LatentFlow as LatentFlow

__all__ = [
    "ClassWeights",
    "CoresetBatchSampler",
    "DiffusionTrainer",
    "Embeddings",
    "ExemplarEncoder",
    "GANLoss",
    "GANTrainer",
    "ImageFeatures",
    "LatentFlow",
    "LossDivergedError",
    "ModeCounts",
    "Moments",
    "Penalty",
    "PrecisionRecall",
    "Pruned",
    "PseudoCoreset",
    "ResidualMatching",
    "TopKSchedule",
    "VAETrainer",
    "checksum_of",
    "count_dispersion",
    "discriminator_features",
    "efficientnet_lite0",
    "frechet_distance",
    "importance_latents",
    "inception",
    "latent_importance",
    "mode_counts",
    "one_head",
    "precision_recall",
    "prune_by_cluster",
    "pruning_table",
    "random_projection",
    "select_instances",
    "select_latents",
    "top_k_fakes",
]


def __getattr__(name: str) -> Any:
    """Import what needs the library of flows when it is first asked for."""
    if name != "LatentFlow":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module("strategies.generative.latent_flow").LatentFlow
    except ModuleNotFoundError as error:
        if error.name != "zuko":
            raise
        raise ModuleNotFoundError(
            "LatentFlow needs the library of flows: pip install 'zuko>=1.2' (the extra 'flows'); "
            "importance_latents does without",
            name="zuko",
        ) from error
