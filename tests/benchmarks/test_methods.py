from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import methods, suites
from benchmarks.methods import Method
from clcore import Probe
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selectors import registry as selectors
from strategies import FastStream, MemoryPlugin

FILES = Path(methods.__file__).parent.glob("[!_]*.py")
OURS = sorted(path.stem.replace("_", "-") for path in FILES)
MEMORIES = [name for name in OURS if methods.find(name).has_memory]


def test_names_are_files_and_further_selectors():
    assert methods.REGISTRY.names() == OURS
    assert {"auto", "gss", "joint", "naive", "reservoir"} <= set(OURS)
    assert set(methods.names()) == {*OURS, *selectors.names()}


@pytest.mark.parametrize("name", OURS)
def test_every_method_says_what_it_is(name):
    method = methods.find(name)
    assert method.name == method.label == name
    assert method.title.endswith(".")
    for words in (method.helps, method.checked):  # cells of a table
        assert words
        assert not set("|\n") & set(words)
        assert not words.endswith(".")
    assert (method.build_buffer(7, seed=1) is not None) == method.has_memory


@pytest.mark.parametrize("name", MEMORIES)
def test_every_memory_is_filled_by_who_is_learning(name):
    buffer = methods.find(name).build_buffer(7, seed=1)
    assert buffer.max_size == 7
    learner = SimpleNamespace(model=torch.nn.Linear(3, 2))
    buffer.add(torch.rand(20, 3), torch.arange(20) % 2, learner=learner)
    assert 0 < len(buffer) <= 7
    assert len(buffer) == 7 or name == "gss"  # a gradient that points elsewhere may not come


@pytest.mark.parametrize("name", [name for name in MEMORIES if methods.find(name).streaming])
def test_streaming_memories_take_a_probe_where_nobody_hands_a_model(name):
    method = methods.find(name)
    buffer = method.build_buffer(7, seed=1, probe=Probe(torch.nn.Linear(3, 2)))
    for _ in range(4):
        buffer.add(torch.rand(5, 3), torch.arange(5) % 2)
    assert len(buffer) == 7


@pytest.mark.parametrize("name", MEMORIES)
def test_every_memory_has_a_plugin_that_trains_with_it(name):
    method, suite, fast = methods.find(name), suites.find("split-digits"), FastStream()
    buffer = method.build_buffer(7, seed=1)
    plugin = method.build_plugin(buffer, suite, fast)
    assert isinstance(plugin, MemoryPlugin)
    assert plugin.buffer is buffer
    assert plugin.fast is fast


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
        "k-means", "aser", "aser-update", "gss", "gss-cluster", "gss-iqp", "gss-reference",
        "loss-aware-reservoir", "mir", "ocs", "ocs-memory",
    }  # fmt: skip
    retrieval = {name: methods.find(name).retrieval for name in MEMORIES}
    assert {n: rule for n, rule in retrieval.items() if rule != "uniform"} == {
        "aser": "aser", "mir": "mir",
    }  # fmt: skip
    own = {name for name in OURS if type(methods.find(name)).build_plugin != Method.build_plugin}
    assert own == {"gcr", "gdumb", "ocs"}
    assert [name for name in OURS if methods.find(name).joint] == ["joint"]
    assert all(issubclass(methods.REGISTRY.get(name), Method) for name in OURS)
