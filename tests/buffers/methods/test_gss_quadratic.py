"""GSS-IQP: the quadratic program against all subsets, and the recent rows beside the memory."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from buffers import GSSBuffer
from buffers.gss_quadratic import most_diverse
from clcore.errors import ArgumentError


def stream(n, seed=0, classes=4):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, 6, generator=generator),
        torch.randint(0, classes, (n,), generator=generator),
    )


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


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


@pytest.mark.parametrize(("n", "p", "k"), [(312, 3, 282), (110, 3, 100), (330, 20, 300)])
@pytest.mark.parametrize("seed", range(4))
def test_the_relaxation_is_solved_where_nearly_all_are_kept(n, p, k, seed):
    cosine = gram(n, p, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = most_diverse(cosine, k, exact=False)
    assert len(set(chosen.tolist())) == k
    generator = torch.Generator().manual_seed(seed)
    by_chance = [torch.randperm(n, generator=generator)[:k] for _ in range(20)]
    value = float(cosine[chosen][:, chosen].sum())
    assert value < min(float(cosine[rows][:, rows].sum()) for rows in by_chance)
