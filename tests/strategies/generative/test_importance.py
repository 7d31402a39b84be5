"""Importance of latents: exact norms, unbiased weights, the flow's density, purity."""

import sys

import pytest
import torch
from torch import nn

from clcore import ArgumentError, SignalError
from strategies import generative
from strategies.generative import LatentFlow, importance_latents, latent_importance
from strategies.generative.importance import mixed


class Quadratic(nn.Module):
    """G(z) = A z + (z²)/2: its Jacobian is A + diag(z), in closed form."""

    def __init__(self, size=3):
        super().__init__()
        self.a = nn.Parameter(
            torch.arange(size * size, dtype=torch.float32).reshape(size, size) / 5
        )

    def forward(self, z):
        return z @ self.a.t() + z.square() / 2


def latents(n=6, size=3, seed=0):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed))


def test_the_jacobian_norm_on_average_over_probes():
    model, z = Quadratic(), latents()
    exact = (model.a.detach() + torch.diag_embed(z)).square().sum(dim=(1, 2)).sqrt()
    found = latent_importance(model, z, probes=2000, batch_size=4)
    assert torch.allclose(found, exact, rtol=0.05)
    assert torch.equal(latent_importance(model, z, seed=3), latent_importance(model, z, seed=3))


def test_the_gradient_norm_by_hand():
    model, z = Quadratic(), latents()
    critic = nn.Linear(3, 1)
    found = latent_importance(
        model, z, measure="gradient", discriminator=critic, loss=lambda scores: -scores
    )
    jacobian = model.a.detach() + torch.diag_embed(z)
    exact = (critic.weight.detach() @ jacobian).squeeze(1).norm(dim=1)
    assert torch.allclose(found, exact, rtol=1e-5)
    softplus = latent_importance(model, z, measure="gradient", discriminator=critic)
    slope = torch.sigmoid(-critic(model(z))).detach().squeeze(1)
    assert torch.allclose(softplus, exact * slope, rtol=1e-5)


def test_networks_are_left_as_they_were():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
    critic = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 1))
    generator[0].weight.grad = torch.ones_like(generator[0].weight)
    critic[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in generator.state_dict().items()}
    before = torch.get_rng_state()
    latent_importance(generator, latents(), measure="gradient", discriminator=critic)
    assert torch.equal(torch.get_rng_state(), before)
    assert generator.training
    assert critic.training
    assert torch.equal(generator[0].weight.grad, torch.ones_like(generator[0].weight))
    assert critic[0].weight.grad is None
    assert not critic[0].weight.requires_grad
    assert generator[3].weight.requires_grad
    assert all(torch.equal(value, state[name]) for name, value in generator.state_dict().items())


def test_weighted_means_are_the_priors():
    model = Quadratic(2)
    plain, weighted = [], []
    for seed in range(200):
        z, weights = importance_latents(
            16, model, 4, size=2, randomness=torch.Generator().manual_seed(seed)
        )
        assert float(weights.mean()) == pytest.approx(1, abs=1e-5)
        far = z.square().sum(dim=1)
        plain.append(float(far.mean()))
        weighted.append(float((weights * far).mean()))
    assert sum(plain) / 200 > 2.3, "important latents are far from 0 with this generator"
    assert sum(weighted) / 200 == pytest.approx(2, abs=0.15)


def test_plain_drawing_at_the_ends():
    z, weights = importance_latents(5, Quadratic(), 1, size=3)
    assert z.shape == (5, 3)
    assert weights.shape == (5,)
    assert torch.allclose(mixed(torch.tensor([0.0, 0.0]), 0.1), torch.ones(2))
    assert torch.allclose(mixed(torch.tensor([1.0, 3.0]), 0.5), torch.tensor([0.75, 1.25]))
    _, even = importance_latents(5, Quadratic(), 4, size=3, uniform_share=1.0)
    assert torch.allclose(even, torch.ones(5), atol=1e-4)


def test_bad_input():
    model, z = Quadratic(), latents()
    with pytest.raises(ArgumentError, match="measure must be"):
        latent_importance(model, z, measure="hessian")
    with pytest.raises(ArgumentError, match="needs discriminator="):
        latent_importance(model, z, measure="gradient")
    with pytest.raises(ArgumentError, match="takes none"):
        latent_importance(model, z, discriminator=nn.Linear(3, 1))
    with pytest.raises(ArgumentError, match="one value a sample, 6 here"):
        latent_importance(model, z, measure="gradient", discriminator=nn.Linear(3, 2))
    heads = nn.Module()
    heads.forward = lambda x: (x[:, :1], x[:, 1:])
    with pytest.raises(ArgumentError, match="returns 2 heads"):
        latent_importance(model, z, measure="gradient", discriminator=heads)
    broken = z.clone()
    broken[2] = torch.nan
    with pytest.raises(SignalError, match="'importance' holds NaN, first in row 2"):
        latent_importance(model, broken)
    with pytest.raises(ArgumentError, match="uniform_share must be above 0"):
        importance_latents(4, model, size=3, uniform_share=0)


def test_the_flow_learns_where_importance_is():
    flow = LatentFlow(2, transforms=2, hidden=(16,), learning_rate=1e-2, uniform_share=0.2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        z = torch.randn(256, 2, generator=generator)
        flow.fit(z, (2 * z[:, 0]).exp())
    z, weights = flow.draw(2000)
    # Of the density N(z; (2, 0), 1) a fifth is the prior's: the mean is 0.8 · 2.
    assert float(z[:, 0].mean()) == pytest.approx(1.6, abs=0.35)
    assert float(weights.max()) <= 1 / 0.2 + 1e-4
    assert float(weights.mean()) == pytest.approx(1, abs=0.1)
    assert float((weights * z[:, 0]).mean()) == pytest.approx(0, abs=0.15)
    assert float((weights * z[:, 0].square()).mean()) == pytest.approx(1, abs=0.2)


def test_the_flow_is_seeded_and_leaves_the_world_alone():
    before = torch.get_rng_state()
    one, two = LatentFlow(2, seed=4), LatentFlow(2, seed=4)
    one.fit(latents(size=2), torch.ones(6))
    two.fit(latents(size=2), torch.ones(6))
    assert torch.equal(one.draw(5)[0], two.draw(5)[0])
    assert torch.equal(torch.get_rng_state(), before)
    two.fit(latents(size=2), torch.ones(6))
    resumed = LatentFlow(2, seed=9)
    resumed.load_state_dict(two.state_dict())
    for flow in (two, resumed):
        flow.fit(latents(size=2), torch.arange(6.0))
    assert all(torch.equal(a, b) for a, b in zip(two.draw(5), resumed.draw(5), strict=True))
    _, weights = LatentFlow(2, uniform_share=1.0).draw(8)
    assert torch.allclose(weights, torch.ones(8), atol=1e-4)
    with pytest.raises(ArgumentError, match="not be negative or all zero"):
        one.fit(latents(size=2), torch.zeros(6))
    with pytest.raises(ArgumentError, match=r"must be \[n, 2\] and \[n\]"):
        one.fit(latents(size=3), torch.ones(6))
    with pytest.raises(ArgumentError, match="uniform_share"):
        LatentFlow(2, uniform_share=0.0)
    with pytest.raises(ArgumentError, match="bandwidth"):
        LatentFlow(2, bandwidth=-1.0)


def test_without_the_library_of_flows_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    monkeypatch.delitem(sys.modules, "strategies.generative.latent_flow", raising=False)
    with pytest.raises(ModuleNotFoundError, match="pip install 'zuko"):
        getattr(generative, "LatentFlow")  # noqa: B009
