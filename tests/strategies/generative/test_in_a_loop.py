"""Latents, batches and top-k in one training loop: reproducible, resumable, and free of traces."""

import copy

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset

from strategies.generative import (
    CoresetBatchSampler,
    TopKSchedule,
    mode_counts,
    select_latents,
    top_k_fakes,
)

MODES = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0)) * 2 - 2


def real():
    generator = torch.Generator().manual_seed(0)
    which = torch.randint(9, (600,), generator=generator)
    return MODES[which] + 0.05 * torch.randn(600, 2, generator=generator)


class Loop:
    """A small GAN whose whole state can be saved."""

    def __init__(self, selector="k-center"):
        torch.manual_seed(0)
        self.generator = nn.Sequential(
            nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2)
        )
        self.critic = nn.Sequential(
            spectral_norm(nn.Linear(2, 32)), nn.ReLU(), spectral_norm(nn.Linear(32, 1))
        )
        self.optimizers = [
            torch.optim.Adam(part.parameters(), 1e-3) for part in (self.generator, self.critic)
        ]
        data = TensorDataset(real())
        self.batches = CoresetBatchSampler(real(), 16, 4, selector, data=data)
        self.loader = DataLoader(data, batch_sampler=self.batches)
        self.schedule = TopKSchedule(16, gamma=0.8)
        self.noise = torch.Generator().manual_seed(1)

    def epoch(self, steps=99):
        k, losses = self.schedule.k(self.batches.epoch), []
        for _, (x,) in zip(range(steps), self.loader, strict=False):
            z = select_latents(16, 4, size=4, generator=self.noise)
            fake = self.generator(z)
            loss = functional.relu(1 - self.critic(x)).mean()
            loss = loss + functional.relu(1 + self.critic(fake.detach())).mean()
            self.optimizers[1].zero_grad()
            loss.backward()
            self.optimizers[1].step()
            scores = self.critic(fake)
            loss = -scores[top_k_fakes(scores, k, higher_is_better=True)].mean()
            self.optimizers[0].zero_grad()
            loss.backward()
            self.optimizers[0].step()
            losses.append(float(loss.detach()))
        return losses

    def parts(self):
        return [self.generator, self.critic, *self.optimizers, self.batches]

    def state(self):
        return copy.deepcopy(
            [part.state_dict() for part in self.parts()] + [self.noise.get_state()]
        )

    def load(self, state):
        for part, saved in zip(self.parts(), state[:-1], strict=True):
            part.load_state_dict(saved)
        self.noise.set_state(state[-1])


def test_a_run_is_reproduced_and_resumed_in_the_middle_of_an_epoch():
    whole = Loop()
    losses = [whole.epoch() for _ in range(3)]
    assert [len(part) for part in losses] == [9, 9, 9]
    again = Loop()
    assert again.epoch() == losses[0]
    assert again.epoch(steps=4) == losses[1][:4]
    state = again.state()
    resumed = Loop()
    resumed.load(state)
    assert resumed.epoch() == losses[1][4:]
    assert resumed.epoch() == losses[2]


def test_another_selector_learns_something():
    loop = Loop("kernel-herding")
    before = mode_counts(loop.generator(torch.rand(200, 4) * 2 - 1).detach(), MODES, 0.5)
    for _ in range(20):
        losses = loop.epoch()
    assert all(abs(loss) < 100 for loss in losses)
    after = mode_counts(loop.generator(torch.rand(200, 4) * 2 - 1).detach(), MODES, 0.5)
    assert after.covered > before.covered
