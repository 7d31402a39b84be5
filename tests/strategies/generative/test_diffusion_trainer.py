"""DiffusionTrainer: the step by hand, weights of classes, samples, and learning."""

import copy
import sys

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from clcore.errors import ArgumentError
from strategies.generative import (
    ClassWeights,
    CoresetBatchSampler,
    DiffusionTrainer,
    LossDivergedError,
    frechet_distance,
)
from strategies.generative.image_rows import ShuffledBatches

LABELS = torch.arange(300) % 3


class Denoiser(nn.Module):
    """ε of two numbers, from them and the step."""

    def __init__(self, size=2, norm=False):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(size + 2, 32), nn.BatchNorm1d(32) if norm else nn.SiLU(),
            nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, size),
        )  # fmt: skip

    def forward(self, x, t):
        share = (t / 1000).unsqueeze(1)
        return self.body(torch.cat([x, share, share.sqrt()], dim=1))


class Output:
    """As diffusers' models return it."""

    def __init__(self, sample):
        self.sample = sample


class Wrapped(Denoiser):
    def forward(self, x, t):
        return Output(super().forward(x, t))


def points():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.6, 0.0], [-0.6, 0.3], [0.0, -0.6]])
    return centres[LABELS] + 0.05 * torch.randn(300, 2, generator=generator)


def trainer(data=None, model=None, scheduler=None, rate=2e-3, **options):
    torch.manual_seed(0)
    model = Denoiser() if model is None else model
    optimizer = torch.optim.Adam(model.parameters(), rate)
    data = points() if data is None else data
    scheduler = DDPMScheduler() if scheduler is None else scheduler
    return DiffusionTrainer(model, scheduler, data, optimizer, **{"batch_size": 50, **options})


@pytest.mark.parametrize("target", ["epsilon", "sample", "v_prediction"])
def test_the_plain_step_is_a_hand_written_one(target):
    made = trainer(scheduler=DDPMScheduler(prediction_type=target), seed=2)
    model = copy.deepcopy(made.model)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    data, draws = points(), torch.Generator().manual_seed(2)
    batches = ShuffledBatches(300, 50, seed=2)
    alphas = DDPMScheduler().alphas_cumprod
    for step in range(15):
        x = data[batches.batch(step)]
        noise = torch.randn(50, 2, generator=draws)
        t = torch.randint(1000, (50,), generator=draws)
        signal, rest = alphas[t].sqrt().unsqueeze(1), (1 - alphas[t]).sqrt().unsqueeze(1)
        wanted = {"epsilon": noise, "sample": x, "v_prediction": signal * noise - rest * x}[target]
        loss = (model(signal * x + rest * noise, t) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert made.fit(1)["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    for ours, theirs in zip(made.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_output_with_a_sample_is_the_same():
    plain, wrapped = trainer(), trainer(model=Wrapped())
    wrapped.model.load_state_dict(plain.model.state_dict())
    assert plain.fit(3) == wrapped.fit(3)
    assert torch.equal(plain.sample(4, steps=5), wrapped.sample(4, steps=5))


def test_it_learns_points_and_images():
    data = points()
    made = trainer(data)
    before = frechet_distance(made.sample(300, steps=20), data)
    made.fit(400)
    after = frechet_distance(made.sample(300, steps=20), data)
    assert after < before / 4
    digits = torch.tensor(load_digits().images[:200] / 8 - 1, dtype=torch.float32).unsqueeze(1)
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 16),
        layers_per_block=1, down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    made = trainer(digits, unet, batch_size=32)
    losses = [made.fit(1)["loss"] for _ in range(40)]
    assert sum(losses[-10:]) < sum(losses[:10]) / 2
    assert made.sample(3, steps=4).shape == (3, 1, 8, 8)


def test_samples_are_those_of_ddim():
    made = trainer()
    made.fit(20)
    sampler = DDIMScheduler.from_config(made.scheduler.config)
    sampler.set_timesteps(10)
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        for t in sampler.timesteps:
            x = sampler.step(made.model(x, t.expand(6)), t, x).prev_sample
    torch.testing.assert_close(made.sample(6, seed=5, steps=10), x)


def test_weights_move_by_the_excess_over_the_reference():
    data, own = TensorDataset(points(), LABELS), ClassWeights(LABELS, step_size=2.0)
    torch.manual_seed(1)
    reference = Denoiser(norm=True)
    seen = {"model": [], "reference": []}
    made = trainer(data, class_weights=own, reference=reference, seed=3)
    made.model.register_forward_hook(lambda _, x, y: seen["model"].append((*x, y.detach())))
    reference.register_forward_hook(lambda _, x, y: seen["reference"].append((*x, y.detach())))
    made.fit(1)
    (noisy, times, output), (same, steps, expected) = (seen[name][0] for name in seen)
    assert torch.equal(noisy, same)
    assert torch.equal(times, steps)
    assert reference.training, "and it ran in evaluation mode"
    assert int(reference.body[1].num_batches_tracked) == 0
    noise = torch.randn(50, 2, generator=torch.Generator().manual_seed(3))
    losses = (output - noise).square().mean(dim=1)
    by_hand = ClassWeights(LABELS, step_size=2.0)
    rows = ShuffledBatches(300, 50, seed=3).batch(0)
    by_hand.update(losses, (expected - noise).square().mean(dim=1), LABELS[rows])
    torch.testing.assert_close(own.alpha, by_hand.alpha)
    assert made.last["loss"] == pytest.approx(
        float((by_hand.rows(LABELS[rows]) * losses).mean()), rel=1e-5
    )
    assert made.forward_rows == 100
    assert made.backward_rows == 50
    assert 0 < made.selection_cpu_seconds < made.cpu_seconds
    assert all(p.grad is None for p in reference.parameters())


def test_without_a_reference_the_weights_stay_what_they_are_on_average():
    weights = ClassWeights(LABELS)
    weights.update(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([1]))
    average, data = weights.average(), TensorDataset(points(), LABELS)
    made, plain = trainer(data, class_weights=weights), trainer(data)
    with torch.no_grad():
        noise = torch.randn(50, 2, generator=made._draws.clone_state())
    rows = ShuffledBatches(300, 50).batch(0)
    shape = []
    made.model.register_forward_hook(lambda _, x, y: shape.append(y.detach()))
    made.fit(1)
    plain.fit(1)
    losses = (shape[0] - noise).square().mean(dim=1)
    assert made.last["loss"] == pytest.approx(
        float((weights.rows(LABELS[rows], average) * losses).mean()), rel=1e-5
    )
    assert made.last != plain.last
    assert weights.updates == 1
    assert torch.equal(weights.average(), average)


def test_chosen_batches():
    data = points()
    sampler = CoresetBatchSampler(data, 50, 4, "kernel-herding", data=data)
    made, rows = trainer(data, images=sampler), []
    read = made.data.read
    made.data.read = lambda which: rows.append(which.tolist()) or read(which)
    made.fit(3)
    assert rows == [sampler.batch(step) for step in range(3)]
    assert made.selection_cpu_seconds > 0


def test_sampling_leaves_no_trace():
    made = trainer(model=Denoiser(norm=True), ema=0.5)
    made.fit(3)
    modules = [made.model, made.average]
    state = [v.clone() for m in modules for v in m.state_dict().values()]
    before, gradients = torch.get_rng_state(), [p.grad.clone() for p in made.model.parameters()]
    first = made.sample(5, seed=1, steps=3, batch_size=2)
    assert not torch.equal(first, made.sample(5, seed=2, steps=3))
    torch.testing.assert_close(first, made.sample(5, seed=1, steps=3))
    assert torch.equal(torch.get_rng_state(), before)
    now = [v for m in modules for v in m.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(now, state, strict=True))
    assert all(part.training for part in made.model.modules())
    for parameter, gradient in zip(made.model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_the_average_is_what_samples_come_from():
    made = trainer(ema=0.9)
    made.fit(5)
    with torch.no_grad():
        for parameter in made.average.module.parameters():
            parameter.zero_()
    zero = made.sample(4, steps=3)
    made.fit(0)
    assert not torch.equal(zero, trainer().sample(4, steps=3))


def test_without_diffusers_it_says_what_to_install(monkeypatch):
    made = trainer()
    monkeypatch.setitem(sys.modules, "diffusers", None)
    made.fit(1)
    words = r"pip install 'diffusers>=0.30' \(the extra 'diffusion'\)"
    with pytest.raises(ModuleNotFoundError, match=words):
        made.sample(2)
    optimizer = torch.optim.Adam(made.model.parameters())
    with pytest.raises(ModuleNotFoundError, match=words):
        DiffusionTrainer(made.model, None, points(), optimizer)


def test_a_loss_that_is_no_number_stops_the_training():
    data = points()
    data[7] = float("inf")
    with pytest.raises(ArgumentError, match="data go to inf"):
        trainer(data)
    made = trainer(data, scheduler=DDPMScheduler(clip_sample=False))
    with pytest.raises(LossDivergedError, match=r"the loss 'loss' became (nan|inf) at iteration"):
        made.fit(10)
    assert made.iteration < 6
    assert all(bool(torch.isfinite(p).all()) for p in made.model.parameters())


def test_mistakes_are_refused():
    data, labelled, weights = points(), TensorDataset(points(), LABELS), ClassWeights(LABELS)
    with pytest.raises(ArgumentError, match=r"data go to 3.*clip_sample=False"):
        trainer(data * 0 + 3)
    trainer(data * 0 + 3, scheduler=DDPMScheduler(clip_sample=False))
    with pytest.raises(ArgumentError, match="batch_size 500 is larger"):
        trainer(batch_size=500)
    with pytest.raises(ArgumentError, match="scheduler must be one of diffusers'"):
        trainer(scheduler="linear")
    with pytest.raises(ArgumentError, match=r"model doesn't take images of shape \(2,\)"):
        trainer(model=Denoiser(3))
    with pytest.raises(ArgumentError, match="with a label for each row"):
        trainer(data, class_weights=weights)
    with pytest.raises(ArgumentError, match="give class_weights= too"):
        trainer(labelled, reference=Denoiser())
    model = Denoiser()
    with pytest.raises(ArgumentError, match="another than model"):
        trainer(labelled, model, class_weights=weights, reference=model)
    with pytest.raises(ArgumentError, match="class_weights must be a ClassWeights"):
        trainer(labelled, class_weights=[1, 2, 3])
    nine = TensorDataset(data, torch.full_like(LABELS, 9))
    strange = trainer(nine, class_weights=weights, reference=Denoiser())
    with pytest.raises(ArgumentError, match="9, which is no class of the coreset"):
        strange.fit(1)
    with pytest.raises(ArgumentError, match="steps must be at most 1000"):
        trainer().sample(1, steps=1001)
    with pytest.raises(ArgumentError, match="ema must be"):
        trainer(ema=-0.1)

    class Flat(Denoiser):
        def forward(self, x, t):
            return super().forward(x, t)[:, :1]

    with pytest.raises(ArgumentError, match=r"model must return \(2, 2\)"):
        trainer(model=Flat())
