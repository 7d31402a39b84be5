"""Networks and data of generative suites."""

import pytest
import torch
from torch import nn

from benchmarks.generative import NetworkSettings
from benchmarks.generative.data import build_data
from benchmarks.generative.networks import build_gan, build_unet, build_vae
from clcore.errors import ArgumentError


@pytest.mark.parametrize("blocks", [0, 1])
@pytest.mark.parametrize(("shape", "hidden"), [((1, 28, 28), (4, 8)), ((3, 32, 32), (4, 8, 16))])
def test_a_gan_on_images(make_suite, shape, hidden, blocks):
    suite = make_suite(network=NetworkSettings("sn-gan", hidden=hidden, blocks=blocks))
    generator, discriminator = build_gan(suite, shape, 0)
    images = generator(torch.randn(5, suite.latent_size))
    assert images.shape == (5, *shape)
    assert float(images.detach().abs().max()) <= 1
    assert discriminator(images).shape == (5,)
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == len(hidden) * (1 + blocks) + blocks + 1
    discriminator.train()
    for _ in range(30):
        discriminator(images.detach())
    norms = [float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) for m in layers]
    assert norms == pytest.approx([1.0] * len(norms), abs=0.1)


def test_seeds_decide_on_weights_alone(make_suite):
    suite = make_suite()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, two, other = (build_gan(suite, (1, 8, 8), seed)[0] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    states = [torch.cat([v.flatten() for v in n.state_dict().values()]) for n in (one, two, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_a_vae(make_suite):
    encoder, decoder = build_vae(make_suite("vae"), (1, 8, 8), 0)
    mean, log_variance = encoder(torch.rand(3, 1, 8, 8))
    assert mean.shape == log_variance.shape == (3, 4)
    assert decoder(mean).shape == (3, 1, 8, 8)


def test_a_unet(make_suite):
    suite = make_suite("diffusion", network=NetworkSettings("unet", hidden=(8, 16)))
    model = build_unet(suite, (1, 8, 8), 0)
    assert model(torch.randn(2, 1, 8, 8), torch.tensor([0, 5])).sample.shape == (2, 1, 8, 8)


def test_sides_that_do_not_fit(make_suite):
    suite = make_suite(network=NetworkSettings("sn-gan", hidden=(4, 8, 16)))
    with pytest.raises(ArgumentError, match="8 divides, not 28 x 28"):
        build_gan(suite, (1, 28, 28), 0)
    suite = make_suite("diffusion", network=NetworkSettings("unet", hidden=(8, 8, 8, 8)))
    with pytest.raises(ArgumentError, match="8 divides, not 28 x 28"):
        build_unet(suite, (1, 28, 28), 0)


def test_points(make_suite):
    suite = make_suite("points", points=20_000)
    data = build_data(suite, 0)
    assert data.modes.shape == (25, 2)
    assert data.x.std(dim=0, unbiased=False) == pytest.approx([1.0, 1.0], abs=0.02)
    away = (data.x - data.modes[data.y]) / data.sigma
    assert float(away.std()) == pytest.approx(1.0, abs=0.02)
    apart = torch.cdist(data.modes, data.modes)
    least = float(apart[apart > 0].min())
    assert least / data.sigma == pytest.approx(suite.spacing / suite.sigma, rel=1e-5)
    counts = torch.bincount(data.y)
    assert 0.8 < float(counts.min()) / 800 < float(counts.max()) / 800 < 1.2
    assert torch.equal(build_data(suite, 0).x, data.x)
    assert not torch.equal(build_data(suite, 1).x, data.x)


def test_images(make_suite):
    data = build_data(make_suite(), 0)
    assert data.x.dtype == torch.uint8
    assert (len(data.x), len(data.test_x)) == (300, 60)
    scaled = data.transform(data.x)
    assert (float(scaled.min()), float(scaled.max())) == (-1.0, 1.0)
    # One copy for all cells of a process.
    again = build_data(make_suite(methods=("top-k",), seeds=(3,)), 3)
    assert again.x.data_ptr() == data.x.data_ptr()


def test_images_in_black_and_white(make_suite):
    data = build_data(make_suite("vae"), 0)
    grey = build_data(make_suite(), 0)
    assert set(torch.unique(data.transform(data.x)).tolist()) == {0.0, 1.0}
    assert torch.equal(data.x > 0, grey.x > 127)
