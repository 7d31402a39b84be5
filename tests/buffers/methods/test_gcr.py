"""GCR's memory: matched gradients, weights, quotas, candidates."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from buffers import GCRBuffer
from buffers.shares import shares_of_parts


def rows(n, classes=2, seed=0, d=5, start=0, outputs=None):
    """Samples, labels, features and logits of rows; the label has the largest logit mostly."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes + start
    outputs = start + classes if outputs is None else outputs
    logits = torch.randn(n, outputs, generator=generator)
    logits[torch.arange(n), y] += 1
    features = torch.randn(n, d, generator=generator).relu() + y[:, None] / 3
    return torch.arange(n)[:, None].float(), y, features, logits


def gradients(features, logits, y, then=None, alpha=0.1, beta=0.5):
    """Last-layer gradients of the replay loss by autograd, in float64, multiplied out."""
    out = []
    for i in range(len(y)):
        z = logits[i].double().requires_grad_()
        loss = beta * nn.functional.cross_entropy(z[None], y[i : i + 1])
        if then is not None:
            there = torch.isfinite(then[i])
            loss = loss + alpha * (z[there] - then[i][there].double()).square().mean()
        (error,) = torch.autograd.grad(loss, z)
        out.append(torch.outer(error, torch.cat((features[i].double(), torch.ones(1)))).flatten())
    return torch.stack(out)


def pursuit(atoms, target, k, ridge):
    """Matching pursuit with non-negative weights by projected descent run to the end."""
    picks = []
    weights = torch.zeros(0, dtype=torch.float64)
    for _ in range(k):
        left = target - weights @ atoms[picks] if picks else target
        scores = atoms @ left
        scores[picks] = -torch.inf
        picks.append(int(scores.argmax()))
        gram = atoms[picks] @ atoms[picks].t() + ridge * torch.eye(len(picks)).double()
        goal = atoms[picks] @ target
        weights = torch.cat((weights, torch.zeros(1, dtype=torch.float64)))
        for _ in range(3000):  # exact coordinate descent
            before = weights.clone()
            for j in range(len(picks)):
                slope = goal[j] - gram[j] @ weights
                weights[j] = (weights[j] + slope / gram[j, j]).clamp_min(0)
            if torch.allclose(before, weights, rtol=0, atol=1e-13):
                break
    return picks, weights


def held(buffer, label):
    """Rows of the stream held of a class in rank order, and their weights."""
    store = buffer.store
    order = store.extra["rank"][: len(store)].argsort(stable=True)
    order = order[store.y[order] == label]
    return store.born[order].tolist(), store.weight[order]


# -- the choice --------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(2))
def test_picks_and_weights_are_those_of_a_slow_pursuit(seed, ridge):
    x, y, features, logits = rows(60, seed=seed)
    buffer = GCRBuffer(12, ridge=ridge)
    buffer.add(x, y, features=features, logits=logits)
    for label in (0, 1):
        mine = torch.nonzero(y == label).view(-1)
        atoms = gradients(features[mine], logits[mine], y[mine])
        picks, weights = pursuit(atoms, atoms.sum(0), 6, ridge=ridge)
        born, weight = held(buffer, label)
        assert born == mine[picks].tolist()
        torch.testing.assert_close(
            weight.double(), weights * 30 / weights.sum(), rtol=1e-4, atol=1e-4
        )


def test_old_exemplars_pull_towards_their_logits():
    _, y, features, logits = rows(40, seed=1)
    torch.manual_seed(0)
    linear = nn.Linear(5, 2)
    learner = type("Learner", (), {"model": nn.Sequential(linear), "device": "cpu"})()
    buffer = GCRBuffer(20, ridge=0.5, features="input", alpha=3.0)
    buffer.add(features, y, learner=learner, logits=logits)
    before = {label: held(buffer, label) for label in (0, 1)}
    with torch.no_grad():
        linear.weight.add_(1.0)
    more = rows(40, seed=2)
    buffer.add(more[2], more[1] + 0, 1, learner=learner, logits=more[3])
    for label in (0, 1):
        born, weight = before[label]
        now = linear(features[born]).detach()
        atoms = gradients(features[born], now, y[born], logits[born], alpha=3.0)
        picks, weights = pursuit(atoms, weight.double() @ atoms, 5, ridge=0.5)
        store = buffer.store
        mine = torch.nonzero((store.y == label) & (store.task == 0)).view(-1)
        mine = mine[store.extra["rank"][mine].argsort()]
        assert store.born[mine].tolist() == [born[pick] for pick in picks]
        torch.testing.assert_close(
            store.weight[mine].double(), weights * 20 / weights.sum(), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_the_gradient_is_matched_better_than_by_random_exemplars(ridge):
    x, y, features, logits = rows(400, seed=3)
    atoms = gradients(features, logits, y)
    buffer = GCRBuffer(40, ridge=ridge)
    buffer.add(x, y, features=features, logits=logits)
    for label in (0, 1):
        mine = torch.nonzero(y == label).view(-1)
        target = atoms[mine].sum(0)
        born, weight = held(buffer, label)
        made_up = weight.double() @ atoms[born]
        scale = made_up @ target / made_up.square().sum()
        best = []
        for seed in range(20):
            drawn = mine[torch.randperm(200, generator=torch.Generator().manual_seed(seed))[:20]]
            random = atoms[drawn].sum(0)
            random = random * (random @ target / random.square().sum())
            best.append(float((target - random).norm()))
        assert float((target - scale * made_up).norm()) < min(best)
        if ridge == 0:  # and with the weights as they are
            assert float((target - made_up).norm()) < float((target - 10 * random).norm())


def test_cross_entropy_alone_ignores_the_stored_logits():
    _, y, features, logits = rows(60)
    learner = type("Learner", (), {"model": nn.Linear(5, 2), "device": "cpu"})()
    kept = []
    for gradient in ("cross-entropy", "replay"):
        for shift in (0, 1):
            buffer = GCRBuffer(12, features="input", gradient=gradient)
            buffer.add(features, y, learner=learner, logits=logits + 9 * shift * logits)
            kept.append(buffer.store.born.tolist())
    assert kept[0] == kept[1]
    assert kept[2] != kept[3]


# -- quotas and weights ------------------------------------------------------------------------


def test_tasks_share_evenly_and_classes_by_their_frequency():
    buffer = GCRBuffer(30)
    x, _, features, logits = rows(80, outputs=4)
    y = (torch.arange(80) % 4 == 0).long()
    buffer.add(x, y, 0, features=features, logits=logits)
    assert buffer.class_counts() == {0: 23, 1: 7}
    buffer.add(x, y + 2, 1, features=features, logits=logits)
    assert buffer.task_counts() == {0: 15, 1: 15}
    assert buffer.class_counts() == {0: 11, 1: 4, 2: 11, 3: 4}
    for label, seen in enumerate((60, 20, 60, 20)):
        assert float(held(buffer, label)[1].sum()) == pytest.approx(seen, rel=1e-5)


@pytest.mark.parametrize(
    ("quota", "counts"), [("class", {0: 10, 1: 10, 2: 10}), (None, {0: 25, 1: 3, 2: 2})]
)
def test_other_quotas(quota, counts):
    buffer = GCRBuffer(30, quota=quota)
    x, _, features, logits = rows(240, outputs=3)
    y = torch.zeros(240, dtype=torch.int64)
    y[:20], y[20:40] = 1, 2
    buffer.add(x, y, y % 2, features=features, logits=logits)
    assert buffer.class_counts() == counts


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.integers(0, 60),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 20), st.floats(0.0, 100.0)),
        min_size=1,
        max_size=8,
    ),
)
def test_shares(total, groups):
    parts, sizes, weights = (list(column) for column in zip(*groups, strict=True))
    shares = shares_of_parts(total, parts, sizes, weights)
    assert sum(shares) == min(total, sum(sizes))
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    of_part = {p: sum(s for q, s in zip(parts, shares, strict=True) if p == q) for p in parts}
    room = {p: sum(s for q, s in zip(parts, sizes, strict=True) if p == q) for p in parts}
    for part, share in of_part.items():
        if share < room[part]:
            assert all(share >= other - 1 for other in of_part.values())
        members = [i for i, p in enumerate(parts) if p == part]
        if share >= len(members):
            assert all(shares[i] > 0 for i in members)
        for i in members:  # no group could take one from another that deserves it less
            for j in members:
                if shares[i] < sizes[i] and shares[j] > 1:
                    assert weights[i] / (2 * shares[i] + 1) <= weights[j] / (2 * shares[j] - 1)


def test_shrinking_keeps_the_first_picks_and_all_weight():
    x, y, features, logits = rows(100)
    buffer = GCRBuffer(20)
    buffer.add(x, y, features=features, logits=logits)
    before = {label: held(buffer, label)[0] for label in (0, 1)}
    buffer.resize(None, 9)
    for label, count in ((0, 5), (1, 4)):
        born, weight = held(buffer, label)
        assert born == before[label][:count]
        assert float(weight.sum()) == pytest.approx(50)


def test_rows_that_all_stay_keep_their_weight():
    x, y, features, logits = rows(10)
    weight = torch.arange(1.0, 11.0)
    buffer = GCRBuffer(10)
    buffer.add(x, y, weight=weight, features=features, logits=logits)
    assert torch.equal(buffer.store.weight[buffer.store.born.argsort()], weight)


# -- candidates --------------------------------------------------------------------------------


def test_candidates_stand_for_all_rows():
    x, y, features, logits = rows(300)
    buffer = GCRBuffer(10, candidates=40)
    seen = []
    buffer.choose, choose = (
        lambda pool, k: seen.append((len(pool), float(pool.weights.sum()))) or choose(pool, k),
        buffer.choose,
    )
    buffer.add(x, y, features=features, logits=logits)
    assert sum(n for n, _ in seen) == 40
    assert [w for _, w in seen] == pytest.approx([150, 150])
    few = GCRBuffer(60, candidates=5)
    few.add(x, y, features=features, logits=logits)
    assert len(few) == 60, "never fewer candidates than the budget"


def test_only_correct_rows():
    x, y, features, logits = rows(200)
    right = logits.argmax(1) == y
    buffer = GCRBuffer(20, correct_only=True)
    buffer.add(x, y, features=features, logits=logits)
    assert right[buffer.store.born].all()
    assert not right.all()
    assert float(held(buffer, 0)[1].sum()) == pytest.approx(100)
    by_gradient = GCRBuffer(20, preset="reference")
    errors = 0.5 * (logits.softmax(1) - nn.functional.one_hot(y))
    by_gradient.add(x, y, features=features, logit_gradients=2 * errors)
    assert right[by_gradient.store.born].all()
    logits[y == 1, 1] = -9
    buffer = GCRBuffer(20, correct_only=True)
    with pytest.warns(UserWarning, match="no new row of class 1 right; all of its rows"):
        buffer.add(x, y, features=features, logits=logits)
    assert buffer.class_counts() == {0: 10, 1: 10}


def test_picks_without_weight():
    """Gradients that lie on one line: one pick matches, the others get no weight."""
    x = torch.arange(50.0)[:, None]
    y = torch.zeros(50, dtype=torch.int64)
    features = torch.linspace(1, 2, 50)[:, None]
    logits = torch.zeros(50, 2)
    errors = torch.tensor([[-0.5, 0.5]]).repeat(50, 1)
    errors[25:] *= -1  # the sum points one way, half of the rows the other
    paper = GCRBuffer(30, ridge=0)
    reference = GCRBuffer(30, ridge=0, preset="reference", correct_only=False)
    for buffer in (paper, reference):
        buffer.add(x, y, features=features, logit_gradients=errors, logits=logits)
    assert (paper.store.weight == 0).sum() > 0
    assert float(paper.store.weight.sum()) == pytest.approx(50)
    assert (reference.store.weight > 0).all()
    assert (reference.store.weight == 1).sum() == (paper.store.weight == 0).sum()
    assert len(reference.store.born.unique()) == 30
