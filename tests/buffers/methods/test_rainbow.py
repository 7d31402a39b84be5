"""Rainbow memory: where its views come from, what they cost, and what it keeps."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import clcore
from buffers import RainbowBuffer
from buffers.augmentation import RandomViews
from clcore import Pool, Probe
from clcore.errors import ArgumentError
from clcore.probe import Perturbation


def logits(n, seed=0):
    return torch.randn(n, 6, 4, generator=torch.Generator().manual_seed(seed))


def pictures(n, seed=0):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def learner(*layers):
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            draws = torch.Generator().manual_seed(parameter.numel())
            parameter.copy_(torch.randn(parameter.shape, generator=draws))
    return SimpleNamespace(model=model.train())


def test_each_class_keeps_what_the_selector_takes_of_memory_and_news():
    options = {"spread": "whole", "ties": "confidence"}
    y = torch.arange(120) % 2
    buffer = RainbowBuffer(20, ties="confidence")
    buffer.add(torch.rand(80, 3), y[:80], perturbed_logits=logits(120)[:80])
    held = buffer.store.born[: len(buffer)].clone()
    buffer.add(torch.rand(40, 3), y[80:], perturbed_logits=logits(120)[80:])
    for label in (0, 1):
        candidates = torch.cat((held, torch.arange(80, 120)))
        candidates = candidates[y[candidates] == label]
        pool = Pool(perturbed_logits=logits(120)[candidates])
        picks = clcore.select("rainbow", pool, 10, **options).indices
        kept = buffer.store.born[buffer.store.y == label]
        assert sorted(kept.tolist()) == sorted(candidates[picks].tolist())


def test_old_classes_choose_again_when_they_give_some_up():
    buffer = RainbowBuffer(20)
    buffer.add(torch.rand(40, 3), torch.arange(40) % 2, perturbed_logits=logits(40))
    buffer.add(torch.rand(40, 3), torch.arange(40) % 2 + 2, perturbed_logits=logits(40, 1))
    assert buffer.class_counts() == dict.fromkeys(range(4), 5)


@pytest.mark.parametrize("perturbation", ["augment", "weight-noise", "dropout"])
def test_views_come_from_the_strategys_model(perturbation):
    agent = learner(nn.Dropout(0.3))
    before = {name: value.clone() for name, value in agent.model.state_dict().items()}
    kept = []
    for world in (1, 2):
        torch.manual_seed(world)
        state = torch.get_rng_state()
        buffer = RainbowBuffer(12, draws=5, perturbation=perturbation)
        buffer.add(pictures(60), torch.arange(60) % 4, learner=agent)
        assert torch.equal(torch.get_rng_state(), state)
        kept.append(buffer.store.born.tolist())
        assert buffer.cost.forward_passes >= 5 * 60
    assert kept[0] == kept[1], "the views don't depend on the global generator"
    assert agent.model.training
    assert all(torch.equal(value, before[name]) for name, value in agent.model.state_dict().items())


def test_the_signal_is_that_of_a_probe_with_the_same_perturbation():
    agent, y = learner(), torch.arange(60) % 4
    probe = Probe(
        agent.model, perturbation=Perturbation(kind="augment", draws=12, transform=RandomViews())
    )
    order = y.argsort(stable=True)  # the classes choose one after the other
    expected = torch.empty(60, 12, 4)
    expected[order] = probe.signals(["perturbed_logits"], pictures(60)[order])["perturbed_logits"]
    by_model, by_probe, by_column = (RainbowBuffer(12, probe=p) for p in (None, probe, None))
    by_model.add(pictures(60), y, learner=agent)
    by_probe.add(pictures(60), y)
    by_column.add(pictures(60), y, perturbed_logits=expected)
    assert by_model.store.born.tolist() == by_probe.store.born.tolist()
    assert by_model.store.born.tolist() == by_column.store.born.tolist()


def test_an_augmentation_of_ones_own():
    seen = []

    def mirror(x):
        seen.append(tuple(x.shape))
        return x.flip(-1)

    buffer = RainbowBuffer(8, augmentation=mirror, draws=3)
    buffer.add(pictures(20), torch.arange(20) % 2, learner=learner())
    assert seen == [(20, 1, 8, 8)] * 3


def test_a_random_first_choice_needs_no_signal():
    buffer = RainbowBuffer(12, first="random")
    buffer.add(pictures(60), torch.arange(60) % 4)
    assert buffer.class_counts() == dict.fromkeys(range(4), 3)
    assert buffer.cost.forward_passes == 0
    with pytest.raises(ArgumentError, match="perturbed_logits: RainbowBuffer chooses by this"):
        buffer.add(pictures(60), torch.arange(60) % 4)
    buffer.add(pictures(60), torch.arange(60) % 4, learner=learner())
    assert buffer.cost.forward_passes >= 12 * 72


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": "best"}, "first: got 'best'; 'rainbow' or 'random' is needed"),
        ({"draws": 0}, "draws must be a whole number of at least 1"),
        ({"perturbation": "noise"}, "perturbation: got 'noise'"),
        ({"augmentation": 3}, "augmentation: got 3; a function is needed"),
        ({"augmentation": abs, "perturbation": "dropout"}, "augmentation: belongs to"),
        ({"spread": "wide"}, "spread must be"),
        ({"probe": Probe(nn.Linear(2, 2))}, "probe: its model has no dropout"),
        ({"probe": Probe(nn.Linear(2, 2)), "draws": 3}, "probe: augmentation, draws and"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        RainbowBuffer(10, **options)


# -- views -------------------------------------------------------------------------------------


def test_views_of_images():
    x = pictures(6)
    still = {"shift": 0.0, "rotation": 0.0, "light": 0.0, "cover": 0.0}
    assert torch.allclose(RandomViews(**still)(x), x, atol=1e-5)
    mirrored = RandomViews(**still, flip=True)(x)
    for row in range(6):
        same = [torch.allclose(mirrored[row], y, atol=1e-5) for y in (x[row], x[row].flip(-1))]
        assert sum(same) == 1
    covered = RandomViews(**{**still, "cover": 1.0})(x)
    changed = (covered != x) & ~torch.isclose(covered, x, atol=1e-5)
    assert torch.allclose(
        covered[changed], x.mean(dim=(1, 2, 3), keepdim=True).expand_as(x)[changed]
    )
    assert bool(changed.any())
    lit = RandomViews(**{**still, "light": 0.5})(x)
    slope = lit.std(dim=(1, 2, 3)) / x.std(dim=(1, 2, 3))
    assert bool(((slope > 0.5) & (slope < 1.5)).all())
    assert len(slope.unique()) == 6


def test_a_turn_keeps_the_picture_in_its_place():
    x = torch.zeros(40, 1, 9, 21)
    x[:, :, 4, 10] = 1  # the centre of a picture that isn't square
    turned = RandomViews(shift=0.0, rotation=90.0, light=0.0, cover=0.0)(x)
    assert torch.equal(turned.flatten(1).argmax(dim=1), torch.full((40,), 4 * 21 + 10))
    x = torch.zeros(40, 1, 21, 21)
    x[:, :, 10, 14] = 1  # four pixels off the centre: so they stay
    turned = RandomViews(shift=0.0, rotation=90.0, light=0.0, cover=0.0)(x)
    place = turned.flatten(1).argmax(dim=1)
    distance = ((place // 21 - 10) ** 2 + (place % 21 - 10) ** 2).double().sqrt()
    assert bool(((distance - 4).abs() < 1).all())


def test_noise_on_vectors_has_the_scale_of_the_column():
    x = torch.randn(2000, 3) * torch.tensor([1.0, 10.0, 0.0]) + 5
    noise = RandomViews(noise=0.2)(x) - x
    assert torch.allclose(noise.std(dim=0), torch.tensor([0.2, 2.0, 0.0]), rtol=0.1)


def test_what_has_no_views_is_refused():
    for x in (torch.ones(3, 4, dtype=torch.int64), torch.ones(3, 4, 5)):
        with pytest.raises(ArgumentError, match=r"augmentation: images .* or vectors"):
            RandomViews()(x)
    with pytest.raises(ArgumentError, match="shift: got -1"):
        RandomViews(shift=-1)
    with pytest.raises(ArgumentError, match="flip: got 1"):
        RandomViews(flip=1)
