"""Embeddings: what is computed, what is kept, what is refused; checksum and projection."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from clcore import ArgumentError, FormatError, Probe, SignalError
from strategies.generative import Embeddings, checksum_of, random_projection


def images(n=40, seed=0):
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


class Items(Dataset):
    """A data set of (x, y) items with an optional random transform."""

    def __init__(self, x, noise=0.0):
        self.x, self.noise = x, noise

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return self.x[row] + self.noise * torch.randn(()), row % 2


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2)
    )


def test_a_module_is_run_in_evaluation_mode_and_left_as_it_was():
    model = network().train()
    model[1].weight.grad = torch.ones_like(model[1].weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = torch.get_rng_state()
    found = Embeddings.of(Items(images()), model, batch_size=7)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert model[2].training
    assert torch.equal(model[1].weight.grad, torch.ones_like(model[1].weight))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        assert torch.allclose(found.values, model.eval()(images()), atol=1e-6)
    assert not found.values.requires_grad


def test_a_probe_a_function_and_a_projection():
    model = network().eval()
    by_probe = Embeddings.of(images(), Probe(model))
    with torch.no_grad():
        assert torch.allclose(by_probe.values, model[:4](images()), atol=1e-6)
    plain = Embeddings.of(images(), lambda x: x.flatten(1))
    assert torch.equal(plain.values, images().flatten(1))
    small = Embeddings.of(images(), lambda x: x.flatten(1), projection=5, seed=2, batch_size=9)
    assert torch.allclose(small.values, random_projection(plain.values, 5, seed=2), atol=1e-6)


def test_a_file_is_written_once_and_read_after(tmp_path):
    calls = []

    def flatten(x):
        calls.append(len(x))
        return x.flatten(1)

    file = tmp_path / "deep" / "embeddings.safetensors"
    first = Embeddings.of(images(), flatten, file=file)
    again = Embeddings.of(images(), flatten, file=file)
    assert calls == [40]
    assert torch.equal(first.values, again.values)
    assert [path.name for path in file.parent.iterdir()] == ["embeddings.safetensors"]
    loaded = Embeddings.load(file, Items(images()))
    assert (loaded.checksum, loaded.extractor) == (first.checksum, "flatten")
    with pytest.raises(ArgumentError, match="'flatten' where this call asks for"):
        Embeddings.of(images(), flatten, file=file, projection=3)


def test_embeddings_of_a_network_trained_further_are_refused(tmp_path):
    file, model = tmp_path / "e.safetensors", network()
    Embeddings.of(images(), model, file=file)
    Embeddings.of(images(), model, file=file)
    with pytest.raises(ArgumentError, match=r"features of Sequential with parameters \w+ at 1'"):
        Embeddings.of(images(), Probe(model, feature_layer=model[1]), file=file)
    with torch.no_grad():
        model[1].bias += 1
    with pytest.raises(ArgumentError, match="write to another file, or delete that one"):
        Embeddings.of(images(), model, file=file)


def test_embeddings_of_other_data_are_refused(tmp_path):
    file = tmp_path / "e.safetensors"
    found = Embeddings.of(images(), nn.Flatten(), file=file)
    found.require(TensorDataset(images(), torch.arange(40)))
    with pytest.raises(ArgumentError, match="of 40 rows where the data has 39"):
        Embeddings.load(file, images()[:39])
    for other in (images(seed=1), images().flip(0), images() * 2, images().double()):
        with pytest.raises(ArgumentError, match="of another data set, order or normalisation"):
            found.require(other)
    with pytest.raises(ArgumentError, match="another data set"):
        Embeddings.of(images(seed=1), nn.Flatten(), file=file)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(FormatError, match="does not exist"):
        Embeddings.load(tmp_path / "none")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(FormatError, match="damaged"):
        Embeddings.load(tmp_path / "text")
    save_file({"embeddings": torch.ones(2, 2)}, tmp_path / "foreign")
    with pytest.raises(FormatError, match="holds no embeddings"):
        Embeddings.load(tmp_path / "foreign")
    save_file(
        {"embeddings": torch.ones(2, 2)}, tmp_path / "later", {"clcore embeddings": '{"schema": 9}'}
    )
    with pytest.raises(FormatError, match="schema 9"):
        Embeddings.load(tmp_path / "later")
    whole = tmp_path / "whole"
    Embeddings.of(images(), nn.Flatten(), file=whole)
    whole.write_bytes(whole.read_bytes()[:-50])
    with pytest.raises(FormatError, match="damaged"):
        Embeddings.load(whole)


def test_bad_extractors_and_data():
    with pytest.raises(ArgumentError, match="returns 2 outputs where one tensor is due"):
        Embeddings.of(images(), lambda x: (x, x))
    with pytest.raises(ArgumentError, match=r"must return \[40, d\] for 40 samples"):
        Embeddings.of(images(), lambda x: x.sum())
    with pytest.raises(ArgumentError, match="extractor must be a module"):
        Embeddings.of(images(), 3)
    with pytest.raises(ArgumentError, match="no rows"):
        Embeddings.of(images()[:0], nn.Flatten())
    x = images()
    x[33] = torch.inf
    with pytest.raises(SignalError, match="'embeddings' holds infinity, first in row 33"):
        Embeddings.of(x, nn.Flatten(), batch_size=16)


def test_the_checksum():
    x = images()
    assert checksum_of(x) == checksum_of(Items(x)) == checksum_of(TensorDataset(x))
    assert checksum_of(x) != checksum_of(x.reshape(40, 4, 4, 1))
    before = torch.get_rng_state()
    assert checksum_of(Items(x, noise=1.0)) == checksum_of(Items(x, noise=1.0)) != checksum_of(x)
    assert torch.equal(torch.get_rng_state(), before)
    many = torch.arange(5000).reshape(-1, 1)
    changed = many.clone()
    changed[0] = 7
    assert checksum_of(many) != checksum_of(changed)
    assert len(checksum_of(x[:0])) == 32
    assert checksum_of(x.bfloat16()) != checksum_of(x)
    with pytest.raises(ArgumentError, match="must be tensors, not int"):
        checksum_of([1, 2])


def test_the_projection_keeps_distances_on_average():
    x = torch.randn(300, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratio = torch.pdist(random_projection(x, 32)).square() / torch.pdist(x).square()
    assert float(ratio.mean()) == pytest.approx(1, abs=0.05)
    assert float(ratio.std()) == pytest.approx((2 / 32) ** 0.5, abs=0.05)
    one, two = random_projection(x, 4, seed=1), random_projection(x, 4, seed=2)
    assert torch.equal(one, random_projection(x, 4, seed=1))
    assert not torch.equal(one, two)
    with pytest.raises(ArgumentError, match="size must be a whole number"):
        random_projection(x, 0)
    with pytest.raises(ArgumentError, match="vectors must be floating-point"):
        random_projection(torch.ones(3, 2, dtype=torch.int64))
