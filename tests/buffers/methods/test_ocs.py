import copy
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from buffers import Incoming, OCSBuffer
from buffers.ocs import best
from buffers.ocs_scores import coreset_affinity, minibatch_similarity, ocs_scores, sample_diversity
from buffers.stream import Rows
from buffers.transforms import BatchTransform
from clcore import Probe
from clcore.errors import ArgumentError, SignalError


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 4)
    )


def gradients_by_hand(model, x, y):
    """One float64 pass for each sample."""
    slow = copy.deepcopy(model).double().eval()
    rows = []
    for sample, label in zip(x.double(), y, strict=True):
        loss = functional.cross_entropy(slow(sample[None]), label[None])
        parts = torch.autograd.grad(loss, list(slow.parameters()))
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


def scores_by_hand(own, coreset, tau):
    """The formula, row by row."""
    cosine = functional.cosine_similarity
    answer = []
    for b in range(len(own)):
        score = cosine(own[b], own.mean(dim=0), dim=0)
        others = [cosine(own[b], own[p], dim=0) for p in range(len(own)) if p != b]
        if others:
            score = score - sum(others) / len(others)
        if len(coreset):
            score = score + tau * cosine(own[b], coreset.mean(dim=0), dim=0)
        answer.append(score)
    return torch.stack(answer)


def batch(n, seed, classes=4):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, 5, generator=generator),
        torch.randint(0, classes, (n,), generator=generator),
    )


def add(buffer, n, task, seed, **more):
    x, y = batch(n, seed)
    return buffer.add(x, y, task, **more)


# -- scores ------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 9])
@pytest.mark.parametrize("s", [0, 1, 6])
def test_scores_are_those_of_gradients_taken_one_by_one(m, s):
    model = network()
    buffer = OCSBuffer(20, tau=3.0, probe=Probe(model))
    old_x, old_y = batch(8, 1)
    buffer.add(old_x, old_y, 0)
    x, y = batch(m, 2)
    coreset = torch.tensor([5, 0, 3, 2, 7, 1])[:s]
    incoming = Incoming(x, y, torch.ones_like(y), {})
    found = buffer.scores(incoming, torch.arange(m), coreset)
    held = buffer.read(coreset) if s else None
    theirs = gradients_by_hand(model, held.x, held.y) if s else []
    wanted = scores_by_hand(gradients_by_hand(model, x, y), theirs, 3.0)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("s", [100, 101, 130])  # from 101 on only the mean gradient is taken
def test_scores_with_a_large_coreset(s):
    model = network()
    buffer = OCSBuffer(200, tau=3.0, affinity="memory", probe=Probe(model))
    buffer.add(*batch(150, 1), 0)
    x, y = batch(6, 2)
    coreset = torch.randperm(150, generator=torch.Generator().manual_seed(3))[:s]
    found = buffer.scores(Incoming(x, y, torch.ones_like(y), {}), torch.arange(6), coreset)
    held = buffer.read(coreset)
    theirs = gradients_by_hand(model, held.x, held.y)
    wanted = scores_by_hand(gradients_by_hand(model, x, y), theirs, 3.0)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(1, 8), st.integers(0, 5), st.integers(0, 10_000))
def test_permuting_the_batch_permutes_the_scores(m, s, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(s + m, 6, generator=generator, dtype=torch.float64)
    order = torch.cat((torch.randperm(s, generator=generator), s + torch.randperm(m)))
    moved = rows[order]
    one, two = ocs_scores(rows @ rows.T, s, 10.0), ocs_scores(moved @ moved.T, s, 10.0)
    torch.testing.assert_close(two, one[order[s:] - s])
    torch.testing.assert_close(one, scores_by_hand(rows[s:], rows[:s], 10.0))


def test_gradients_of_all_zeros_have_cosine_zero():
    rows = torch.tensor([[0.0, 0], [1, 0], [0, 0], [0, 2]])
    products = rows @ rows.T
    assert coreset_affinity(products, 1).tolist() == [0, 0, 0]
    torch.testing.assert_close(
        minibatch_similarity(products), torch.tensor([0, 0.4472, 0, 0.8944]), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(minibatch_similarity(products[:2, :2]), torch.tensor([0.0, 1]))
    assert sample_diversity(products).tolist() == [0, 0, 0, 0]
    zeros = torch.zeros(3, 3)
    assert ocs_scores(zeros, 1, 1000.0).tolist() == [0, 0]
    opposite = torch.tensor([[1.0, 0], [-1, 0]])
    assert minibatch_similarity(opposite @ opposite.T).tolist() == [0, 0]


def test_the_best_of_equal_scores_are_the_first():
    assert best(torch.tensor([1.0, 3, 3, 2, 3]), 4).tolist() == [1, 2, 4, 3]
    assert best(torch.tensor([1.0, 3]), 4).tolist() == [1, 0]


# -- memory ------------------------------------------------------------------------------------


def expected_memory(rows, capacity):
    """Candidates' shares by handing out slots one at a time, the rest to fillers alike."""
    kept = []
    for candidate in (True, False):
        queues = {}
        for row in sorted(rows, key=lambda row: -row["score"]):
            if row["candidate"] == candidate:
                queues.setdefault(row["task"], []).append(row["number"])
        while len(kept) < capacity and any(queues.values()):
            tasks = {row["number"]: row["task"] for row in rows}
            sizes = {
                task: sum(tasks[number] == task for number in kept)
                for task, queue in queues.items()
                if queue
            }
            task = min(sizes, key=lambda task: (sizes[task], task))
            kept.append(queues[task].pop(0))
    return set(kept)


class Given(Rows):
    """Rows at hand, numbered."""

    def __init__(self, numbers, task):
        self._x = torch.tensor(numbers).float().view(-1, 1)
        self.labels = torch.zeros(len(numbers), dtype=torch.int64)
        self.tasks = torch.full((len(numbers),), task)
        self.columns, self.attributes, self.label_type, self.collate = {}, (), None, None
        self.train = self.evaluate = BatchTransform()

    def raw(self, rows=None):
        return self._x if rows is None else self._x[rows]


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.data())
def test_the_memory_is_the_best_of_each_task(data):
    capacity = data.draw(st.integers(1, 12))
    buffer, rows = OCSBuffer(capacity), []
    for task in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(1, 4))):
            n = data.draw(st.integers(1, 5))
            start = buffer.seen
            generator = torch.Generator().manual_seed(start)
            scores = torch.rand(n, generator=generator, dtype=torch.float64)
            candidates = torch.rand(n, generator=generator) < 0.6
            numbers = list(range(start, start + n))
            buffer.offer_scored(Given(numbers, task), scores, candidates)
            rows += [
                {"number": i, "task": task, "score": float(s), "candidate": bool(c)}
                for i, s, c in zip(numbers, scores, candidates, strict=True)
            ]
            held = set(buffer.store.born.tolist())
            # What was dropped once doesn't come back.
            rows = [row for row in rows if row["number"] in expected_memory(rows, capacity)]
            assert held == {row["number"] for row in rows}
    assert len(buffer) == min(capacity, buffer.seen)


def test_tasks_have_equal_shares_and_give_back_what_they_borrowed():
    buffer = OCSBuffer(12, picks=4, batch_size=10, probe=Probe(network()))
    for task, shares in enumerate([[12], [6, 6], [4, 4, 4], [3, 3, 3, 3]]):
        add(buffer, 60, task, task)
        assert list(buffer.task_counts().values()) == shares
        assert buffer.store.extra["candidate"][:12].all()


def test_lowest_scores_go_first():
    buffer = OCSBuffer(10, picks=5, batch_size=10, class_balanced=False, probe=Probe(network()))
    add(buffer, 50, 0, 0)
    before = dict(
        zip(buffer.store.born.tolist(), buffer.store.extra["score"].tolist(), strict=True)
    )
    add(buffer, 50, 1, 1)
    stayed = [number for number in buffer.store.born.tolist() if number < 50]
    assert sorted(stayed) == sorted(sorted(before, key=before.get)[-5:])
    buffer.resize(None, 4)
    assert buffer.task_counts() == {0: 2, 1: 2}
    stayed = [number for number in buffer.store.born.tolist() if number < 50]
    assert sorted(stayed) == sorted(sorted(before, key=before.get)[-2:])


def test_only_the_picks_of_a_stream_batch_are_candidates():
    buffer = OCSBuffer(100, picks=3, batch_size=10, probe=Probe(network()))
    x, y = batch(25, 3)
    buffer.add(x, y, 0)
    candidate = buffer.store.extra["candidate"].bool()
    score = buffer.store.extra["score"]
    for rows in torch.arange(25).split(10):
        assert candidate[rows].sum() == 3
        assert score[rows][candidate[rows]].min() >= score[rows][~candidate[rows]].max()
        alone = gradients_by_hand(buffer.gradients.source.probe.model, x[rows], y[rows])
        torch.testing.assert_close(score[rows], scores_by_hand(alone, [], 0), rtol=1e-4, atol=1e-5)


def test_rows_of_several_tasks_are_a_stream_batch_each():
    one = OCSBuffer(100, picks=3, affinity="memory", probe=Probe(network()))
    two = OCSBuffer(100, picks=3, affinity="memory", probe=Probe(network()))
    x, y = batch(20, 3)
    task = torch.arange(20) % 2
    one.add(x, y, task)
    for label in (0, 1):
        alone = OCSBuffer(100, picks=3, probe=Probe(network()))
        alone.add(x[task == label], y[task == label], label)
        mine = one.store.extra["score"][:20][task == label]
        torch.testing.assert_close(mine, alone.store.extra["score"][:10])
    two.add(x[task == 0], y[task == 0], 0)
    two.add(x[task == 1], y[task == 1], 1)
    assert (two.store.extra["score"][10:20].abs() > 5).any()  # with the affinity, times 1000


@pytest.mark.parametrize("affinity", ["batch", "memory"])
def test_the_affinity_is_that_to_past_tasks_only(affinity):
    model = network()
    buffer = OCSBuffer(100, picks=4, tau=1000.0, affinity=affinity, probe=Probe(model))
    add(buffer, 6, 0, 0)
    add(buffer, 6, 1, 1)
    x, y = batch(7, 2)
    generator = torch.Generator()
    generator.set_state(buffer.generator.get_state())
    slots = buffer.add(x, y, 1)
    past = torch.arange(6)
    if affinity == "batch":
        past = torch.randperm(6, generator=generator)[:4]
    held = buffer.read(past)
    wanted = scores_by_hand(
        gradients_by_hand(model, x, y), gradients_by_hand(model, held.x, held.y), 1000.0
    )
    torch.testing.assert_close(buffer.store.extra["score"][slots], wanted, rtol=1e-4, atol=1e-2)


def test_classes_have_even_shares_of_a_tasks_candidates():
    x = torch.arange(30.0).view(30, 1)
    y = torch.tensor([0] * 20 + [1] * 6 + [2] * 4)
    gradients = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    buffer = OCSBuffer(12, picks=30, class_balanced=True)
    for start in range(0, 30, 5):
        part = slice(start, start + 5)
        buffer.add(x[part], y[part], 0, gradients=gradients[part])
    assert buffer.class_counts() == {0: 4, 1: 4, 2: 4}
    buffer.resize(None, 2)  # fewer slots than classes
    assert len(buffer) == 2
    assert len(buffer.class_counts()) == 2


def test_reference_keeps_a_class_balanced_random_draw():
    counts = torch.zeros(8)
    for seed in range(300):
        buffer = OCSBuffer(4, picks=8, preset="reference", seed=seed)
        gradients = torch.eye(8) + torch.arange(8.0)[:, None]
        y = torch.arange(8) // 4
        for row in range(8):
            buffer.add(
                torch.full((1, 1), float(row)),
                y[row : row + 1],
                0,
                gradients=gradients[row : row + 1],
            )
        assert buffer.class_counts() == {0: 2, 1: 2}
        counts[buffer.store.born] += 1
    assert ((counts - 150).abs() < 4.5 * (300 * 0.25) ** 0.5).all()
    assert OCSBuffer(4, preset="reference").affinity == "memory"
    assert OCSBuffer(4, preset="reference", affinity="batch").affinity == "batch"


@pytest.mark.parametrize("label", [None, 0])
def test_experiences_are_the_tasks_where_labels_say_nothing(label):
    buffer = OCSBuffer(12, picks=6, batch_size=20)
    learner = SimpleNamespace(model=network(), device="cpu")
    for number in range(3):
        learner.experience = SimpleNamespace(current_experience=number)
        add(buffer, 40, label, number, learner=learner)
    assert (buffer.store.born // 40).bincount().tolist() == [4, 4, 4]
    other = OCSBuffer(1)
    other.load_state_dict(buffer.state_dict())
    learner.experience = SimpleNamespace(current_experience=3)
    for one in (buffer, other):
        add(one, 40, label, 9, learner=learner)
        assert (one.store.born // 40).bincount().tolist() == [3, 3, 3, 3]
    other.resize(None, 4)
    assert (other.store.born // 40).bincount().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("signal", ["whole_network", "last_layer", "projection"])
def test_a_budget_in_bytes_works_with_every_signal(signal):
    buffer = OCSBuffer(max_bytes=1000, picks=3, signal=signal, probe=Probe(network()))
    for seed in range(5):
        add(buffer, 10, seed % 2, seed)
    assert buffer.nbytes <= 1000
    assert len(buffer) == buffer.capacity


def test_scoring_leaves_no_trace_on_the_learner():
    model = network().train()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    buffer = OCSBuffer(15, picks=3, probe=Probe(model))
    torch.manual_seed(3)
    random = torch.get_rng_state()
    for task in range(3):
        add(buffer, 20, task, task)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert model[3].training
    assert torch.equal(model[0].weight.grad, torch.ones(7, 5))
    assert model[4].weight.grad is None


def test_nan_is_refused_and_changes_nothing():
    buffer = OCSBuffer(8, picks=3)
    x, y = batch(6, 0)
    buffer.add(x, y, 0, gradients=torch.ones(6, 2))
    before = buffer.state_dict()["tensors"]
    bad = torch.ones(6, 2)
    bad[4, 1] = torch.nan
    with pytest.raises(SignalError, match=r"gradients.*NaN"):
        buffer.add(x, y, 1, gradients=bad)
    after = buffer.state_dict()["tensors"]
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    model = network()
    with torch.no_grad():
        model[4].bias[0] = torch.inf
    with pytest.raises(SignalError, match="NaN"):
        add(OCSBuffer(8, probe=Probe(model)), 6, 0, 0)


def test_without_a_way_to_gradients_it_says_what_to_give():
    with pytest.raises(ArgumentError, match="gradients: OCSBuffer chooses by this signal"):
        add(OCSBuffer(8), 6, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picks": 0}, "picks"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"tau": -1}, "tau: got -1"),
        ({"tau": float("nan")}, "tau: got nan"),
        ({"preset": "code"}, "preset: got 'code'"),
        ({"affinity": "all"}, "affinity: got 'all'"),
        ({"signal": "loss"}, "signal: got 'loss'"),
        ({"probe": 3}, "probe"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        OCSBuffer(5, **options)
