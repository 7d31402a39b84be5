"""The PBCS memory: candidates, shares and bad options."""

import pytest
import torch

from buffers import PBCSBuffer
from clcore import Probe
from clcore.errors import ArgumentError

QUICK = {"rounds": 3, "inner_steps": 3}


def stream(n=300, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (n,), generator=generator)
    return torch.randn(n, 6, generator=generator) + 2 * torch.eye(classes, 6)[y], y


@pytest.mark.parametrize("proxy", ["whole_network", "last_layer"])
def test_tasks_share_the_memory_and_classes_a_task(proxy):
    buffer = PBCSBuffer(24, proxy=proxy, **QUICK)
    for task in range(3):
        x, y = stream(seed=task)
        buffer.add(x, y + 4 * task, task, **({"features": x} if proxy == "last_layer" else {}))
        assert buffer.task_counts() == dict.fromkeys(range(task + 1), 24 // (task + 1))
        assert set(buffer.class_counts().values()) == {24 // (4 * (task + 1))}
    assert bool((buffer.store.weight == 1).all())


def test_no_more_candidates_than_asked_for(monkeypatch):
    asked = []
    method = type(PBCSBuffer(1).selector)
    chosen = method.select

    def spy(self, pool, k, **options):
        asked.append((len(pool), k))
        return chosen(self, pool, k, **options)

    monkeypatch.setattr(method, "select", spy)
    x, y = stream()
    for candidates, size in ((100, 20), (30, 20), (None, 20)):
        buffer = PBCSBuffer(20, proxy="whole_network", candidates=candidates, **QUICK)
        buffer.add(x, y)
        assert len(buffer) == size
    assert 100 <= asked[0][0] <= 104
    assert 40 <= asked[1][0] <= 48
    assert asked[2] == (300, 20)


def test_a_rare_class_is_always_a_candidate():
    x, y = stream(n=400)
    y[:] = 0
    y[[7, 90, 399]] = 1
    buffer = PBCSBuffer(8, proxy="whole_network", candidates=20, **QUICK)
    buffer.add(x, y)
    assert buffer.class_counts() == {0: 5, 1: 3}


def test_options_reach_the_selector():
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4))
    buffer = PBCSBuffer(16, preset="paper", draws=2, probe=Probe(model), **QUICK)
    selector = buffer.selector
    assert (selector.preset, selector.draws, selector.rounds, selector.hidden) == ("paper", 2, 3, 0)
    x, y = stream()
    buffer.add(x, y)
    assert len(buffer) == 16
    assert PBCSBuffer(16).selector.rounds == 150
    assert PBCSBuffer(16, preset="paper").selector.rounds == 2000
    assert PBCSBuffer(16, proxy="whole_network").selector.hidden == 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quota": "class"}, "quota: got 'class'; 'task' or None"),
        ({"proxy": "first_layer"}, "proxy: got 'first_layer'"),
        ({"balanced": 1}, "balanced"),
        ({"candidates": 0}, "candidates"),
        ({"preset": "best"}, "preset"),
        ({"draws": 1}, "draws"),
        ({"proxy": "whole_network", "probe": Probe(torch.nn.Linear(2, 2))}, "takes no probe"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        PBCSBuffer(10, **options)
