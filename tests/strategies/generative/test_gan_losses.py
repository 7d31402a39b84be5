"""Losses and penalties of GANs by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from clcore.errors import ArgumentError
from strategies.generative.gan_losses import (
    checked_loss,
    checked_penalty,
    discriminator_losses,
    generator_losses,
    interpolated_penalty,
    r1_penalty,
)

REAL, FAKE = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.0])


@pytest.mark.parametrize(
    ("loss", "real", "fake", "generator"),
    [
        ("hinge", [0.0, 0.5, 2.0], [0.0, 1.0], [2.0, 0.0]),
        ("wasserstein", [-2.0, -0.5, 1.0], [-2.0, 0.0], [2.0, 0.0]),
        (
            "non-saturating",
            [math.log1p(math.exp(-s)) for s in (2.0, 0.5, -1.0)],
            [math.log1p(math.exp(s)) for s in (-2.0, 0.0)],
            [math.log1p(math.exp(-s)) for s in (-2.0, 0.0)],
        ),
    ],
)
def test_losses_by_hand(loss, real, fake, generator):
    on_real, on_fake = discriminator_losses(loss, REAL, FAKE)
    torch.testing.assert_close(on_real, torch.tensor(real))
    torch.testing.assert_close(on_fake, torch.tensor(fake))
    torch.testing.assert_close(generator_losses(loss, FAKE), torch.tensor(generator))


def test_the_non_saturating_loss_is_cross_entropy():
    on_real, on_fake = discriminator_losses("non-saturating", REAL, FAKE)
    entropy = functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(on_real.mean(), entropy(REAL, torch.ones(3)))
    torch.testing.assert_close(on_fake.mean(), entropy(FAKE, torch.zeros(2)))


def test_penalties_of_a_linear_critic():
    critic = nn.Linear(2, 1)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[3.0, 4.0]]))
    real = torch.randn(5, 2, requires_grad=True)
    penalty = r1_penalty(critic(real).reshape(-1), real)
    assert float(penalty.detach()) == pytest.approx(25 / 2)
    penalty.backward()
    torch.testing.assert_close(critic.weight.grad, torch.tensor([[3.0, 4.0]]))
    generator = torch.Generator().manual_seed(0)
    fake = torch.randn(5, 2)
    found = interpolated_penalty(lambda x: critic(x).reshape(-1), real, fake, generator)
    assert float(found.detach()) == pytest.approx(16)


def test_interpolated_points_lie_between():
    seen = []

    def score(x):
        seen.append(x.detach())
        return (x * 0).sum(dim=1)

    real, fake = torch.zeros(200, 3), torch.ones(200, 3)
    found = interpolated_penalty(score, real, fake, torch.Generator().manual_seed(0))
    assert float(found.detach()) == pytest.approx(1, abs=1e-5)  # a flat critic: finite slope at 0
    (points,) = seen
    assert torch.equal(points, points[:, :1].expand(-1, 3)), "one share a row"
    assert 0 <= float(points.min()) < 0.05
    assert 0.95 < float(points.max()) <= 1


def test_unknown_names():
    with pytest.raises(ArgumentError, match=r"loss must be .* not 'hing'"):
        checked_loss("hing")
    with pytest.raises(ArgumentError, match=r"penalty must be .* not 'r2'"):
        checked_penalty("r2")
