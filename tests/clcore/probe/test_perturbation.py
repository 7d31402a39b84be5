"""Perturbed logits: what is shaken, how much, and that nothing is left behind."""

import pytest
import torch
from torch import nn

from clcore import ArgumentError, Pool, Probe
from clcore.probe.perturbation import Perturbation

X = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))


def network(dropout=0.5):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Dropout(dropout),
        nn.Linear(6, 3),
    )  # fmt: skip


def draws(model, perturbation, **options):
    probe = Probe(model, perturbation=perturbation, **options)
    return probe.signals(["perturbed_logits", "logits"], X)


@pytest.mark.parametrize("kind", ["dropout", "weight-noise", "augment"])
def test_shape_seed_and_purity(kind):
    model = network().train()
    transform = (lambda x: x + torch.randn_like(x)) if kind == "augment" else None
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    shaken = Perturbation(kind=kind, draws=5, transform=transform)
    first = draws(model, shaken)["perturbed_logits"]
    assert first.shape == (7, 5, 3)
    assert torch.equal(first, draws(model, shaken)["perturbed_logits"])
    other = Perturbation(kind=kind, draws=5, transform=transform, seed=1)
    assert not torch.equal(first, draws(model, other)["perturbed_logits"])
    assert not torch.equal(first[:, 0], first[:, 1])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_dropout_drops_and_nothing_else_trains():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3, bias=False))
    found = draws(model, Perturbation(draws=400))
    mean = found["perturbed_logits"].mean(dim=1)
    # Dropout is unbiased, so for a linear model the draws average to the plain logits.
    assert float((mean - found["logits"]).abs().max()) < 0.2
    masks = found["perturbed_logits"][0]
    assert len(torch.unique(masks, dim=0)) <= 2**4


def test_weight_noise_has_the_length_asked_for():
    model = nn.Linear(4, 3).requires_grad_(False)
    found = draws(model, Perturbation(kind="weight-noise", draws=2, scale=0.1))
    augmented = torch.cat([X, torch.ones(7, 1)], dim=1)
    # The outputs are linear in the noise: solve for it, draw by draw.
    for draw in range(2):
        shift = found["perturbed_logits"][:, draw] - found["logits"]
        noise = torch.linalg.lstsq(augmented, shift).solution
        assert float(noise[:4].norm()) == pytest.approx(0.1 * float(model.weight.norm()), rel=1e-3)
        assert float(noise[4].norm()) == pytest.approx(0.1 * float(model.bias.norm()), rel=1e-3)


def test_weight_noise_spares_normalisation_and_is_the_same_for_every_batch():
    model = network().eval()
    shaken = Perturbation(kind="weight-noise", draws=3, scale=0.1)
    whole = draws(model, shaken)["perturbed_logits"]
    parts = draws(model, shaken, batch_size=2)["perturbed_logits"]
    torch.testing.assert_close(whole, parts)
    only_norm = nn.BatchNorm1d(4).eval()
    found = draws(only_norm, shaken)
    assert torch.equal(found["perturbed_logits"], found["logits"].unsqueeze(1).expand(-1, 3, -1))


def test_augmentation_sees_the_data_before_the_probes_own_transform():
    seen = []

    def flipped(x):
        seen.append(x.dtype)
        return x.flip(1)

    images = torch.randint(0, 255, (5, 4), dtype=torch.uint8)
    model = nn.Linear(4, 3)
    probe = Probe(
        model,
        transform=lambda x: x.float() / 255,
        perturbation=Perturbation(kind="augment", draws=2, transform=flipped),
    )
    found = probe.signals(["perturbed_logits"], images)["perturbed_logits"]
    assert set(seen) == {torch.uint8}
    torch.testing.assert_close(found[:, 0], model(images.flip(1).float() / 255).detach())


def test_a_model_without_dropout_says_what_to_do():
    model = network(dropout=0.0)
    assert "perturbed_logits" not in Probe(model).names
    assert not Pool.of(X, Probe(model)).has("perturbed_logits")
    with pytest.raises(ArgumentError, match="no dropout layer that drops"):
        draws(model, Perturbation())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "noise"}, "kind must be"),
        ({"draws": 0}, "draws"),
        ({"scale": 0.0}, "scale must be"),
        ({"kind": "augment"}, "transform belongs"),
        ({"transform": abs}, "transform belongs"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        Perturbation(**options)
