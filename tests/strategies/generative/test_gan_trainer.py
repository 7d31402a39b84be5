"""GANTrainer: the plain step is a hand-written one, it learns, and it leaves no traces."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import TensorDataset

from clcore.errors import ArgumentError, UnknownNameError
from strategies.generative import (
    CoresetBatchSampler,
    Embeddings,
    GANTrainer,
    LossDivergedError,
    TopKSchedule,
    frechet_distance,
    select_latents,
)
from strategies.generative.image_rows import ShuffledBatches

CENTRE, SPREAD = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 0.2])


def points(rows=400):
    return CENTRE + SPREAD * torch.randn(rows, 2, generator=torch.Generator().manual_seed(0))


def networks(seed=0):
    torch.manual_seed(seed)
    generator = nn.Sequential(
        nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(),
        nn.Linear(32, 2),
    )  # fmt: skip
    critic = nn.Sequential(
        spectral_norm(nn.Linear(2, 32)), nn.LeakyReLU(0.2), spectral_norm(nn.Linear(32, 32)),
        nn.LeakyReLU(0.2), nn.Linear(32, 1),
    )  # fmt: skip
    return generator, critic


def adam(network, rate=1e-3):
    return torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.9))


def trainer(data=None, pair=None, rate=1e-3, **options):
    generator, critic = pair or networks()
    data = points() if data is None else data
    options = {"batch_size": 32, "latent_size": 4, **options}
    return GANTrainer(generator, critic, data, adam(generator, rate), adam(critic, rate), **options)


def parameters(*modules):
    return [value.clone() for module in modules for value in module.state_dict().values()]


def test_the_plain_step_is_a_hand_written_one():
    made = trainer(seed=3)
    generator, critic = networks()
    optimizers = adam(generator), adam(critic)
    data, draws = points(), torch.Generator().manual_seed(3)
    batches = ShuffledBatches(400, 32, seed=3)
    for step in range(30):
        real = data[batches.batch(step)]
        fake = generator(torch.rand(32, 4, generator=draws) * 2 - 1).detach()
        loss = functional.relu(1 - critic(real)).mean() + functional.relu(1 + critic(fake)).mean()
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        fooled = -critic(generator(torch.rand(32, 4, generator=draws) * 2 - 1)).mean()
        optimizers[0].zero_grad()
        fooled.backward()
        optimizers[0].step()
        losses = made.fit(1)
        assert losses == {
            "discriminator": float(loss.detach()),
            "generator": float(fooled.detach()),
        }
    for ours, theirs in zip(
        parameters(made.generator, made.discriminator), parameters(generator, critic), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_chosen_latents_and_images_are_those_of_the_parts():
    data = points()
    sampler = CoresetBatchSampler(data, 32, 4, "kernel-herding", data=data, seed=5)
    made = trainer(latents="k-center", images=sampler, seed=1)
    seen = {"latents": [], "images": []}
    made.generator.register_forward_pre_hook(lambda _, x: seen["latents"].append(x[0]))
    made.discriminator.register_forward_pre_hook(lambda _, x: seen["images"].append(x[0].detach()))
    made.fit(2)
    draws = torch.Generator().manual_seed(1)
    for place in range(4):
        assert torch.equal(seen["latents"][place], select_latents(32, 4, size=4, generator=draws))
    for step in range(2):
        assert torch.equal(seen["images"][3 * step], data[sampler.batch(step)])
    assert sampler.state_dict()["place"] == 0, "the sampler's own place stays where it was"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "non-saturating", "gradient_penalty": 0.1},
        {
            "loss": "wasserstein",
            "gradient_penalty": 1.0,
            "penalty": "interpolated",
            "discriminator_steps": 2,
        },
        {"latents": "k-center", "prior": "uniform"},
        {"importance": True, "prior": "normal", "loss": "non-saturating"},
        {"top_k": TopKSchedule(32), "loss": "non-saturating"},
    ],
    ids=["hinge", "r1", "wasserstein", "latents", "importance", "top-k"],
)
def test_it_learns(options):
    data = points()
    made = trainer(data, rate=3e-3, **options)
    before = frechet_distance(made.sample(500, seed=1), data)
    made.fit(150)
    after = frechet_distance(made.sample(500, seed=1), data)
    assert before > 8
    assert after < before / 4


def test_the_average_is_of_the_parameters_after_each_step():
    made = trainer(ema=0.75)
    expected = None
    for _ in range(5):
        made.fit(1)
        now = [p.detach().clone() for p in made.generator.parameters()]
        expected = (
            now
            if expected is None
            else [0.75 * a + 0.25 * b for a, b in zip(expected, now, strict=True)]
        )
    for ours, theirs in zip(made.average.module.parameters(), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    plain = trainer()
    plain.fit(5)
    assert not torch.equal(plain.sample(8), made.sample(8)), "samples are the average's"
    assert all(
        torch.equal(a, b)
        for a, b in zip(parameters(plain.generator), parameters(made.generator), strict=True)
    )


def test_sampling_leaves_no_trace():
    made = trainer(ema=0.5)
    made.fit(3)
    modules = [made.generator, made.discriminator, made.average]
    made.generator[1].eval()
    state, global_state = copy.deepcopy(parameters(*modules)), torch.get_rng_state()
    gradients = [p.grad.clone() for p in made.generator.parameters()]
    modes = [part.training for module in modules for part in module.modules()]
    first = made.sample(20, seed=4, batch_size=7)
    assert first.shape == (20, 2)
    assert not first.requires_grad
    torch.testing.assert_close(first, made.sample(20, seed=4))
    assert not torch.equal(first, made.sample(20, seed=5))
    assert all(torch.equal(a, b) for a, b in zip(parameters(*modules), state, strict=True))
    assert torch.equal(torch.get_rng_state(), global_state)
    assert modes == [part.training for module in modules for part in module.modules()]
    for parameter, gradient in zip(made.generator.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_sampling_and_selecting_do_not_change_training():
    plain, watched = trainer(seed=2), trainer(seed=2)
    plain.fit(6)
    for step in range(6):
        watched.fit(1)
        watched.sample(3, seed=step)
    assert plain.last == watched.last


def test_training_draws_nothing_from_the_global_generator():
    data = points()
    sampler = CoresetBatchSampler(data, 32, 4, "k-means-plus-plus", data=data)
    made = trainer(
        data, latents="k-means-plus-plus", images=sampler, importance="gradient",
        gradient_penalty=0.1, penalty="interpolated", ema=0.9,
    )  # fmt: skip
    before = torch.get_rng_state()
    made.fit(3)
    made.sample(4)
    assert torch.equal(torch.get_rng_state(), before)


def test_importance_leaves_batch_norm_alone():
    made = trainer(importance=True, discriminator_steps=1)
    counts = made.generator[1].num_batches_tracked
    made.fit(5)
    assert int(counts) == 10, "two training passes a step, none of the selection's"


def test_top_k_gives_the_others_no_gradient():
    schedule = TopKSchedule(32, gamma=0.5, nu=0.25)
    made = trainer(points(64), top_k=schedule)
    gradients = []
    counted = []

    def watch(_, inputs, scores):
        scores.register_hook(gradients.append)

    made.discriminator.register_forward_hook(watch)
    for _ in range(6):
        gradients.clear()
        made.fit(1)
        counted.append(int((gradients[-1] != 0).sum()))
    # The generator's step comes after the batch of its iteration: two batches make a pass.
    assert counted == [schedule.k(step // 2) for step in range(1, 7)] == [32, 16, 16, 8, 8, 8]


def test_clocks_and_counts():
    made = trainer()
    made.fit(10)
    assert made.iteration == made.drawn == 10
    assert made.selection_seconds == made.selection_cpu_seconds == 0
    assert made.cpu_seconds > 0
    assert 0 < made.seconds < 60
    # Fakes for the critic, its two batches; the generator's fakes and their scores.
    assert made.forward_rows == 10 * 5 * 32
    assert made.backward_rows == 10 * 4 * 32
    assert made.epoch == 10 * 32 // 400
    chosen = trainer(latents="k-center", discriminator_steps=3)
    chosen.fit(10)
    assert chosen.drawn == 30
    assert 0 < chosen.selection_seconds < chosen.seconds
    assert 0 < chosen.selection_cpu_seconds < chosen.cpu_seconds
    important = trainer(importance="gradient", latent_factor=2)
    important.fit(2)
    assert important.forward_rows == 2 * (5 * 32 + 2 * 64)


def test_data_are_read_in_any_form():
    data, seen = points(), []
    labels = torch.zeros(400, dtype=torch.int64)

    class Items:
        def __len__(self):
            return 400

        def __getitem__(self, row):
            return data[row], 0

    subset = torch.utils.data.Subset(TensorDataset(data, labels), range(400))
    for form in (data, TensorDataset(data), subset, Items()):
        made = trainer(form)
        made.fit(3)
        seen.append(made.last)
    assert seen == [seen[0]] * 4
    bytes_ = (torch.rand(100, 2) * 255).to(torch.uint8)
    trainer(bytes_, transform=lambda x: x / 127.5 - 1).fit(1)


def test_several_heads():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.other = nn.Linear(2, 1), nn.Linear(2, 3)

        def forward(self, x):
            return self.other(x), self.score(x)

    generator = networks()[0]
    with pytest.raises(ArgumentError, match="2 heads: say with head="):
        trainer(pair=(generator, Heads()))
    with pytest.raises(ArgumentError, match="one score for each of 4 images"):
        trainer(pair=(generator, Heads()), head=0)
    made = trainer(pair=(generator, Heads()), head=1, importance="gradient", top_k=TopKSchedule(32))
    made.fit(2)
    assert made.iteration == 2


def test_a_loss_that_is_no_number_stops_the_training():
    data = points(64)
    data[10] = float("nan")
    made = trainer(data)
    place = 0 if 10 in ShuffledBatches(64, 32).batch(0) else 1
    made.fit(place)
    held = [p.detach().clone() for p in made.discriminator.parameters()]
    words = f"'discriminator' became nan at iteration {place + 1}; the parameters are those from"
    with pytest.raises(LossDivergedError, match=words):
        made.fit(2)
    assert made.iteration == place
    for parameter, before in zip(made.discriminator.parameters(), held, strict=True):
        assert torch.equal(parameter, before)
    infinite = trainer(loss="wasserstein", top_k=TopKSchedule(32))
    with torch.no_grad():
        infinite.generator[-1].bias.fill_(float("inf"))
    with pytest.raises(LossDivergedError, match="of generator hold NaN or infinity already"):
        infinite.fit(1)


def test_mistakes_are_refused():
    generator, critic = networks()
    with pytest.raises(
        ArgumentError, match="batch_size 500 is larger than the data, which has 400"
    ):
        trainer(batch_size=500)
    with pytest.raises(ArgumentError, match=r"generator doesn't take latents of shape \(5,\)"):
        trainer(latent_size=5)
    with pytest.raises(ArgumentError, match=r"generator must make \(4, 3\) of 4 latents"):
        trainer(torch.rand(50, 3))
    with pytest.raises(ArgumentError, match="discriminator doesn't take images of shape"):
        trainer(pair=(generator, nn.Linear(3, 1)))
    with pytest.raises(ArgumentError, match="loss must be"):
        trainer(loss="mean")
    with pytest.raises(ArgumentError, match="prior must be"):
        trainer(prior="cauchy")
    with pytest.raises(UnknownNameError, match="k-center"):
        trainer(latents="k-centre")
    with pytest.raises(ArgumentError, match="factor must be"):
        trainer(latents="k-center", latent_factor=0.5)
    with pytest.raises(ArgumentError, match=r"top_k must be a TopKSchedule .* not 0"):
        trainer(top_k=0)
    with pytest.raises(ArgumentError, match="top_k is of batches of 16 where batch_size is 32"):
        trainer(top_k=TopKSchedule(16))
    with pytest.raises(ArgumentError, match="importance must be"):
        trainer(importance="flow")
    with pytest.raises(ArgumentError, match="gradient_penalty must be at least 0"):
        trainer(gradient_penalty=-1)
    with pytest.raises(ArgumentError, match="penalty must be"):
        trainer(penalty="r3")
    with pytest.raises(ArgumentError, match="discriminator_steps must be"):
        trainer(discriminator_steps=0)
    with pytest.raises(ArgumentError, match="ema must be at least 0 and below 1"):
        trainer(ema=1.0)
    with pytest.raises(ArgumentError, match="data has no rows"):
        trainer(torch.empty(0, 2))
    with pytest.raises(ArgumentError, match=r"floating-point numbers.*torch.uint8: give transform"):
        trainer(torch.zeros(100, 2, dtype=torch.uint8))
    optimizers = adam(generator), adam(critic)
    with pytest.raises(ArgumentError, match=r"generator must be a torch.nn.Module, not function"):
        GANTrainer(lambda z: z, critic, points(), *optimizers, latent_size=4)
    with pytest.raises(ArgumentError, match="steps must be"):
        trainer().fit(-1)
    with pytest.raises(ArgumentError, match="count must be"):
        trainer().sample(0)


def test_optimizers_of_the_wrong_network_are_refused():
    generator, critic = networks()
    with pytest.raises(ArgumentError, match="generator_optimizer holds no parameter"):
        GANTrainer(generator, critic, points(), adam(critic), adam(generator), latent_size=4)
    with pytest.raises(ArgumentError, match=r"must be a torch.optim.Optimizer, not Linear"):
        GANTrainer(generator, critic, points(), nn.Linear(1, 1), adam(critic), latent_size=4)


def test_batches_of_other_data_are_refused():
    data, others = points(), points() + 1
    embeddings = Embeddings.of(TensorDataset(others), nn.Flatten())
    with pytest.raises(ArgumentError, match="another data set, order or normalisation"):
        trainer(data, images=CoresetBatchSampler(embeddings, 32, 2))
    with pytest.raises(ArgumentError, match="300 rows where data has 400"):
        trainer(data, images=CoresetBatchSampler(torch.rand(300, 2), 32, 2))
    with pytest.raises(ArgumentError, match="batches of 16 where batch_size is 32"):
        trainer(data, images=CoresetBatchSampler(data, 16, 2))
    with pytest.raises(ArgumentError, match="images must be a CoresetBatchSampler"):
        trainer(data, images="k-center")
    own = CoresetBatchSampler(Embeddings.of(data, nn.Identity()), 32, 2)
    trainer(data, images=own).fit(1)
