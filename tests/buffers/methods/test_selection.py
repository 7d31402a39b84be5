"""Memories that choose again: quotas, ranks, weights, and where their signals come from."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import nn

import clcore
from buffers import HerdingBuffer, SelectorBuffer
from clcore import Coreset, Pool, Probe
from clcore.errors import ArgumentError, FormatError, UnknownNameError


@dataclass(frozen=True)
class Longest(clcore.Selector):
    """Rows with the longest features first; each stands for an even part of the weight."""

    name = "longest"
    greedy: ClassVar[bool] = True
    weighted: ClassVar[bool] = True

    def _select(self, pool, k, *, given, allowance, generator):
        order = pool.signal("features").norm(dim=1).argsort(descending=True)
        total = len(pool) if pool.weights is None else float(pool.weights.sum())
        return Coreset.of(allowance.first(order, k), weights=torch.full((k,), total / k))


def feats(n, seed=0, d=6):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def held(buffer):
    """Rows of the stream that are held, each class in rank order."""
    store = buffer.store
    order = store.extra["rank"][: len(store)].argsort(stable=True)
    classes = sorted(buffer.class_counts())
    return {c: store.born[order[store.y[order] == c]].tolist() for c in classes}


# -- herding -----------------------------------------------------------------------------------


def test_herding_keeps_the_prefix_of_the_selector():
    features, y = feats(200), torch.arange(200) % 2
    buffer = HerdingBuffer(30)
    buffer.add(features, y, features=features)
    for label in (0, 1):
        rows = torch.nonzero(y == label).view(-1)
        picks = clcore.select("herding", Pool(features=features[rows]), 15).indices
        assert held(buffer)[label] == rows[picks].tolist()


def test_old_classes_are_cut_to_their_prefix():
    buffer = HerdingBuffer(30)
    buffer.add(feats(100), torch.arange(100) % 2, features=feats(100))
    before = held(buffer)
    calls = []
    select = type(buffer.selector).select
    buffer.selector = SimpleNamespace(
        signals=("features",),
        weighted=False,
        greedy=True,
        select=lambda pool, k, **more: (
            calls.append(len(pool)) or select(HerdingBuffer(1).selector, pool, k, **more)
        ),
    )
    buffer.add(feats(100, 1), torch.arange(100) % 2 + 2, features=feats(100, 1))
    after = held(buffer)
    assert {c: len(rows) for c, rows in after.items()} == {0: 8, 1: 8, 2: 7, 3: 7}
    assert after[0] == before[0][:8]
    assert after[1] == before[1][:8]
    assert calls == [50, 50], "only the new classes choose"
    buffer.resize(None, 12)
    assert held(buffer) == {c: rows[:3] for c, rows in after.items()}


def test_a_class_that_comes_again_is_herded_with_its_exemplars():
    features = feats(60)
    buffer = HerdingBuffer(10)
    buffer.add(features[:40], torch.zeros(40, dtype=torch.int64), features=features[:40])
    exemplars = torch.tensor(held(buffer)[0])
    buffer.add(features[40:], torch.zeros(20, dtype=torch.int64), features=features[40:])
    candidates = torch.cat((exemplars, torch.arange(40, 60)))
    picks = clcore.select("herding", Pool(features=features[candidates]), 10).indices
    assert held(buffer)[0] == candidates[picks].tolist()


def test_herding_all_again_orders_old_classes_anew():
    first, again = HerdingBuffer(20), HerdingBuffer(20, reselect="all")
    for buffer in (first, again):
        buffer.add(feats(100), torch.zeros(100, dtype=torch.int64), features=feats(100))
        exemplars = torch.tensor(held(buffer)[0])
        buffer.add(feats(50, 1), torch.ones(50, dtype=torch.int64), features=feats(50, 1))
    assert held(first)[0] == exemplars[:10].tolist()
    picks = clcore.select("herding", Pool(features=feats(100)[exemplars]), 10).indices
    assert held(again)[0] == exemplars[picks].tolist()
    assert held(first)[1] == held(again)[1]


# -- quotas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("selector", ["random", "k-center", "k-means", "k-means-plus-plus"])
def test_what_a_class_cannot_fill_goes_to_the_others(selector):
    buffer = SelectorBuffer(selector, 30)
    y = torch.tensor([0] * 3 + [1] * 50 + [2] * 50)
    buffer.add(feats(103), y, features=feats(103))
    assert buffer.class_counts() == {0: 3, 1: 14, 2: 13}
    buffer.add(feats(40, 1), torch.full((40,), 3), features=feats(40, 1))
    assert buffer.class_counts() == {0: 3, 1: 9, 2: 9, 3: 9}


def test_quota_per_task():
    buffer = SelectorBuffer("k-center", 12, quota="task")
    for task, n in enumerate((50, 2, 50)):
        buffer.add(feats(n, task), torch.arange(n) % 5, task, features=feats(n, task))
    assert buffer.task_counts() == {0: 5, 1: 2, 2: 5}


@pytest.mark.parametrize("selector", ["random", "herding"])
def test_quota_per_class_and_task_keeps_early_tasks(selector):
    by_class = SelectorBuffer(selector, 30, quota="class")
    by_both = SelectorBuffer(selector, 30, quota="class-and-task")
    for task in range(5):
        x, y = feats(300, task), torch.arange(300) % 3
        by_class.add(x, y, task, features=x)
        by_both.add(x, y, task, features=x)
    assert by_both.task_counts() == dict.fromkeys(range(5), 6)
    assert by_both.class_counts() == by_class.class_counts() == dict.fromkeys(range(3), 10)
    # Chosen anew among ten exemplars and a hundred new rows of a class, hardly an old one stays.
    assert sum(n for task, n in by_class.task_counts().items() if task < 4) < 24


def test_disjoint_classes_make_both_quotas_one():
    held = []
    for quota in ("class", "class-and-task"):
        buffer = SelectorBuffer("k-center", 12, quota=quota)
        for task in range(3):
            x = feats(50, task)
            buffer.add(x, torch.arange(50) % 2 + 2 * task, task, features=x)
        held.append(buffer.all())
    assert torch.equal(held[0].x, held[1].x)
    assert torch.equal(held[0].y, held[1].y)


def test_without_quota_the_selector_decides():
    features = torch.cat((feats(50) / 10, feats(50, 1) * 10))
    buffer = SelectorBuffer(Longest(), 20, quota=None)
    buffer.add(features, torch.arange(100) // 50, features=features)
    assert buffer.class_counts() == {1: 20}
    best = features.norm(dim=1).argsort(descending=True)[:20]
    assert held(buffer) == {1: best.tolist()}


def test_the_best_of_a_long_stream_stay():
    features = feats(300)
    buffer = SelectorBuffer(Longest(), 20, quota=None)
    for rows in torch.arange(300).split(37):
        buffer.add(features[rows], rows % 3, features=features[rows])
    best = features.norm(dim=1).argsort(descending=True)[:20]
    assert set(buffer.store.born.tolist()) == set(best.tolist())


# -- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reselect", ["new", "all"])
def test_weights_of_a_class_sum_to_its_rows_seen(reselect):
    buffer = SelectorBuffer(Longest(), 20, reselect=reselect)
    for start in (0, 100, 200):
        y = torch.arange(100) % 2 + start // 100
        buffer.add(feats(100, start), y, features=feats(100, start))
    buffer.resize(None, 9)
    store = buffer.store
    sums = {c: float(store.weight[: len(store)][store.y == c].sum()) for c in range(4)}
    assert sums == pytest.approx({0: 50, 1: 100, 2: 100, 3: 50})
    assert torch.equal(buffer.sample(9).weight.sort().values, store.weight[:9].sort().values)


def test_weights_given_with_the_rows_are_kept_where_the_selector_defines_none():
    buffer = SelectorBuffer("k-center", 10)
    weight = torch.rand(50) + 0.5
    buffer.add(feats(50), torch.arange(50) % 2, features=feats(50), weight=weight)
    assert torch.equal(buffer.store.weight[:10], weight[buffer.store.born])


# -- signals -----------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
        self.head = nn.Linear(5, 3)
        self.rows = 0

    def forward(self, x):
        self.rows += len(x)
        return self.head(self.body(x))


def test_features_from_a_probe_are_those_of_the_model_now():
    model = Net()
    model.train()
    x, y = feats(100), torch.arange(100) % 2
    buffer = SelectorBuffer("herding", 20, probe=Probe(model))
    torch.manual_seed(3)
    before = [t.clone() for t in model.state_dict().values()]
    random_state = torch.get_rng_state()
    buffer.add(x, y)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(map(torch.equal, before, model.state_dict().values()))
    exemplars = held(buffer)
    assert "features" not in buffer.store.extra
    with torch.no_grad():
        model.body[0].weight.mul_(torch.randn(5, 1))
    seen = model.rows
    more = feats(30, 9)
    buffer.add(more, torch.full((30,), 2))
    assert model.rows - seen == 50, "30 new rows and, since all choose again, 20 exemplars"
    assert buffer.cost.forward_passes == model.rows == 150
    assert buffer.cost.seconds > 0
    for label in (0, 1):
        rows = torch.tensor(exemplars[label])
        features = Probe(model).features(x[rows])
        picks = clcore.select("herding", Pool(features=features), 7).indices
        assert held(buffer)[label] == rows[picks].tolist()[: len(held(buffer)[label])]


def test_only_what_has_to_choose_is_probed():
    model = Net()
    buffer = HerdingBuffer(20, probe=Probe(model))
    buffer.add(feats(100), torch.arange(100) % 2)
    buffer.add(feats(30, 9), torch.full((30,), 2))
    assert model.rows == 130


def test_features_of_the_samples_themselves():
    x = torch.randint(0, 256, (50, 1, 3, 3), dtype=torch.uint8)
    y = torch.zeros(50, dtype=torch.int64)
    ours, given = HerdingBuffer(9, features="input"), HerdingBuffer(9)
    ours.add(x, y)
    given.add(x, y, features=x.flatten(1).float() / 255)
    assert held(ours) == held(given)
    with pytest.raises(ArgumentError, match="token numbers"):
        HerdingBuffer(9, features="input").add(torch.arange(50).view(25, 2), y[:25])


def test_uint8_samples_need_a_transform_for_the_model():
    x = torch.randint(0, 256, (50, 6), dtype=torch.uint8)
    y = torch.zeros(50, dtype=torch.int64)
    with pytest.raises(ArgumentError, match=r"Probe\(model, transform"):
        HerdingBuffer(9, probe=Probe(Net())).add(x, y)
    given = HerdingBuffer(9, probe=Probe(Net(), transform=lambda rows: rows / 255))
    own = HerdingBuffer(9, probe=Probe(Net()), transform=lambda rows: rows / 255)
    for buffer in (given, own):
        buffer.add(x, y)
        buffer.add(x.flip(0), y)
    assert held(given) == held(own)


def test_a_column_given_goes_before_the_probe():
    model = Net()
    buffer = HerdingBuffer(9, probe=Probe(model))
    buffer.add(feats(50), torch.zeros(50, dtype=torch.int64), features=feats(50))
    assert model.rows == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quota": "domain"}, "quota: got 'domain'"),
        ({"reselect": "old"}, "reselect: got 'old'"),
        ({"features": "pixels"}, "features: got 'pixels'"),
        ({"probe": "model"}, "probe: got str"),
        ({"probe": Probe(Net()), "features": "input"}, "give one of them"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        HerdingBuffer(10, **options)


def test_wrong_selectors():
    with pytest.raises(UnknownNameError, match="k-center"):
        SelectorBuffer("k-centre", 10)
    with pytest.raises(ArgumentError, match="selector: got 3"):
        SelectorBuffer(3, 10)


def test_a_selector_that_may_stop_early_is_refused():
    stopping = clcore.selectors.create("greedy", stop=clcore.Stop(coverage=0.5))
    with pytest.raises(ArgumentError, match="may stop before the budget is used"):
        SelectorBuffer(stopping, 10)


def test_a_selector_that_fails_leaves_the_memory_as_it_was():
    buffer = HerdingBuffer(10)
    buffer.add(feats(50), torch.arange(50) % 2, features=feats(50))
    before = buffer.state_dict()["tensors"]
    buffer.selector = SimpleNamespace(
        signals=("features",), weighted=False, greedy=True, select=lambda *a, **k: 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        buffer.add(feats(50, 1), torch.arange(50) % 3, features=feats(50, 1))
    after = buffer.state_dict()["tensors"]
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_state_with_other_quotas_is_refused():
    state = HerdingBuffer(10).state_dict()
    with pytest.raises(FormatError, match="quota='class', this one quota=None"):
        HerdingBuffer(10, quota=None).load_state_dict(state)
