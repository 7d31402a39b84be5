"""Latents of a batch that behaves as if it were larger: draw more than needed, keep a spread part.

Source: Sinha et al., "Small-GAN: speeding up GAN training using core-sets", ICML 2020. Only the
latents are touched, so any loop that draws them can do it.

Formula: draw f·n latents from the prior and keep n of them by greedy k-center.

Defaults: factor 4, a prior uniform on [−1, 1] (the paper's, so that distances mean something),
k-center. `prior="normal"` is the standard normal that SN-GAN and its descendants draw from; of it
k-center keeps the longest vectors: see Expected numbers. `draw=` takes any other prior.

Differences from reference codes: there is no official one. `ksander14/small-gan` takes the latent
of largest distance to its nearest neighbour first; here the first is the one nearest to the mean,
as in `k-center`.

Expected numbers: means over 30 draws of 64 of 256. Uniform, two numbers each: the mean largest
coordinate goes from 0.66 to 0.69. Normal: the mean length goes from 1.25 to 1.72 with two numbers,
from 11.3 to 12.0 with 128; so a generator is trained on longer latents than it is sampled with.
`kernel-herding` keeps the prior's lengths (1.23, 11.2). More in docs/generative.md. 0.5 to 0.8 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from clcore.checks import require_finite, whole_number
from clcore.errors import ArgumentError
from clcore.randomness import seed_from
from clcore.selector import Selector
from strategies.generative.picking import batch_selector, pick, pool_size

Prior = Literal["uniform", "normal"]
Draw = Callable[[int], Tensor]


def select_latents(
    n: int,
    factor: float = 4,
    *,
    size: int | Sequence[int] = 128,
    prior: Prior = "uniform",
    draw: Draw | None = None,
    selector: str | Selector = "k-center",
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Draw `factor` times as many latents as needed and keep `n` of them.

    It takes the place of `torch.randn(n, size)` in a training loop and leaves no trace but the
    numbers that it draws from the generator.

    Args:
        n: Size of the batch.
        factor: How many times as many are drawn; at least 1. With 1 nothing is chosen.
        size: Numbers of a latent, or its shape.
        prior: `"uniform"` on [−1, 1] or the standard `"normal"`.
        draw: `draw(count)` giving `[count, ...]`: a prior of your own, in place of `size`, `prior`,
            `device` and `dtype`.
        selector: A name or a selector that reads features.
        generator: What is drawn from; by default torch's own on the CPU.
        device: Where the latents lie. They are drawn and chosen on the CPU (or on the generator's
            device) whatever it is: the same seed gives the same latents everywhere, and choosing
            doesn't wait for what a GPU has still to do.
        dtype: Of the latents.

    Returns:
        `[n, *size]`, in pick order: shuffle them where only a part is used.

    Raises:
        ArgumentError: If an argument is wrong; the message names it.
        UnknownNameError: If there is no selector of that name.
        SignalError: If `draw` gives NaN or infinity.

    Example:
        >>> select_latents(8, 4, size=16).shape
        torch.Size([8, 16])
    """
    count = whole_number("n", n, least=1)
    method = batch_selector(selector)
    candidates = pool_size(count, factor)
    latents = draw_latents(candidates, size, prior, draw, generator, dtype)
    home = latents.device if device is None else torch.device(device)
    if candidates == count:
        return latents.to(home)
    # One number more from the same source, so that a seeded loop is seeded whole.
    seed = seed_from(torch.default_generator if generator is None else generator)
    return latents[pick(latents, count, method, seed)].to(home)


def draw_latents(
    count: int,
    size: int | Sequence[int],
    prior: Prior,
    draw: Draw | None,
    generator: torch.Generator | None,
    dtype: torch.dtype,
) -> Tensor:
    """Draw latents from a prior, plainly; the arguments are those of `select_latents`.

    Returns:
        `[count, ...]`.

    Raises:
        ArgumentError: If an argument is wrong.
        SignalError: If `draw` gives NaN or infinity.
    """
    if draw is not None:
        return _given(draw(count), count)
    sizes = [size] if isinstance(size, int) else list(size)
    shape = (count, *(whole_number("size", number, least=1) for number in sizes))
    device = torch.device("cpu") if generator is None else generator.device
    if prior == "normal":
        return torch.randn(shape, generator=generator, device=device, dtype=dtype)
    if prior != "uniform":
        raise ArgumentError(f"prior must be 'uniform' or 'normal', not {prior!r}")
    return torch.rand(shape, generator=generator, device=device, dtype=dtype).mul_(2).sub_(1)


def _given(latents: object, count: int) -> Tensor:
    if not isinstance(latents, Tensor) or latents.ndim == 0 or len(latents) != count:
        what = f"shape {tuple(latents.shape)}" if isinstance(latents, Tensor) else repr(latents)
        raise ArgumentError(f"draw({count}) must return {count} rows of a tensor, not {what}")
    require_finite("latents", latents)
    return latents.detach()
