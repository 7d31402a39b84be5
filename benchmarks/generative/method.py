"""The methods of generative suites: what is chosen, from names such as `k-center+latents`.

A name is `plain`, or words joined by `+`, in any order:

- a selector's name (`k-center`, `kernel-herding`, ...): it chooses the latents and images of every
  batch of a GAN, the images of a VAE or diffusion model; `latents` or `images` after it: those
  only;
- `top-k` (GAN): the generator learns from its best samples;
- `importance` (GAN): latents where the generator moves are drawn more often;
- `instance-selection`, `clusters-random`, `clusters-nearest`, `random-subset`: a share of the data
  is chosen before training; `reweighted` beside one of them (diffusion): classes are weighted
  against a reference model that was trained on everything;
- `pseudo-coreset` (VAE): a prior of learned exemplars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.generative.record import PLAIN
from benchmarks.generative.suite import GenerativeSuite
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selector import Selector
from clcore.selectors import registry
from strategies.generative.picking import batch_selector

SUBSETS = ("instance-selection", "clusters-random", "clusters-nearest", "random-subset")
"""Ways to choose a share of the data before training."""

WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(SUBSETS, ("gan", "vae", "diffusion")),
    "top-k": ("gan",),
    "importance": ("gan",),
    "reweighted": ("diffusion",),
    "pseudo-coreset": ("vae",),
}
"""What is no selector, and the learners that have it."""


@dataclass(frozen=True)
class GenerativeMethod:
    """What is chosen in one cell.

    Attributes:
        label: The words in their usual order, as results show them.
        latents: Selector of the latents of a batch; None for drawing them.
        images: Selector of the images of a batch; None for drawing them.
        subset: One of `SUBSETS`; None for all data.
        top_k: Whether the generator learns from its best samples.
        importance: Whether latents are drawn by importance.
        reweighted: Whether classes are weighted against a reference model.
        pseudo_coreset: Whether the prior is one of learned exemplars.
    """

    label: str
    latents: str | None = None
    images: str | None = None
    subset: str | None = None
    top_k: bool = False
    importance: bool = False
    reweighted: bool = False
    pseudo_coreset: bool = False


def find(name: str, suite: GenerativeSuite) -> GenerativeMethod:
    """Read a method's name.

    Args:
        name: `"plain"`, or words joined by `+`.
        suite: Knows the learner, and the options of selectors.

    Raises:
        UnknownNameError: There is no such word; suggests the nearest.
        ArgumentError: Words that don't go together, or not with the learner; or a selector that
            can't choose a batch.
    """
    words = [word.strip().replace("_", "-") for word in name.lower().split("+")]
    for word in words:
        if words.count(word) > 1:
            raise ArgumentError(f"methods: {name!r} holds {word!r} more than once")
    if words == [PLAIN]:
        return GenerativeMethod(PLAIN)
    selectors = [word for word in words if word not in (*WORDS, "latents", "images", PLAIN)]
    _check_words(name, words, selectors, suite)
    side = next((word for word in words if word in ("latents", "images")), None)
    subset = next((word for word in words if word in SUBSETS), None)
    latents = images = None
    if selectors:
        latents = selectors[0] if suite.learner == "gan" and side != "images" else None
        images = selectors[0] if side != "latents" else None
    if latents is not None:
        make_selector(latents, suite.latent_options)
    if images is not None:
        make_selector(images, suite.image_options)
    order = [*SUBSETS, "reweighted", *selectors, "latents", "images", *WORDS]
    found = GenerativeMethod(
        "+".join(sorted(words, key=order.index)),
        latents,
        images,
        subset,
        top_k="top-k" in words,
        importance="importance" in words,
        reweighted="reweighted" in words,
        pseudo_coreset="pseudo-coreset" in words,
    )
    if found.importance and found.latents:
        raise ArgumentError(
            f"methods: {name!r} chooses latents twice; say {selectors[0]}+images+importance"
        )
    return found


def make_selector(name: str, options: Mapping[str, Mapping[str, Any]]) -> Selector:
    """Make the selector of a batch.

    Args:
        name: Registered name.
        options: Options of selectors, by name.

    Raises:
        UnknownNameError: There is no such selector.
        ArgumentError: It has no such option, or can't choose a batch.
    """
    return batch_selector(registry.create(name, **options.get(name, {})))


def _check_words(name: str, words: list[str], selectors: list[str], suite: GenerativeSuite) -> None:
    """Refuse words that there are not, or that don't go together."""
    if PLAIN in words:
        raise ArgumentError(f"methods: {name!r}: {PLAIN} stands alone")
    for word in selectors:
        if word not in registry:
            raise UnknownNameError("method", word, [PLAIN, *WORDS, *registry.names()])
    if len(selectors) > 1:
        raise ArgumentError(f"methods: {name!r} has more than one selector: {selectors}")
    for word in words:
        if word in WORDS and suite.learner not in WORDS[word]:
            raise ArgumentError(
                f"methods: {word!r} is for the learner {' or '.join(WORDS[word])}, and "
                f"{suite.name} has a {suite.learner}"
            )
    sides = [word for word in words if word in ("latents", "images")]
    if sides and not selectors:
        raise ArgumentError(f"methods: {name!r}: +{sides[0]} comes after a selector")
    if len(sides) == 2:
        raise ArgumentError(f"methods: {name!r}: leave +latents and +images away to choose both")
    if sides and suite.learner != "gan":
        raise ArgumentError(
            f"methods: {name!r}: a {suite.learner} has images to choose only; leave +{sides[0]} "
            "away"
        )
    subsets = [word for word in words if word in SUBSETS]
    if len(subsets) > 1:
        raise ArgumentError(f"methods: {name!r} chooses data more than once: {subsets}")
    if "reweighted" in words and not subsets:
        raise ArgumentError(f"methods: {name!r}: +reweighted comes after one of {SUBSETS}")
