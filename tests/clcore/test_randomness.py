"""Draws come from the generator and have the right distribution."""

import pytest
import torch

from clcore.randomness import categorical, permutation, seed_from, uniform


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_draws_repeat_and_leave_the_global_state():
    state = torch.get_rng_state()
    mass = torch.rand(9, generator=generator(5))
    for draw in (
        lambda g: permutation(9, g, torch.device("cpu")).tolist(),
        uniform,
        seed_from,
        lambda g: categorical(mass, g),
    ):
        assert draw(generator(1)) == draw(generator(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_categorical_has_the_right_distribution():
    mass = torch.tensor([0.0, 1.0, 0.0, 2.0, 5.0, 0.0])
    g = generator()
    counts = torch.zeros(6)
    for _ in range(4000):
        counts[categorical(mass, g)] += 1
    assert counts[[0, 2, 5]].tolist() == [0, 0, 0]
    assert torch.allclose(counts / 4000, mass / 8, atol=0.03)


def test_categorical_never_runs_off_the_end(monkeypatch):
    monkeypatch.setattr("clcore.randomness.uniform", lambda _: 1.0)
    assert categorical(torch.tensor([1.0, 3.0, 0.0]), generator()) == 1


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_categorical_skips_rows_without_mass(monkeypatch, value):
    monkeypatch.setattr("clcore.randomness.uniform", lambda _: value)
    assert categorical(torch.tensor([0.0, 1.0, 0.0, 1.0]), generator()) == (3 if value else 1)
