"""VAETrainer: the step by hand, bounds against exact likelihoods, and learning."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from clcore.errors import ArgumentError
from strategies.generative import (
    ExemplarEncoder,
    LossDivergedError,
    PseudoCoreset,
    ResidualMatching,
    VAETrainer,
)
from strategies.generative.image_rows import ShuffledBatches
from strategies.generative.seeds import mixed_seed
from strategies.generative.vae_objective import likelihoods, normal_density, normal_divergence


class Encoder(nn.Module):
    def __init__(self, size=12, latent=3, norm=False):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(size, 16), nn.BatchNorm1d(16) if norm else nn.Tanh(),
            nn.Linear(16, 2 * latent),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x).chunk(2, dim=1)


def pictures(rows=300):
    """Two kinds of binary pictures with a few flipped pixels: `[n, 1, 3, 4]`."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.tensor([[1.0, 0.0] * 6, [0.0] * 6 + [1.0] * 6])
    which = torch.randint(2, (rows,), generator=generator)
    flipped = (torch.rand(rows, 12, generator=generator) < 0.05).float()
    return (kinds[which] - flipped).abs().reshape(rows, 1, 3, 4)


def trainer(data=None, *, exemplars=0, own_variance=False, norm=False, rate=5e-3, **options):
    torch.manual_seed(0)
    data = pictures() if data is None else data
    encoder = Encoder(data[0].numel(), norm=norm)
    decoder = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, data[0].numel()))
    trained = [*encoder.parameters(), *decoder.parameters()]
    if exemplars:
        options["prior"] = PseudoCoreset(data[:exemplars], len(data))
        options.setdefault("matching_samples", 20)
    if own_variance:
        options["prior_encoder"] = ExemplarEncoder(encoder)
        trained.append(options["prior_encoder"].log_variance)
    options = {"batch_size": 20, **options}
    return VAETrainer(encoder, decoder, data, torch.optim.Adam(trained, rate), **options)


def test_the_plain_step_is_a_hand_written_one():
    made = trainer(seed=4)
    encoder, decoder = copy.deepcopy(made.encoder), copy.deepcopy(made.decoder)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 5e-3)
    data, draws = pictures(), torch.Generator().manual_seed(4)
    batches = ShuffledBatches(300, 20, seed=4)
    for step in range(20):
        x = data[batches.batch(step)]
        mean, log_variance = encoder(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn(20, 3, generator=draws)
        errors = functional.binary_cross_entropy_with_logits(
            decoder(z), x.flatten(1), reduction="none"
        )
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        loss = divergence.mean() + errors.sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert made.fit(1)["loss"] == float(loss.detach())
    for ours, theirs in zip(made.decoder.parameters(), decoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_densities_against_torch():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance, x = (torch.randn(5, 4, generator=generator) for _ in range(3))
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    standard = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(normal_density(x, mean, log_variance), normal.log_prob(x).sum(dim=1))
    torch.testing.assert_close(
        normal_divergence(mean, log_variance),
        torch.distributions.kl_divergence(normal, standard).sum(dim=1),
    )
    torch.testing.assert_close(
        likelihoods(x, (mean, log_variance), "gaussian"), normal.log_prob(x).sum(dim=1)
    )
    one = torch.tensor(0.7)
    torch.testing.assert_close(
        likelihoods(x, (mean, one), "gaussian"),
        likelihoods(x, (mean, one.expand(5, 4)), "gaussian"),
    )
    bits = (x > 0).float()
    torch.testing.assert_close(
        likelihoods(bits, mean, "bernoulli"),
        torch.distributions.Bernoulli(logits=mean).log_prob(bits).sum(dim=1),
    )


def linear_model(data):
    """p(x|z) = N(Wz, 1), z standard: x is N(0, WWᵀ + 1), and the posterior is known."""
    torch.manual_seed(0)
    weights = torch.randn(4, 2)
    covariance = torch.linalg.inv(torch.eye(2) + weights.t() @ weights)

    class Exact(nn.Linear):
        def forward(self, x):
            # Three times the posterior's variances, and without its correlation.
            return super().forward(x), (3 * covariance.diagonal()).log().expand(len(x), 2)

    encoder, decoder = Exact(4, 2, bias=False), nn.Linear(2, 4, bias=False)
    with torch.no_grad():
        encoder.weight.copy_(covariance @ weights.t())
        decoder.weight.copy_(weights)
    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], 0.1)
    made = VAETrainer(encoder, decoder, data, optimizer, batch_size=8, likelihood="gaussian")
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(4), weights @ weights.t() + torch.eye(4)
    )
    return made, exact.log_prob(data)


def test_bounds_of_a_linear_model_against_its_likelihood():
    data = 2 * torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    made, exact = linear_model(data)
    elbo = made.elbo(data, samples=200)
    weighted = [made.log_likelihood(data, samples=count) for count in (1, 10, 1000)]
    assert float((weighted[2] - exact).abs().mean()) < 0.05
    means = [float(values.mean()) for values in (elbo, *weighted[1:])]
    assert means == sorted(means), "bounds are nearer with more samples"
    assert means[1] < float(exact.mean()), "and from below"
    assert float(weighted[0].mean()) == pytest.approx(means[0], abs=0.1)
    assert torch.equal(made.elbo(data, 5, seed=3), made.elbo(data, 5, seed=3))
    assert not torch.equal(made.elbo(data, 5, seed=3), made.elbo(data, 5, seed=4))


@pytest.mark.parametrize(
    "options",
    [{}, {"likelihood": "gaussian"}, {"exemplars": 10}, {"exemplars": 10, "own_variance": True}],
    ids=["normal", "gaussian", "exemplars", "own variance"],
)
def test_it_learns(options):
    made, data = trainer(**options), pictures()
    before = float(made.elbo(data).mean())
    made.fit(400)
    after = float(made.elbo(data).mean())
    assert after > before + 0.5
    assert float(made.log_likelihood(data, 50).mean()) > after - 0.05
    if not options:
        # The entropy of the flips and of the kind is 12 · 0.1985 + 0.693 = 3.08 nats.
        assert before < -8 < -5 < after < -2.9
        samples = made.sample(200, seed=1)
        assert samples.shape == (200, 1, 3, 4)
        assert 0 <= float(samples.min()) <= float(samples.max()) <= 1
        kinds = samples.flatten(1)[:, 0] - samples.flatten(1)[:, 11]
        assert 0.2 < float((kinds > 0).float().mean()) < 0.8, "both kinds are made"


def test_beta_rises():
    made = trainer(beta_warmup=4)
    found = []
    for _ in range(6):
        found.append(made.beta)
        last = made.fit(1)
        assert last["loss"] == pytest.approx(
            found[-1] * last["divergence"] - last["reconstruction"], rel=1e-5
        )
    assert found == [0, 0.25, 0.5, 0.75, 1, 1]
    assert trainer().beta == 1


def test_matching_comes_after_so_many_passes_with_its_own_batches():
    made = trainer(exemplars=10, matching_every=(2, 3), seed=1, matching_bounds=(0.0, 1.0))
    start = made.prior.points.detach().clone()
    made.fit(29)  # 15 steps a pass
    assert torch.equal(made.prior.points, start)
    assert made.matching.taken == 0
    assert made.selection_seconds == 0
    other = mixed_seed(1, 0)
    expected = PseudoCoreset(start, 300)
    rows, matching = ShuffledBatches(300, 20, other), None
    made.fit(1)
    assert made.matching.taken == 3
    matching = ResidualMatching(
        expected, made.encoder, made.decoder, likelihood="bernoulli", samples=20,
        bounds=(0.0, 1.0), seed=other,
    )  # fmt: skip
    for number in range(3):
        residual = matching.step(pictures()[rows.batch(number)])
    assert torch.equal(made.prior.points, expected.points)
    assert made.last["residual"] == residual
    assert made.selection_cpu_seconds > 0
    made.fit(30)
    assert made.matching.taken == 6
    assert made.forward_rows == 60 * (2 * 20 + 10) + 6 * (10 + 20)
    assert made.backward_rows == 60 * (2 * 20 + 10)


def test_the_divergence_from_exemplars_is_that_of_their_mixture():
    made = trainer(exemplars=2)
    x = pictures()[:5]
    mean, log_variance = made.encoder(x)
    z = mean + 0.3
    one, two = (
        normal_density(z, *(part.expand(5, 3) for part in made.encoder(point.unsqueeze(0))))
        for point in made.prior.points.detach()
    )
    expected = (
        normal_density(z, mean, log_variance)
        - torch.logaddexp(one, two)
        + torch.log(torch.tensor(2.0))
    )
    torch.testing.assert_close(made.model.divergence(z, mean, log_variance), expected)


@pytest.mark.parametrize("exemplars", [0, 10])
def test_measuring_leaves_no_trace(exemplars):
    made = trainer(exemplars=exemplars, norm=True)
    made.fit(3)
    state = [v.clone() for n in made.networks.values() for v in n.state_dict().values()]
    before, gradients = torch.get_rng_state(), [p.grad.clone() for p in made.encoder.parameters()]
    assert made.sample(9, batch_size=4).shape == (9, 1, 3, 4)
    made.elbo(pictures()[:7])
    made.log_likelihood(pictures()[:7], 3)
    assert torch.equal(torch.get_rng_state(), before)
    now = [v for n in made.networks.values() for v in n.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(now, state, strict=True))
    assert all(m.training for n in made.networks.values() for m in n.modules())
    for parameter, gradient in zip(made.encoder.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_a_loss_that_is_no_number_stops_the_training():
    made = trainer(rate=1e12, likelihood="gaussian")
    with pytest.raises(LossDivergedError, match=r"the loss '\w+' became (nan|-?inf) at iteration"):
        made.fit(50)
    assert made.iteration < 50


def test_mistakes_are_refused():
    data = pictures()
    with pytest.raises(ArgumentError, match="likelihood must be 'bernoulli' or 'gaussian'"):
        trainer(likelihood="poisson")
    with pytest.raises(ArgumentError, match=r"from 0 to 1, and data go from -1 to 1"):
        trainer(data * 2 - 1)
    with pytest.raises(ArgumentError, match="batch_size 500 is larger"):
        trainer(batch_size=500)
    with pytest.raises(ArgumentError, match="prior must be a PseudoCoreset"):
        trainer(prior="vamp")
    with pytest.raises(ArgumentError, match="give prior= too"):
        trainer(own_variance=True)
    with pytest.raises(ArgumentError, match="points of shape"):
        trainer(prior=PseudoCoreset(torch.rand(5, 12), 300))
    with pytest.raises(ArgumentError, match="matching_every must be"):
        trainer(exemplars=5, matching_every=3)
    with pytest.raises(ArgumentError, match="steps must be a whole number of at least 1"):
        trainer(exemplars=5, matching_every=(1, 0))
    with pytest.raises(ArgumentError, match=r"x must be \[b, 1, 3, 4\]"):
        trainer().elbo(torch.rand(3, 12))
    with pytest.raises(ArgumentError, match="samples must be"):
        trainer().log_likelihood(data, 0)


def test_networks_that_do_not_fit_are_refused():
    def made(encoder, decoder, **options):
        both = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], 0.1)
        return VAETrainer(encoder, decoder, pictures(), both, **options)

    with pytest.raises(ArgumentError, match="decoder doesn't take latents"):
        made(Encoder(), nn.Linear(5, 12))
    with pytest.raises(ArgumentError, match="encoder doesn't take samples"):
        made(Encoder(13), nn.Linear(3, 12))
    with pytest.raises(ArgumentError, match="as many numbers as a sample has"):
        made(Encoder(), nn.Linear(3, 11))
    with pytest.raises(ArgumentError, match="encoder must return means and log-variances"):
        made(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), nn.Linear(3, 12))
    with pytest.raises(ArgumentError, match="logits alone"):
        made(Encoder(), Encoder(3, 12))
    decoder = nn.Linear(3, 12)
    with pytest.raises(ArgumentError, match="optimizer holds no parameter of its network Encoder"):
        VAETrainer(Encoder(), decoder, pictures(), torch.optim.SGD(decoder.parameters(), 0.1))
