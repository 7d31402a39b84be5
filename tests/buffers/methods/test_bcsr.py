"""The BCSR memory: batches first, then the task; shares, weights and bad options."""

import pytest
import torch

from buffers import BCSRBuffer
from buffers.class_shares import class_shares, in_class_order, with_enough
from clcore import Coreset, Pool, Probe
from clcore.errors import ArgumentError


def stream(n=300, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (n,), generator=generator)
    return torch.randn(n, 6, generator=generator) + 2 * torch.eye(classes, 6)[y], y


def test_the_default_needs_nothing_but_samples():
    buffer = BCSRBuffer(20)
    x, y = stream()
    buffer.add(x, y, 0)
    assert buffer.class_counts() == dict.fromkeys(range(4), 5)
    assert buffer.selector.hidden == 100
    assert float(buffer.store.weight.sum()) == pytest.approx(300, rel=1e-4)
    assert torch.equal(buffer.store.x, x[buffer.store.born])
    images = BCSRBuffer(6)
    images.add((x.abs() * 60).to(torch.uint8).view(300, 1, 2, 3), y)
    assert len(images) == 6


def test_a_prefix_is_balanced_when_tasks_share_the_memory():
    buffer = BCSRBuffer(24)
    for task in range(3):
        x, y = stream(seed=task)
        buffer.add(x, y + 4 * task, task)
        assert buffer.task_counts() == dict.fromkeys(range(task + 1), 24 // (task + 1))
        assert set(buffer.class_counts().values()) == {24 // (4 * (task + 1))}
    assert float(buffer.store.weight.sum()) == pytest.approx(900, rel=1e-4)


def test_each_experience_is_chosen_in_batches(monkeypatch):
    buffer = BCSRBuffer(12, batch_size=50, batch_picks=10)
    asked = []
    method = type(buffer.selector)
    chosen = method.select

    def spy(self, pool, k, **options):
        asked.append((len(pool), k))
        return chosen(self, pool, k, **options)

    monkeypatch.setattr(method, "select", spy)
    x, y = stream(n=220)
    buffer.add(x, y)
    assert asked[:5] == [(50, 10)] * 4 + [(20, 4)]
    assert 44 <= asked[5][0] <= 48
    assert asked[5][1] == 12
    asked.clear()
    BCSRBuffer(12, batch_size=None).add(x, y)
    assert asked == [(220, 12)]
    asked.clear()
    large = BCSRBuffer(150)
    large.add(x, y)
    assert asked[0] == (50, 35)
    assert len(large) == 150


def test_a_rare_class_gets_its_share_though_batches_pass_it_over():
    x, y = stream(n=400)
    y[:] = 0
    y[[7, 90, 230, 399]] = 1
    buffer = BCSRBuffer(8)
    buffer.add(x, y)
    assert buffer.class_counts() == {0: 4, 1: 4}
    plain = BCSRBuffer(8, balanced=False, quota=None)
    plain.add(x, y)
    assert len(plain) == 8


def test_wrong_labels_are_kept_out():
    x, y = stream(n=600, seed=3)
    x = x + 2 * torch.eye(4, 6)[y]
    wrong = torch.rand(600, generator=torch.Generator().manual_seed(5)) < 0.3
    buffer = BCSRBuffer(40, learning_rate=0.25)
    buffer.add(x, torch.where(wrong, (y + 1) % 4, y))
    assert float(wrong[buffer.store.born].float().mean()) < 0.15


def test_reference_and_features_of_a_probe():
    x, y = stream()
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4))
    buffer = BCSRBuffer(16, preset="reference", probe=Probe(model))
    buffer.add(x, y)
    assert buffer.selector.hidden == 0
    assert buffer.selector.regulariser == 0
    assert buffer.cost.forward_passes == 300
    assert len(buffer) == 16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quota": "class"}, "quota: got 'class'; 'task' or None"),
        ({"proxy": "first_layer"}, "proxy: got 'first_layer'"),
        ({"balanced": 1}, "balanced"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_picks": 60}, "batch_picks: got 60; no more than batch_size, 50"),
        ({"preset": "best"}, "preset"),
        ({"pick": "first"}, "pick"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"proxy": "whole_network", "probe": Probe(torch.nn.Linear(2, 2))}, "takes no probe"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        BCSRBuffer(10, **options)


def test_class_shares():
    labels = torch.tensor([0, 0, 0, 0, 3, 3, 5])
    assert class_shares(labels, 5) == {0: 2, 3: 2, 5: 1}
    assert class_shares(labels, 99) == {0: 4, 3: 2, 5: 1}
    rows = with_enough(
        torch.tensor([0, 4]), torch.tensor([3, 6, 2, 5, 1]), labels, {0: 2, 3: 1, 5: 1}
    )
    assert rows.tolist() == [0, 4, 3, 6]
    coreset = Coreset.of([1, 0, 2, 5, 6], weights=[1.0, 2.0, 3.0, 4.0, 5.0])
    ordered = in_class_order(coreset, labels)
    assert ordered.indices.tolist() == [1, 5, 6, 0, 2]
    assert ordered.weights.tolist() == [1.0, 4.0, 5.0, 2.0, 3.0]


def test_all_rows_stay_in_class_order():
    pool = Pool(features=torch.randn(4, 2), labels=[1, 1, 1, 0], weights=[1.0, 2.0, 3.0, 4.0])
    coreset = BCSRBuffer(4).choose(pool, 4)
    assert pool.labels[coreset.indices].tolist() == [1, 0, 1, 1]
    assert coreset.weights.tolist() == pool.weights[coreset.indices].tolist()
