"""Measures against values by hand."""

import math

import pytest
import torch

from benchmarks.generative.extractor import Extractor
from benchmarks.generative.measures import (
    ImageMeter,
    ModeMeter,
    divergence_from_even,
    frechet,
    kernel,
)
from benchmarks.generative.shared import Made
from strategies.generative import frechet_distance, precision_recall


def test_modes_by_hand():
    modes = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    # Good within 0.4: three at the first mode, one at the second; one is nearest to the third, but
    # 0.5 away.
    samples = torch.tensor([[0.0, 0.0], [0.3, 0.0], [0.0, 0.39], [2.0, 0.1], [0.5, 2.0]])
    found = ModeMeter(modes, 0.1).measure(samples)
    assert found["recovered_modes"] == 0.5
    assert found["high_quality"] == pytest.approx(0.8)
    by_hand = 0.75 * math.log(4 * 0.75) + 0.25 * math.log(4 * 0.25)
    assert found["kl"] == pytest.approx(by_hand)


def test_no_good_sample_is_the_worst():
    found = ModeMeter(torch.zeros(1, 2).repeat(9, 1), 0.01).measure(torch.full((7, 2), 5.0))
    assert found == {"recovered_modes": 0.0, "high_quality": 0.0, "kl": math.log(9)}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5, 5], 0.0), ([9, 0, 0], math.log(3)), ([0, 0], math.log(2))],
)
def test_divergence(counts, expected):
    assert divergence_from_even(torch.tensor(counts)) == pytest.approx(expected, abs=1e-12)


def features(rows, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 5, generator=generator) + shift


def test_frechet_is_that_of_the_definition():
    one, two = features(400, 0), features(300, 1, shift=0.5) * 1.3
    assert frechet(one, two) == pytest.approx(frechet_distance(one, two), rel=1e-6)
    assert frechet(one, one) == pytest.approx(0.0, abs=1e-6)


def test_kernel_distance_is_that_of_the_definition():
    real, generated = features(60, 0), features(40, 1, shift=1.0)

    def by_loops(x, y):
        def of(a, b):
            return float((a.double() @ b.double() / 5 + 1) ** 3)

        def mean(pairs):
            values = [of(a, b) for a, b in pairs]
            return sum(values) / len(values)

        apart = [(a, b) for a in x for b in y]
        own = [[(r[i], r[j]) for i in range(len(r)) for j in range(len(r)) if i != j]
               for r in (x, y)]  # fmt: skip
        return mean(own[0]) + mean(own[1]) - 2 * mean(apart)

    # Means over subsets of half the samples estimate what all pairs give.
    whole = by_loops(real, generated)
    assert kernel(real, generated) == pytest.approx(whole, rel=0.15)
    assert kernel(real, features(60, 3)) < whole / 5


def test_kernel_distance_repeats_and_leaves_randomness_alone():
    real, generated = features(60, 0), features(40, 1, shift=1.0)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert kernel(real, generated) == kernel(real, generated)
    assert torch.equal(torch.get_rng_state(), before)


def test_images_are_brought_to_the_range_of_the_extractor():
    seen = []

    class Watching(torch.nn.Module):
        def forward(self, x):
            seen.append(x)
            return x.flatten(1)

    extractor = Extractor("classifier", Watching(), "cpu", Made())
    references = torch.rand(50, 4, generator=torch.Generator().manual_seed(0))
    meter = ImageMeter(extractor, references, low=-1.0)
    made = torch.rand(30, 1, 2, 2, generator=torch.Generator().manual_seed(1)) * 2.2 - 1.1
    found = meter.measure(made)
    (pixels,) = seen
    assert torch.allclose(pixels, ((made + 1) / 2).clamp(0, 1))
    vectors = pixels.flatten(1)
    shares = precision_recall(references[:30], vectors)
    assert (found["precision"], found["recall"]) == (shares.precision, shares.recall)
    assert found["frechet_distance"] == pytest.approx(frechet_distance(references, vectors))


def test_bytes_and_floats_give_the_same_features():
    extractor = Extractor("classifier", torch.nn.Flatten(), "cpu", Made())
    images = torch.arange(12, dtype=torch.uint8).reshape(3, 1, 2, 2) * 20
    assert torch.equal(extractor.features(images), extractor.features(images.float() / 255))
