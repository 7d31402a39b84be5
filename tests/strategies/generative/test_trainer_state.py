"""A saved trainer goes on bit for bit, whatever its options; a state of another is refused."""

import itertools
import json

import pytest
import torch
from diffusers import DDPMScheduler
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import TensorDataset

from clcore.errors import FormatError
from strategies.generative import (
    ClassWeights,
    CoresetBatchSampler,
    DiffusionTrainer,
    ExemplarEncoder,
    GANTrainer,
    PseudoCoreset,
    TopKSchedule,
    VAETrainer,
)

LABELS = torch.arange(100) % 3


def data():
    return torch.rand(100, 6, generator=torch.Generator().manual_seed(0))


def sampler(selector, rows=None):
    rows = data() if rows is None else rows
    return CoresetBatchSampler(rows, 10, 2, selector, data=rows)


def gan(rows=None, images=None, **options):
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
    critic = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
    optimizers = [torch.optim.Adam(n.parameters(), 1e-2) for n in (generator, critic)]
    images = None if images is None else sampler(images)
    options = {"batch_size": 10, "latent_size": 3, "seed": 7, **options}
    return GANTrainer(
        generator, critic, data() if rows is None else rows, *optimizers, images=images, **options
    )


class Encoder(nn.Linear):
    def forward(self, x):
        return super().forward(x).chunk(2, dim=1)


def vae(images=None, exemplars=False, own_variance=False, **options):
    torch.manual_seed(0)
    encoder, decoder = Encoder(6, 4), nn.Sequential(nn.Linear(2, 6), nn.Dropout(0.1))
    trained = [*encoder.parameters(), *decoder.parameters()]
    if exemplars:
        options |= {"prior": PseudoCoreset(data()[:5], 100), "matching_samples": 8}
        options["matching_every"] = (1, 3)
    if own_variance:
        options["prior_encoder"] = ExemplarEncoder(encoder)
        trained.append(options["prior_encoder"].log_variance)
    images = None if images is None else sampler(images)
    optimizer = torch.optim.Adam(trained, 1e-2)
    return VAETrainer(
        encoder, decoder, data(), optimizer, batch_size=10, images=images, seed=7, **options
    )


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(7, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 6)
        )

    def forward(self, x, t):
        return self.body(torch.cat([x, t.unsqueeze(1) / 1000], dim=1))


def diffusion(images=None, weighted=False, reference=False, **options):
    torch.manual_seed(0)
    model = Denoiser()
    if weighted:
        options["class_weights"] = ClassWeights(LABELS)
    if reference:
        options["reference"] = Denoiser()
    images = None if images is None else sampler(images)
    rows = TensorDataset(data(), LABELS)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    scheduler = DDPMScheduler(num_train_timesteps=100)
    return DiffusionTrainer(
        model, scheduler, rows, optimizer, batch_size=10, images=images, seed=7, **options
    )


GANS = [
    dict(zip(("images", "latents", "top_k", "importance", "ema"), values, strict=True))
    for values in itertools.product(
        (None, "k-means-plus-plus"),
        (None, "k-means-plus-plus"),
        (None, TopKSchedule(10, gamma=0.8)),
        (False, "jacobian", "gradient"),
        (0.0, 0.9),
    )
] + [
    {"loss": loss, "gradient_penalty": 0.5, "penalty": penalty, "discriminator_steps": steps}
    for loss in ("hinge", "non-saturating", "wasserstein")
    for penalty in ("r1", "interpolated")
    for steps in (1, 2)
]
VAES = [
    {"images": images, "likelihood": likelihood, "beta_warmup": warmup, **prior}
    for images in (None, "k-center")
    for likelihood in ("bernoulli", "gaussian")
    for warmup in (0, 15)
    for prior in ({}, {"exemplars": True}, {"exemplars": True, "own_variance": True})
]
DIFFUSIONS = [
    {"images": images, "ema": ema, **weights}
    for images in (None, "kernel-herding")
    for ema in (0.0, 0.9)
    for weights in ({}, {"weighted": True}, {"weighted": True, "reference": True})
]
QUICK = 5
"""Of so many combinations one is quick; 5 has no factor of the numbers of choices, so each choice
stands beside each other one."""
CASES = [
    pytest.param(
        make,
        options,
        id=f"{make.__name__}-{place}",
        marks=[] if place % QUICK == 0 else [pytest.mark.slow],
    )
    for make, all_options in ((gan, GANS), (vae, VAES), (diffusion, DIFFUSIONS))
    for place, options in enumerate(all_options)
]


@pytest.mark.parametrize(("make", "options"), CASES)
def test_a_saved_trainer_goes_on_bit_for_bit(make, options, tmp_path):
    whole = make(**options)
    torch.manual_seed(5)  # dropout draws from the global generator
    whole.fit(13)
    whole.save(tmp_path / "state.safetensors")
    losses = [whole.fit(1) for _ in range(9)]
    resumed = make(**options)
    torch.manual_seed(6)
    resumed.load(tmp_path / "state.safetensors")
    assert resumed.iteration == 13
    assert [resumed.fit(1) for _ in range(9)] == losses
    for counter in ("iteration", "drawn", "epoch", "forward_rows", "backward_rows"):
        assert getattr(resumed, counter) == getattr(whole, counter)
    for name, part in whole.parts().items():
        if isinstance(part, nn.Module):
            held = resumed.parts()[name].state_dict()
            assert all(torch.equal(held[key], value) for key, value in part.state_dict().items())
    assert torch.equal(whole.sample(3, seed=1), resumed.sample(3, seed=1))


def test_clocks_go_on(tmp_path):
    made = gan(latents="k-center")
    made.fit(5)
    made.save(tmp_path / "state")
    again = gan(latents="k-center")
    again.load(tmp_path / "state")
    names = ("seconds", "cpu_seconds", "selection_seconds", "selection_cpu_seconds")
    assert all(getattr(again, name) == getattr(made, name) > 0 for name in names)
    assert again.last == made.last
    again.fit(5)
    assert all(getattr(again, name) > getattr(made, name) for name in names)


def test_a_state_loaded_twice_is_the_same(tmp_path):
    made = gan(ema=0.5, images="k-center")
    made.fit(3)
    made.save(tmp_path / "state")
    first = made.fit(4)
    made.load(tmp_path / "state")
    assert made.iteration == 3
    assert made.fit(4) == first


def test_the_file_holds_tensors_and_json_alone(tmp_path):
    made = vae(exemplars=True)
    made.fit(11)
    made.save(tmp_path / "state")
    with safe_open(tmp_path / "state", framework="pt") as file:
        for text in file.metadata().values():
            json.loads(text)


@pytest.mark.parametrize(
    ("saved", "loaded", "words"),
    [
        (gan, lambda: gan(seed=8), "with seed=7, and this one has seed=8"),
        (gan, lambda: gan(loss="wasserstein"), "loss='hinge', and this one has loss='wasserstein'"),
        (gan, lambda: gan(ema=0.5), "ema=0.0, and this one has ema=0.5"),
        (gan, lambda: gan(images="k-center"), "images=None"),
        (gan, lambda: gan(rows=data().flip(0)), "the data are not those of the saved trainer"),
        (gan, vae, "it is the state of a GANTrainer, and this is a VAETrainer"),
        (lambda: gan(latents="k-center"), lambda: gan(latents="kernel-herding"), "latents="),
        (
            lambda: gan(top_k=TopKSchedule(10)),
            lambda: gan(top_k=TopKSchedule(10, nu=0.7)),
            "nu=0.5.*nu=0.7",
        ),
        (vae, lambda: vae(exemplars=True), "prior=None, and this one has prior=5"),
        (vae, lambda: vae(likelihood="gaussian"), "likelihood="),
        (diffusion, lambda: diffusion(weighted=True), "class_weights=None"),
        (
            lambda: diffusion(weighted=True),
            lambda: diffusion(weighted=True, reference=True),
            "reference=False",
        ),
    ],
)
def test_states_of_others_are_refused(saved, loaded, words, tmp_path):
    made = saved()
    made.fit(1)
    made.save(tmp_path / "state")
    with pytest.raises(FormatError, match=words):
        loaded().load(tmp_path / "state")


def test_networks_of_another_size_are_refused_before_anything_is_loaded(tmp_path):
    gan().save(tmp_path / "state")
    other = gan()
    other.networks["discriminator"][3] = nn.Linear(8, 2)
    before = [p.clone() for p in other.generator.parameters()]
    words = r"discriminator is not the one that was saved: 3.weight has shape \(2, 8\) here"
    with pytest.raises(FormatError, match=words):
        other.load(tmp_path / "state")
    for parameter, value in zip(other.generator.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    made = gan()
    with pytest.raises(FormatError, match="does not exist"):
        made.load(tmp_path / "nothing")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(FormatError, match="damaged"):
        made.load(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(FormatError, match="no checkpoint of a trainer"):
        made.load(tmp_path / "foreign")
    made.save(tmp_path / "state")
    half = (tmp_path / "state").read_bytes()
    (tmp_path / "half").write_bytes(half[: len(half) // 2])
    with pytest.raises(FormatError, match="damaged"):
        made.load(tmp_path / "half")
