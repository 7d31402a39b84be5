"""GSS against slow sequential readings in double precision, and in Avalanche."""

import copy
import itertools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import (
    _make_taskaware_classification_dataset,
    as_classification_dataset,
)
from avalanche.training.plugins import EvaluationPlugin, GSS_greedyPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from buffers import GSSBuffer
from buffers.gss_cluster import centroids
from buffers.gss_quadratic import most_diverse
from clcore import Probe
from clcore.errors import ArgumentError, SignalError
from strategies import Replay


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


# -- the quadratic program -----------------------------------------------------------------------


def gram(n, p, seed):
    rows = torch.nn.functional.normalize(
        torch.randn(n, p, generator=torch.Generator().manual_seed(seed)), dim=1
    )
    return rows @ rows.T


def least(cosine, k):
    return min(
        float(cosine[list(rows)][:, list(rows)].sum())
        for rows in itertools.combinations(range(len(cosine)), k)
    )


@pytest.mark.parametrize(("n", "k"), [(12, 6), (12, 3), (11, 8), (7, 1), (5, 4)])
@pytest.mark.parametrize("p", [2, 5, 30])
def test_exact_equals_the_best_of_all_subsets(n, k, p):
    for seed in range(4):
        cosine = gram(n, p, seed)
        for exact in (True, "auto"):
            chosen = most_diverse(cosine, k, exact=exact)
            assert len(chosen.unique()) == k
            value = float(cosine[chosen][:, chosen].sum())
            assert value == pytest.approx(least(cosine, k), abs=1e-4)


def test_the_relaxation_is_close_and_no_swap_improves_it():
    worse = []
    for seed in range(12):
        cosine = gram(12, 5, seed)
        chosen = most_diverse(cosine, 6, exact=False)
        value = float(cosine[chosen][:, chosen].sum())
        worse.append(value - least(cosine, 6))
        others = [row for row in range(12) if row not in chosen.tolist()]
        for place, new in itertools.product(range(6), others):
            swapped = chosen.clone()
            swapped[place] = new
            assert float(cosine[swapped][:, swapped].sum()) >= value - 1e-4
    assert min(worse) > -1e-4
    assert max(worse) < 0.5
    assert sum(w < 1e-3 for w in worse) >= 8


def test_a_large_program_is_solved_without_a_warning():
    cosine = gram(400, 200, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = most_diverse(cosine, 300)
    random = torch.stack([torch.randperm(400)[:300] for _ in range(20)])
    values = [float(cosine[rows][:, rows].sum()) for rows in random]
    assert float(cosine[chosen][:, chosen].sum()) < min(values)


def test_a_program_that_is_not_solved_says_so(monkeypatch):
    import osqp

    setup = osqp.OSQP.setup

    def hurried(self, *args, **options):
        setup(self, *args, **{**options, "max_iter": 1})

    monkeypatch.setattr(osqp.OSQP, "setup", hurried)
    with pytest.warns(RuntimeWarning, match="residuals"):
        chosen = most_diverse(gram(30, 5, 0), 10)
    assert len(chosen.unique()) == 10


def test_duplicates_and_opposites():
    rows = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [0, 1]])
    chosen = most_diverse(rows @ rows.T, 4)
    assert float(rows[chosen].sum(0).norm()) == pytest.approx(0)
    assert most_diverse(rows @ rows.T, 6).tolist() == list(range(6))


def test_an_exact_search_that_may_be_slow_is_announced_once(caplog):
    import buffers.gss_quadratic as module

    module._told.clear()
    rows = torch.eye(70)
    for _ in range(2):
        most_diverse(rows @ rows.T, 69, exact=True)
    assert sum("may take very long" in r.message for r in caplog.records) == 1


def test_the_iqp_memory_is_the_best_of_memory_and_recent_rows():
    buffer = GSSBuffer(6, variant="iqp", recent=5, seed=0)
    x, y = stream(60)
    gradients = torch.randn(60, 4, generator=torch.Generator().manual_seed(4))
    held, waiting = [], []
    for row in range(60):
        buffer.add(x[row : row + 1], y[row : row + 1], gradients=gradients[row : row + 1])
        if len(held) < 6:
            held.append(row)
        else:
            waiting.append(row)
        if len(waiting) == 5:
            candidates = held + waiting
            waiting = []
            unit = torch.nn.functional.normalize(gradients[candidates], dim=1)
            value = least(unit @ unit.T, 6)
            held = buffer.store.born.tolist()
            assert set(held) <= set(candidates)
            mine = torch.nn.functional.normalize(gradients[held], dim=1)
            assert float((mine @ mine.T).sum()) == pytest.approx(value, abs=1e-4)
        assert sorted(buffer.store.born.tolist()) == sorted(held)
        assert buffer.recent == len(waiting)
    assert torch.equal(buffer.store.x, x[buffer.store.born])
    assert torch.equal(buffer.store.extra["gradients"], gradients[buffer.store.born])


def test_the_recent_rows_are_counted_in_bytes():
    buffer = GSSBuffer(max_bytes=20_000, variant="iqp", recent=30)
    for step in range(60):
        x, y = stream(10, step)
        buffer.add(x, y, gradients=torch.randn(10, 3))
        assert buffer.nbytes <= 20_000
    assert buffer.nbytes > 19_000
    with pytest.raises(ArgumentError, match="recent rows beside it"):
        GSSBuffer(max_bytes=1000, variant="iqp", recent=30).add(x, y, gradients=x)


def test_weights_and_columns_of_recent_rows_stay_theirs():
    buffer = GSSBuffer(8, variant="cluster", recent=6, seed=3)
    for step in range(30):
        x, y = stream(4, step)
        buffer.add(x, y, weight=x[:, 0].abs(), gradients=x * 3, mark=x[:, :2])
    held = buffer.all()
    assert torch.equal(held.weight, held.x[:, 0].abs())
    assert torch.equal(held.columns["mark"], held.x[:, :2])
    assert torch.equal(held.columns["gradients"], held.x * 3)
    assert max(buffer.store.born.tolist()) > 20


# -- clusters ------------------------------------------------------------------------------------


def slow_centroids(distance, k, first):
    """First come, first a centroid; the radius grows by 1 % until no more than k are left."""
    n = len(distance)
    radius = min(distance[i][j] for i in range(n) for j in range(i) if distance[i][j] > 0)
    while True:
        radius *= 1.01
        chosen = [first]
        for row in range(n):
            if min(distance[row][c] for c in chosen) > radius:
                chosen.append(row)
        if len(chosen) <= k:
            break
    rest = [row for row in range(n) if row not in chosen]
    rest.sort(key=lambda row: -min(distance[row][c] for c in chosen))
    return sorted(chosen + rest[: k - len(chosen)]), radius


@pytest.mark.parametrize("seed", range(6))
def test_centroids_are_as_a_slow_reading_says(seed):
    cosine = gram(20, 4, seed)
    chosen, radius = centroids(cosine, 12, 0.0, torch.Generator().manual_seed(seed))
    first = int(torch.randint(20, (1,), generator=torch.Generator().manual_seed(seed)))
    distance = (1 - cosine.double()).clamp(min=0).fill_diagonal_(0).tolist()
    expected, slow_radius = slow_centroids(distance, 12, first)
    assert chosen.tolist() == expected
    assert radius == pytest.approx(slow_radius)
    # Nobody outside the radius of all exemplars: nothing changes.
    again, same = centroids(cosine, 12, 2.5, torch.Generator())
    assert (again.tolist(), same) == (list(range(12)), 2.5)


def test_centroids_of_equal_gradients():
    chosen, radius = centroids(torch.ones(9, 9), 5, 0.0, torch.Generator())
    assert (chosen.tolist(), radius) == (list(range(5)), 0.0)
    doubled = gram(5, 3, 0).repeat(2, 2)
    assert len(centroids(doubled, 5, 0.0, torch.Generator())[0].unique()) == 5


# -- in Avalanche ----------------------------------------------------------------------------------


def digits(tasks=False):
    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target)
    parts = []
    for first in range(0, 10, 2):
        rows = torch.nonzero((y == first) | (y == first + 1)).view(-1)[:200]
        tensors = TensorDataset(x[rows], y[rows])
        tensors.targets = y[rows].tolist()
        parts.append(
            _make_taskaware_classification_dataset(tensors, task_labels=0)
            if tasks
            else as_classification_dataset(tensors)
        )
    return benchmark_from_datasets(train=parts, test=parts)


def naive(plugin, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "No loggers specified"
        evaluator = EvaluationPlugin()
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        train_epochs=3,
        plugins=[plugin],
        evaluator=evaluator,
    )


def accuracy(model, benchmark):
    model.eval()
    right = []
    for experience in benchmark.test_stream:
        rows = [experience.dataset[i] for i in range(len(experience.dataset))]
        x, y = torch.stack([r[0] for r in rows]), torch.tensor([int(r[1]) for r in rows])
        right.append((model(x).argmax(1) == y).float())
    return float(torch.cat(right).mean())


@pytest.mark.parametrize("variant", ["greedy", "iqp", "cluster"])
@pytest.mark.parametrize("way", ["replay", "plugin"])
def test_digits_in_avalanche(variant, way):
    benchmark, buffer = digits(), GSSBuffer(100, variant=variant, recent=40)
    plugin = (
        Replay(buffer, update="iteration", fast=True)
        if way == "replay"
        else ReplayPlugin(mem_size=100, storage_policy=buffer)
    )
    strategy = naive(plugin)
    for experience in benchmark.train_stream:
        strategy.train(experience)
        held = buffer.store.born.tolist()
        assert len(set(held)) == len(held) == len(buffer)
    assert len(buffer) == 100
    assert buffer.seen == 1000
    assert len(buffer.class_counts()) >= 8
    assert accuracy(strategy.model, benchmark) > 0.5
    assert len(buffer.buffer) == 100


def test_avalanches_plugin_leaves_gradients_and_stores_rows_twice_and_ours_does_not():
    benchmark = digits(tasks=True)
    strays = []

    class Watching(Naive):
        def backward(self):
            norms = [p.grad.abs().sum() for p in self.model.parameters() if p.grad is not None]
            strays.append(float(sum(norms)))
            super().backward()

    def run(plugin):
        strays.clear()
        strategy = naive(plugin)
        strategy.__class__ = Watching
        for experience in list(benchmark.train_stream)[:3]:
            strategy.train(experience)

    theirs = GSS_greedyPlugin(mem_size=60, mem_strength=5, input_size=[1, 8, 8])
    run(theirs)
    assert sum(norm > 0 for norm in strays) > len(strays) / 2
    assert len(theirs.ext_mem_list_x.flatten(1).unique(dim=0)) < 60

    buffer = GSSBuffer(60, memory_batches=5)
    run(Replay(buffer, update="iteration", fast=True))
    assert strays
    assert all(norm == 0 for norm in strays)
    assert len(buffer.store.x.flatten(1).unique(dim=0)) == 60


def test_resume_with_a_model(tmp_path):
    for variant in ("greedy", "iqp", "cluster"):
        probe = Probe(network())
        one = GSSBuffer(20, variant=variant, recent=12, probe=probe, threshold=0.4)
        for step in range(6):
            one.add(*stream(10, step))
        one.save(tmp_path / "memory.safetensors")
        other = GSSBuffer(20, variant=variant, recent=12, probe=probe, threshold=0.4)
        other.load(tmp_path / "memory.safetensors")
        for step in range(6, 12):
            for buffer in (one, other):
                buffer.add(*stream(10, step))
        assert torch.equal(one.store.x, other.store.x)
        assert torch.equal(one.store.born, other.store.born)
        assert one.replaced == other.replaced > 0
