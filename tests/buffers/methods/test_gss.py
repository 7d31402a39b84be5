"""GSS-Greedy against a slow sequential reading in double precision; what all variants share."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from buffers import GSSBuffer
from clcore.errors import ArgumentError, SignalError


def network(seed=0, inputs=6, outputs=4):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 7), nn.ReLU(), nn.Linear(7, outputs))


def stream(n, seed=0, classes=4):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, 6, generator=generator),
        torch.randint(0, classes, (n,), generator=generator),
    )


def gradient(model, x, y):
    """The gradient of the mean loss, in double precision."""
    double = copy.deepcopy(model).double().eval()
    loss = nn.functional.cross_entropy(double(x.double()), y)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, double.parameters())]).numpy()


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def drawn_in_turn(weights, waits):
    """Distinct draws: the least waiting time at rate w comes first; rate 0 at the very end."""
    keys = [(0, t / w) if w > 0 else (1, t) for w, t in zip(weights, waits, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)


class SlowGSS:
    """Row by row, one autograd pass for each gradient; rows are (x, y, score, number)."""

    def __init__(self, size, preset, batches, batch_size, threshold, seed):
        self.size, self.preset, self.threshold = size, preset, threshold
        self.batches, self.batch_size = batches, batch_size
        self.generator = torch.Generator().manual_seed(seed)
        self.rows, self.seen = [], 0

    def add(self, model, x, y):
        numbers = range(self.seen, self.seen + len(x))
        rows = [[x[i], y[i], 0.1, number] for i, number in enumerate(numbers)]
        self.seen += len(x)
        room = self.size - len(self.rows)
        for part in (rows[:room], rows[room:]):
            if part:
                self.take(model, part)

    def take(self, model, rows):
        if not self.rows:
            self.rows += rows
            return
        order = torch.randperm(len(self.rows), generator=self.generator).tolist()
        size = min(self.batch_size, len(self.rows))
        groups = [order[i * size : (i + 1) * size] for i in range(self.batches)]
        memory = [
            gradient(
                model,
                torch.stack([self.rows[i][0] for i in group]),
                torch.stack([self.rows[i][1] for i in group]),
            )
            for group in groups
            if group
        ]
        for row in rows:
            own = gradient(model, row[0][None], row[1][None])
            row[2] = max(cosine(own, g) for g in memory)
        if len(self.rows) < self.size:
            self.rows += rows
            return
        if self.preset == "paper":
            able = [row for row in rows if row[2] + 1 < 1 + self.threshold]
        else:
            whole = gradient(
                model, torch.stack([r[0] for r in rows]), torch.stack([r[1] for r in rows])
            )
            able = rows if max(cosine(whole, g) for g in memory) < self.threshold else []
        if not able:
            return
        scores = np.array([row[2] for row in self.rows])
        weights = scores + 1 if self.preset == "paper" else scores - scores.min()
        waits = torch.empty(len(self.rows), dtype=torch.float64)
        waits.exponential_(generator=self.generator)
        victims = drawn_in_turn(weights.tolist(), waits.tolist())
        luck = torch.rand(len(able), dtype=torch.float64, generator=self.generator).tolist()
        for row, victim, u in zip(able, victims, luck, strict=False):
            theirs, mine = (self.rows[victim][2] + 1) / 2, (row[2] + 1) / 2
            if u < theirs / (theirs + mine):
                self.rows[victim] = row


@pytest.mark.parametrize("preset", ["paper", "reference"])
@pytest.mark.parametrize("options", [(10, 10, 0.0, 30), (3, 4, 0.6, 25), (4, 7, 0.3, 13)])
def test_greedy_is_as_a_slow_reading_says(preset, options):
    batches, batch_size, threshold, size = options
    buffer = GSSBuffer(
        size, preset=preset, memory_batches=batches, memory_batch_size=batch_size,
        threshold=threshold, seed=5,
    )  # fmt: skip
    slow = SlowGSS(size, preset, batches, batch_size, threshold, 5)
    replaced = 0
    for step in range(25):
        model = network(step // 2)
        x, y = stream(10, seed=step)
        buffer.add(x, y, learner=SimpleNamespace(model=model))
        slow.add(model, x, y)
        assert buffer.store.born.tolist() == [row[3] for row in slow.rows], step
        scores = buffer.store.extra["score"][: len(buffer)]
        expected = torch.tensor([row[2] for row in slow.rows])
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
        replaced += buffer.replaced
    assert replaced > 0, "the rule was never put to use"


def test_many_rows_at_once_are_mini_batches_in_order():
    model = SimpleNamespace(model=network())
    x, y = stream(95)
    one, parts = (GSSBuffer(24, seed=2, threshold=0.5) for _ in range(2))
    slots = one.add(x, y, learner=model)
    for begin in range(0, 95, 10):
        parts.add(x[begin : begin + 10], y[begin : begin + 10], learner=model)
    assert one.store.born.tolist() == parts.store.born.tolist()
    assert torch.equal(one.store.extra["score"], parts.store.extra["score"])
    assert parts.replaced > 0
    kept = torch.nonzero(slots >= 0).view(-1)
    assert sorted(kept.tolist()) == sorted(one.store.born.tolist())
    assert len(one) == len(set(one.store.born.tolist())) == 24


@pytest.mark.parametrize("preset", ["paper", "reference"])
def test_victims_and_replacement_statistics(preset):
    # Known scores: the memory's gradients are along one axis, the new row's is against it.
    scores = torch.tensor([-0.5, 0.0, 0.5, 1.0])
    weights = scores + 1 if preset == "paper" else (scores + 0.5) / 1.5
    gradients = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    own = torch.tensor([[-0.6, 0.8]])
    trials, hits = 1500, torch.zeros(4)
    buffer = GSSBuffer(4, preset=preset, seed=1)
    x, y = torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64)
    for _ in range(trials):
        buffer.set_size(4)
        buffer.store.size = 0
        buffer.add(x, y, gradients=gradients)
        buffer.store.extra["score"][:4] = scores
        slot = int(buffer.add(x[:1], y[:1], gradients=own))
        if slot >= 0:
            hits[slot] += 1
    primes = (scores + 1) / 2
    expected = weights / weights.sum() * primes / (primes + (1 - 0.6) / 2)
    deviation = (expected * (1 - expected) / trials).sqrt()
    assert bool(((hits / trials - expected).abs() < 4 * deviation + 1e-9).all())


def test_equal_scores_make_equal_victims():
    buffer = GSSBuffer(5, preset="reference", seed=0)
    counts = torch.zeros(5)
    for _ in range(2000):
        victims = buffer.draw_victims(torch.full((5,), 0.3), 2)
        assert len(victims.unique()) == 2
        counts[victims] += 1
    assert bool(((counts - 800).abs() < 90).all())
    assert sorted(buffer.draw_victims(torch.full((5,), -1.0), 5).tolist()) == list(range(5))


def test_a_memory_smaller_than_a_batch():
    for preset in ("paper", "reference"):
        buffer = GSSBuffer(3, preset=preset, threshold=1.0)
        for step in range(6):
            x, y = stream(10, step)
            buffer.add(x, y, gradients=torch.randn(10, 5))
        assert len(buffer) == len(set(buffer.store.born.tolist())) == 3


def test_all_zero_gradients_have_cosine_zero():
    buffer = GSSBuffer(6)
    for _ in range(3):
        buffer.add(torch.zeros(5, 2), torch.zeros(5).long(), gradients=torch.zeros(5, 4))
    assert len(buffer) == 6
    assert buffer.store.born.tolist() == list(range(6)), "0 is not below the threshold"
    assert buffer.store.extra["score"].tolist() == pytest.approx([0.1] * 5 + [0.0])


def test_shrinking_drops_those_like_others():
    kept = torch.zeros(20)
    for seed in range(200):
        buffer = GSSBuffer(20, seed=seed)
        buffer.add(torch.zeros(20, 1), torch.zeros(20).long(), gradients=torch.eye(20))
        buffer.store.extra["score"][:] = torch.linspace(-0.95, 0.95, 20)
        buffer.resize(None, 10)
        kept[buffer.store.born] += 1
    assert kept.sum() == 2000
    assert kept[:5].sum() > 1.5 * kept[-5:].sum()


@pytest.mark.parametrize("variant", ["greedy", "iqp", "cluster"])
def test_the_learner_stays_as_it_was(variant):
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)
    )
    model.train()
    model[0].weight.grad = torch.full_like(model[0].weight, 3.0)
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(7)
    state = torch.get_rng_state()
    buffer = GSSBuffer(20, variant=variant, recent=15)
    for step in range(8):
        x, y = stream(10, step)
        buffer.add(x, y, learner=SimpleNamespace(model=model))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(model[0].weight.grad, torch.full_like(model[0].weight, 3.0))
    assert all(p.grad is None for name, p in model.named_parameters() if name != "0.weight")
    assert buffer.cost.forward_passes > 0


@pytest.mark.parametrize("variant", ["greedy", "iqp", "cluster"])
def test_bad_gradients_change_nothing(variant):
    buffer = GSSBuffer(10, variant=variant, recent=5)
    x, y = stream(25)
    gradients = torch.randn(25, 3)
    buffer.add(x, y, gradients=gradients)
    before = buffer.state_dict()
    for wrong, error in ((torch.inf, SignalError), (torch.nan, SignalError)):
        bad = gradients.clone()
        bad[7, 1] = wrong
        with pytest.raises(error, match="gradients"):
            buffer.add(x, y, gradients=bad)
    with pytest.raises(ArgumentError, match="gradients"):
        buffer.add(x, y, gradients=gradients[:, :2])
    with pytest.raises(ArgumentError, match="gradients: GSSBuffer chooses by this signal"):
        GSSBuffer(10, variant=variant, recent=5).add(x, y)
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "best"}, "variant: got 'best'; one of 'greedy', 'iqp', 'cluster'"),
        ({"preset": "mine"}, "preset: got 'mine'"),
        ({"exact": 1}, "exact: got 1"),
        ({"signal": "all"}, "signal: got 'all'"),
        ({"memory_batches": 0}, "memory_batches"),
        ({"memory_batch_size": 2.5}, "memory_batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"recent": 0, "variant": "iqp"}, "recent"),
        ({"threshold": 1.5}, "threshold: got 1.5; a cosine"),
        ({"threshold": float("nan")}, "threshold"),
        ({"probe": nn.Linear(2, 2)}, "probe: got Linear"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        GSSBuffer(10, **options)
