"""select_latents: what it keeps, what it draws from, what it refuses."""

import pytest
import torch

from clcore import ArgumentError, Pool, SignalError, UnknownNameError, select
from clcore.selectors import create
from strategies.generative import select_latents


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_the_latents_are_the_k_center_part_of_those_drawn(prior):
    chosen = select_latents(6, 4, size=3, prior=prior, generator=seeded(5))
    drawn = seeded(5)
    if prior == "normal":
        pool = torch.randn(24, 3, generator=drawn)
    else:
        pool = torch.rand(24, 3, generator=drawn) * 2 - 1
    picks = select("k-center", Pool(features=pool), 6).indices
    assert torch.equal(chosen, pool[picks])


def test_shapes_types_and_priors():
    assert select_latents(4, 2, size=(3, 2, 2)).shape == (4, 3, 2, 2)
    assert select_latents(5, 1.4, size=2, dtype=torch.float64).dtype == torch.float64
    many = select_latents(400, 2, size=2)
    assert -1 <= float(many.min()) < -0.9
    assert 0.9 < float(many.max()) <= 1
    assert float(select_latents(400, 2, size=2, prior="normal").abs().max()) > 2


def test_spread_is_what_it_is_for():
    def least_gap(z):
        return float((torch.cdist(z, z) + 99 * torch.eye(len(z))).min())

    kept = [least_gap(select_latents(16, 8, size=2, generator=seeded(s))) for s in range(10)]
    plain = [least_gap(select_latents(16, 1, size=2, generator=seeded(s))) for s in range(10)]
    assert min(kept) > 2 * sum(plain) / 10


def test_a_seeded_loop_is_reproduced_and_only_its_generator_is_drawn_from():
    torch.manual_seed(3)
    first = [select_latents(4, 4, size=2, selector="k-means-plus-plus") for _ in range(3)]
    torch.manual_seed(3)
    again = [select_latents(4, 4, size=2, selector="k-means-plus-plus") for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    before = torch.get_rng_state()
    select_latents(4, 4, size=2, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_prior_of_ones_own_and_any_selector():
    asked = []

    def draw(count):
        asked.append(count)
        return torch.randn(count, 3, generator=seeded(1))

    kept = select_latents(5, 3, draw=draw, selector=create("facility-location"))
    assert asked == [15]
    pool = torch.randn(15, 3, generator=seeded(1))
    assert torch.equal(kept, pool[select("facility-location", Pool(features=pool), 5).indices])


def test_factor_one_is_plain_drawing():
    assert torch.equal(
        select_latents(5, 1, size=3, prior="normal", generator=seeded()),
        torch.randn(5, 3, generator=seeded()),
    )


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((0, 4), {}, "n must be a whole number of at least 1, not 0"),
        ((4, 0.5), {}, "larger than that pool"),
        ((4, float("nan")), {}, "factor must be a finite number"),
        ((4, "2"), {}, "factor must be a number"),
        ((4, 2), {"size": 0}, "size must be a whole number"),
        ((4, 2), {"prior": "gauss"}, "prior must be 'uniform' or 'normal', not 'gauss'"),
        ((4, 2), {"selector": "el2n"}, "reads the signal 'logit_gradients'"),
        ((4, 2), {"selector": create("k-center", radius=1.0)}, "may stop before the batch is full"),
        ((4, 2), {"draw": lambda n: torch.zeros(n - 1, 2)}, r"draw\(8\) must return 8 rows"),
        ((4, 2), {"draw": lambda n: None}, r"draw\(8\) must return 8 rows of a tensor, not None"),
    ],
)
def test_bad_input(arguments, options, words):
    with pytest.raises(ArgumentError, match=words):
        select_latents(*arguments, **options)


def test_other_bad_input():
    with pytest.raises(UnknownNameError, match="k-center"):
        select_latents(4, 2, selector="k-centre")
    with pytest.raises(SignalError, match="'latents' holds NaN, first in row 0"):
        select_latents(4, 2, draw=lambda n: torch.full((n, 2), torch.nan))
