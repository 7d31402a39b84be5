"""Pseudo-coresets: densities and gradients by hand, matching, resume, purity."""

import math

import pytest
import torch
from torch import nn

from clcore import ArgumentError, SignalError
from strategies.generative import PseudoCoreset, ResidualMatching
from strategies.generative.pseudo_coreset import log_density, match_residual


class Encoder(nn.Module):
    """Means W x, one log-variance for all, dropout and BatchNorm to be left alone."""

    def __init__(self, inputs=2, latents=2, log_variance=-1.0):
        super().__init__()
        self.linear = nn.Linear(inputs, latents, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(latents, inputs) * 1.5)
        self.norm, self.log_variance = nn.BatchNorm1d(latents), log_variance
        self.dropout = nn.Dropout()

    def forward(self, x):
        mean = self.dropout(self.linear(x))
        return (self.norm(mean) if self.training else mean), torch.tensor(self.log_variance)


class Decoder(nn.Module):
    """Means and, unless fixed, a log-variance that depends on z."""

    def __init__(self, kind="varied"):
        super().__init__()
        self.linear, self.kind = nn.Linear(2, 2, bias=False), kind
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[1.0, 0.5], [-0.5, 1.0]]))
        self.dropout = nn.Dropout()

    def forward(self, z):
        mean = self.dropout(self.linear(z))
        return (mean, 0.3 * mean.flip(1)) if self.kind == "varied" else mean


def data(n=40, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


def test_the_prior_is_the_mixture():
    encoder = Encoder().eval()
    coreset = PseudoCoreset(data(4), 40)
    with torch.no_grad():
        coreset.relative.copy_(torch.tensor([0.4, 1.6, 1.0, 1.0]))
    assert coreset.weights.tolist() == pytest.approx([4, 16, 10, 10])
    z = data(7, seed=1)
    mean, spread = 1.5 * data(4), math.exp(-0.5)
    parts = torch.distributions.Normal(mean, spread).log_prob(z[:, None]).sum(dim=2)
    assert torch.allclose(log_density(z, data(4), encoder), parts, atol=1e-5)
    expected = (parts.exp() * torch.tensor([0.1, 0.4, 0.25, 0.25])).sum(dim=1).log()
    assert torch.allclose(coreset.log_prior(z, encoder), expected, atol=1e-5)
    drawn = coreset.sample(4000, encoder, torch.Generator().manual_seed(0))
    near = (mean * torch.tensor([[0.1], [0.4], [0.25], [0.25]])).sum(dim=0)
    assert torch.allclose(drawn.mean(dim=0), near, atol=0.1)


@pytest.mark.parametrize("kind", ["varied", "fixed", "bernoulli"])
def test_gradients_by_hand(kind):
    likelihood = "bernoulli" if kind == "bernoulli" else "gaussian"
    decoder = Decoder(kind).eval()
    x, coreset = data(40), PseudoCoreset(data(5, seed=3), 40)
    with torch.no_grad():
        decoded = decoder(data(30, seed=2))
    residual = match_residual(coreset, x, decoded, likelihood)
    (residual.square().mean() / 2).backward()
    mean, log_variance = decoded if kind == "varied" else (decoded, torch.zeros(30, 2))

    def centred(samples):
        if kind == "bernoulli":
            values = samples @ mean.T - torch.log1p(mean.exp()).sum(dim=1)
        else:
            normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
            values = normal.log_prob(samples[:, None]).sum(dim=2)
        return values - values.mean(dim=1, keepdim=True)

    points, weights = coreset.points.detach(), coreset.weights.detach()
    rho = centred(x).sum(dim=0) - weights @ centred(points)
    assert torch.allclose(residual, rho, atol=1e-3)
    by_weight = -(centred(points) @ rho) / 30
    assert torch.allclose(coreset.relative.grad, by_weight * 40 / 5, rtol=1e-3, atol=1e-2)
    if kind == "bernoulli":
        slope = mean.expand(5, 30, 2)
    else:
        slope = (mean - points[:, None]) / log_variance.exp()
    slope = slope - slope.mean(dim=1, keepdim=True)
    by_point = -weights[:, None] * torch.einsum("msd,s->md", slope, rho) / 30
    assert torch.allclose(coreset.points.grad, by_point, rtol=1e-3, atol=1e-2)


def test_the_data_themselves_leave_no_residual():
    x, decoded = data(12), Decoder().eval()(data(9)[:, :2])
    residual = match_residual(PseudoCoreset(x, 12), x, decoded, "gaussian")
    assert torch.allclose(residual, torch.zeros(9), atol=1e-4)


def test_matching_moves_the_points_to_the_mean_of_the_data():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[3.0, 0.0], [-3.0, 1.0]])
    which = (torch.rand(400, generator=generator) < 0.25).long()
    x = centres[which] + 0.1 * torch.randn(400, 2, generator=generator)
    coreset = PseudoCoreset(torch.tensor([[1.0, 2.0], [1.5, -1.0]]), 400)
    matching = ResidualMatching(coreset, Encoder(), Decoder("fixed"), rate=0.5, samples=200)
    residuals = [matching.step(x) for _ in range(60)]
    assert residuals[-1] < 0.2 * residuals[0]
    weights = coreset.weights.detach()
    assert float(weights.sum()) == pytest.approx(400, rel=1e-4)
    assert float(weights.min()) > 0
    mean = (weights[:, None] * coreset.points.detach()).sum(dim=0) / 400
    assert torch.allclose(mean, x.mean(dim=0), atol=0.15)


def test_purity_bounds_and_resume():
    x, encoder, decoder = data(50), Encoder().train(), Decoder().train()
    encoder.linear.weight.grad = torch.ones_like(encoder.linear.weight)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    before = torch.get_rng_state()

    def make():
        coreset = PseudoCoreset(x[:3], 50)
        return ResidualMatching(coreset, encoder, decoder, bounds=(-0.5, 0.5), samples=20, seed=1)

    first = make()
    for _ in range(2):
        first.step(x[:10])
    assert torch.equal(torch.get_rng_state(), before)
    assert encoder.training
    assert encoder.dropout.training
    assert decoder.dropout.training
    assert decoder.linear.weight.grad is None
    assert torch.equal(encoder.linear.weight.grad, torch.ones_like(encoder.linear.weight))
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    assert float(first.coreset.points.detach().abs().max()) <= 0.5
    assert first.coreset.points.grad is None
    resumed = make()
    resumed.coreset.load_state_dict(first.coreset.state_dict())
    resumed.load_state_dict(first.state_dict())
    assert first.step(x[10:20]) == resumed.step(x[10:20])
    assert torch.equal(first.coreset.points, resumed.coreset.points)


def test_bad_input():
    with pytest.raises(ArgumentError, match="5 rows to stand for total = 4"):
        PseudoCoreset(data(5), 4)
    with pytest.raises(SignalError, match="'points' holds NaN"):
        PseudoCoreset(torch.full((2, 2), torch.nan), 4)
    coreset = PseudoCoreset(data(3), 40)
    encoder, decoder = Encoder(), Decoder()
    for options, words in (
        ({"rate": 0}, "rate must be"),
        ({"samples": 1}, "samples must be a whole number of at least 2"),
        ({"likelihood": "poisson"}, "likelihood must be"),
    ):
        with pytest.raises(ArgumentError, match=words):
            ResidualMatching(coreset, encoder, decoder, **options)
    with pytest.raises(ArgumentError, match="two tensors, not Tensor"):
        ResidualMatching(coreset, nn.Linear(2, 2), decoder).step(data())
    with pytest.raises(ArgumentError, match="must return logits, not 2 outputs"):
        ResidualMatching(coreset, encoder, decoder, likelihood="bernoulli").step(data())
    with pytest.raises(ArgumentError, match="must return 2 numbers for a sample"):
        ResidualMatching(coreset, encoder, nn.Linear(2, 3)).step(data())
    with pytest.raises(SignalError, match="take a smaller rate"):
        ResidualMatching(coreset, encoder, decoder).step(data() * torch.nan)
