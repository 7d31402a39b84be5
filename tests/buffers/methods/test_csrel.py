"""CSReL memory: classes choose together, tasks on their own."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import clcore
from buffers import CSReLBuffer
from clcore import Pool, Probe
from clcore.errors import ArgumentError


def rows_of(n, classes, seed=0, first=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    return torch.randn(n, 5, generator=generator) + 2 * y[:, None].sin(), y + first


def held(buffer):
    """Rows of the stream that are held, each class in rank order."""
    store = buffer.store
    order = store.extra["rank"][: len(store)].argsort(stable=True)
    return {c: store.born[order[store.y[order] == c]].tolist() for c in buffer.class_counts()}


def test_classes_choose_together_under_their_shares():
    x, y = rows_of(60, 3)
    buffer = CSReLBuffer(14)
    buffer.add(x, y)
    quotas = {0: 5, 1: 5, 2: 4}
    picks = clcore.select("csrel", Pool(features=x, labels=y), 14, quotas=quotas).indices
    assert held(buffer) == {c: picks[y[picks] == c].tolist() for c in range(3)}


def test_old_classes_keep_their_first_ones_and_a_single_new_one_is_told_apart_from_them():
    x, y = rows_of(60, 3)
    buffer = CSReLBuffer(12)
    buffer.add(x, y)
    before = held(buffer)
    more, labels = rows_of(40, 1, seed=1, first=3)
    buffer.add(more, labels)
    after = held(buffer)
    old = [row for c in range(3) for row in before[c][:3]]
    assert sorted(row for c in range(3) for row in after[c]) == sorted(old)
    pool = Pool(features=torch.cat((x[old], more)), labels=torch.cat((y[old], labels)))
    picks = clcore.select("csrel", pool, 3, given=range(9)).indices
    assert after[3] == (picks - 9 + 60).tolist()


def test_several_new_classes_are_told_apart_from_each_other_only():
    x, y = rows_of(60, 2)
    buffer = CSReLBuffer(12)
    buffer.add(x, y)
    more, labels = rows_of(40, 2, seed=1, first=2)
    buffer.add(more, labels)
    picks = clcore.select("csrel", Pool(features=more, labels=labels), 6, quotas={2: 3, 3: 3})
    picks = picks.indices
    assert {c: held(buffer)[c] for c in (2, 3)} == {
        c: (picks[labels[picks] == c] + 60).tolist() for c in (2, 3)
    }


def test_classes_that_come_again_choose_from_exemplars_and_news():
    x, y = rows_of(90, 3)
    buffer = CSReLBuffer(12, reselect="all")
    buffer.add(x[:60], y[:60])
    before = held(buffer)
    buffer.add(x[60:], y[60:])
    rows = torch.tensor([row for c in range(3) for row in before[c]] + list(range(60, 90)))
    pool = Pool(features=x[rows], labels=y[rows])
    picks = rows[clcore.select("csrel", pool, 12, quotas=dict.fromkeys(range(3), 4)).indices]
    assert held(buffer) == {c: picks[y[picks] == c].tolist() for c in range(3)}


def test_tasks_choose_on_their_own():
    x, y = rows_of(60, 3)
    buffer = CSReLBuffer(12, quota="task")
    buffer.add(x, y, 0)
    buffer.add(x + 1, y, 1)
    assert buffer.task_counts() == {0: 6, 1: 6}
    picks = clcore.select("csrel", Pool(features=x, labels=y), 12).indices
    store = buffer.store
    assert set(store.born[store.task == 0].tolist()) == set(picks[:6].tolist())


def test_more_classes_than_slots():
    x, y = rows_of(60, 6)
    buffer = CSReLBuffer(4)
    buffer.add(x, y)
    assert buffer.class_counts() == dict.fromkeys(range(4), 1)
    buffer.add(x, y + 6)
    assert len(buffer) == 4


def test_features_of_the_strategys_model():
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 3))
    x, y = rows_of(60, 3)
    state = torch.get_rng_state()
    buffer = CSReLBuffer(12, features="model")
    buffer.add(x, y, learner=SimpleNamespace(model=model))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert buffer.cost.forward_passes == 60
    with torch.no_grad():
        features = model[1](model[0](x))
    quotas = dict.fromkeys(range(3), 4)
    picks = clcore.select("csrel", Pool(features=features, labels=y), 12, quotas=quotas).indices
    assert held(buffer) == {c: picks[y[picks] == c].tolist() for c in range(3)}


def test_wrong_options():
    with pytest.raises(ArgumentError, match="rounds must be"):
        CSReLBuffer(5, rounds=0)
    with pytest.raises(ArgumentError, match="decay must be"):
        CSReLBuffer(5, decay=0)
    with pytest.raises(ArgumentError, match="features: got 'logits'; 'input' or 'model'"):
        CSReLBuffer(5, features="logits")
    with pytest.raises(ArgumentError, match="probe, features: give one of them"):
        CSReLBuffer(5, features="input", probe=Probe(nn.Linear(2, 2)))
    assert CSReLBuffer(5, probe=Probe(nn.Linear(2, 2))).source.features is None
    with pytest.raises(ArgumentError, match="quota: got 'label'"):
        CSReLBuffer(5, quota="label")
