"""The group of batches for generative models: statistics, costs and steps."""

import json

import pytest
import torch

from benchmarks import speed
from benchmarks.speed.batches import digits, step, trainer
from benchmarks.speed.batches.candidates import choose, fixed, times_median
from benchmarks.speed.batches.settings import GenerativeSettings
from clcore.errors import ArgumentError
from clcore.geometry.kernel_herds import median_distance
from strategies.generative.batch_statistics import Moments

FEW = [
    *("gaussian_draws=3", "digit_draws=3", "latent_draws=3", "rounds=2", "step_rounds=1"),
    "channels=2",
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    out, lines = tmp_path_factory.mktemp("figures") / "generative.json", []
    assert speed.run("generative", out, show=lines.append, assignments=FEW) == 0
    written = json.loads(out.read_text())
    assert all(f"| {table['rows'][0].get('selector', '')}" in "\n".join(lines)
               for table in written["tables"])  # fmt: skip
    return {table["name"]: table["rows"] for table in written["tables"]}


def test_all_parts_are_there(tables):
    assert list(tables) == ["gaussians", "digits", "latents", "costs", "step", "trainer"]


def test_the_loops_beside_the_trainer_do_the_same_work():
    drawn = torch.rand(200, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    ended = []
    for freeze in (False, True):
        torch.manual_seed(0)
        networks = trainer._point_networks()
        loop = trainer._Loop(
            networks, [step.adam(network) for network in networks], drawn, 3, freeze=freeze
        )
        losses = loop.run(4)
        assert all(weight.requires_grad for weight in networks[1].parameters())
        ended.append((losses, [weight.clone() for weight in networks[0].parameters()]))
    assert ended[0][0] == ended[1][0]
    assert all(torch.equal(*pair) for pair in zip(ended[0][1], ended[1][1], strict=True))


def test_each_network_is_timed_in_all_three_loops(tables):
    assert [row["networks"] for row in tables["trainer"]] == [
        "2-d points, two hidden layers of 128",
        "28 × 28 images, 2 channels",
    ]
    for row in tables["trainer"]:
        assert all(row[way]["median"] > 0 for way in ("usual", "frozen", "GANTrainer"))
        assert row["over usual"]["median"] > 0


def test_spread_batches_cover_the_modes(tables):
    rows = {row["selector"]: row for row in tables["gaussians"]}
    assert rows["`k-center`"]["covered"]["mean"] == 25
    assert rows["`random`"]["covered"]["mean"] < 25
    # k-center takes samples at the edges of their modes; random ones lie where the data's do.
    assert rows["`k-center`"]["distance"]["mean"] > 1.7
    assert rows["`random`"]["distance"]["mean"] == pytest.approx(1.253, abs=0.15)


def test_herding_is_nearest_to_the_digits(tables):
    rows = {row["selector"]: row["distance"]["mean"] for row in tables["digits"]}
    assert rows["`kernel-herding`"] < 0.5 * rows["`random`"]
    assert all(row["milliseconds"]["repeats"] == 3 for row in tables["digits"])


def test_chosen_normal_latents_are_longer(tables):
    for row in tables["latents"]:
        if row["prior"] == "normal":
            assert row["k-center"]["mean"] > row["random"]["mean"]
            assert row["kernel-herding"]["mean"] < row["k-center"]["mean"]


def test_costs_and_steps_have_ratios(tables):
    assert [row["batch"] for row in tables["costs"]] == ["64 of 512"] * 4 + ["128 of 512"] * 4
    assert tables["costs"][0]["ratio"]["median"] == 1.0
    (row,) = tables["step"]
    assert row["channels"] == 2
    assert row["k-center ratio"]["median"] > 0


def test_a_random_batch_of_the_size_found_is_as_near():
    vectors, _ = digits._vectors()
    whole = Moments.of(vectors)
    settings = GenerativeSettings(digit_draws=4)
    size = digits.random_size(vectors, whole, 0.06, settings)
    smaller = digits.random_size(vectors, whole, 0.12, settings)
    assert 64 < smaller < size < len(vectors)
    assert digits.random_size(vectors, whole, 0.0, settings) == len(vectors)


def test_gans_with_and_without_selection_are_equal_but_for_it():
    plain, chosen = step.GAN(2, 5, None), step.GAN(2, 5, "k-center")
    assert torch.equal(plain.images, chosen.images)
    for one, other in zip(plain.generator.parameters(), chosen.generator.parameters(), strict=True):
        assert torch.equal(one, other)
    before = [p.detach().clone() for p in chosen.generator.parameters()]
    chosen.step()
    assert any(
        not torch.equal(p, q) for p, q in zip(before, chosen.generator.parameters(), strict=True)
    )
    assert chosen.steps == 1
    assert plain.generator(torch.zeros(2, step.LATENT)).shape == (2, 1, 28, 28)
    assert plain.discriminator(torch.zeros(2, 1, 28, 28)).shape == (2, 1)


def test_chosen_images_are_those_of_the_sampler():
    gan = step.GAN(2, 5, "k-center")
    expected = gan.images[torch.tensor(gan.batches.batch(0))]
    assert torch.equal(gan.read(), expected)
    assert len(expected) == step.BATCH


def test_bandwidth_in_medians_is_that_of_the_pool():
    pool = torch.randn(40, 3)
    assert times_median(0.5)(pool).bandwidth == pytest.approx(0.5 * median_distance(pool))
    picks, seconds = choose(fixed("k-center"), pool, 7, 0)
    assert len(torch.unique(picks)) == 7
    assert seconds >= 0


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["parts=digits", "pool_size=2000"], "pool_size: must be at most 1797"),
        (["parts=costs", "pool_size=100"], "pool_size: must be above batch_size, 128"),
    ],
)
def test_pools_that_can_not_be(assignments, said):
    with pytest.raises(ArgumentError, match=said):
        speed.run("generative", assignments=assignments)
