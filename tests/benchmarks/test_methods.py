import pytest
import torch

from benchmarks import methods
from benchmarks.methods import Method
from clcore import Probe
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selectors import registry as selectors

OURS = [
    "balanced-reservoir", "class-balancing-reservoir", "herding", "joint", "k-center", "k-means",
    "k-means-plus-plus", "naive", "random", "reservoir", "ring",
]  # fmt: skip


def test_names_are_files_and_further_selectors():
    assert methods.REGISTRY.names() == OURS
    assert set(methods.names()) == {*OURS, *selectors.names()}


@pytest.mark.parametrize("name", OURS)
def test_every_method_builds_its_memory(name):
    method = methods.find(name)
    assert method.name == method.label == name
    assert method.title
    probe = Probe(torch.nn.Linear(3, 2))
    buffer = method.build_buffer(7, seed=1, probe=probe)
    assert (buffer is not None) == method.has_memory
    if buffer is not None:
        assert buffer.max_size == 7
        buffer.add(torch.rand(20, 3), torch.arange(20) % 2)
        assert len(buffer) == 7


def test_memories_differ_by_seed_only_where_they_draw():
    method = methods.find("reservoir")
    rows = torch.arange(200.0).view(-1, 1)
    held = []
    for seed in (0, 0, 1):
        buffer = method.build_buffer(5, seed=seed)
        buffer.add(rows, torch.zeros(200, dtype=torch.int64))
        held.append(buffer.all().x)
    assert torch.equal(held[0], held[1])
    assert not torch.equal(held[0], held[2])


def test_any_method_with_a_memory_can_classify_by_nearest_mean():
    method = methods.find("K_Center+nem")
    assert method.nearest_mean
    assert method.label == "k-center+nem"


def test_a_selector_without_a_file_is_a_method(monkeypatch):
    monkeypatch.setattr("benchmarks.methods._find.REGISTRY", ())
    method = methods.find("k-center")
    assert method.label == "k-center"
    assert (method.name, method.streaming) == ("k-center", False)
    assert type(method.build_buffer(3, seed=0)).__name__ == "SelectorBuffer"


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown method 'hearding'; did you mean herding"):
        methods.find("hearding")


def test_unknown_options_are_refused():
    with pytest.raises(ArgumentError, match=r"the one there is, is herding\+nem"):
        methods.find("herding+nme")


def test_naive_and_joint_have_no_exemplars_to_classify_by():
    for name in ("naive+nem", "joint+nem"):
        with pytest.raises(ArgumentError, match="keeps no exemplars"):
            methods.find(name)


def test_traits():
    streaming = {name for name in OURS if methods.find(name).streaming}
    assert streaming == {
        "naive", "joint", "reservoir", "balanced-reservoir", "class-balancing-reservoir", "ring",
        "k-means",
    }  # fmt: skip
    assert [name for name in OURS if methods.find(name).joint] == ["joint"]
    assert all(issubclass(methods.REGISTRY.get(name), Method) for name in OURS)
