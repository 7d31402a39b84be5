"""SGD, SVRG and SAGA: single steps by hand, float64 reference loops, seeds, weights, bad input."""

import numpy as np
import pytest
import torch

from clcore import Coreset
from clcore.errors import ArgumentError
from strategies.offline.convex import (
    SAGA,
    SGD,
    SVRG,
    Constant,
    DivergedError,
    Exponential,
    KInverse,
    LogisticRegression,
    RidgeRegression,
)

SOLVERS = (SGD, SVRG, SAGA)


def row_gradient(problem, row, w):
    """∇ℓ of one row, the penalty left out, by the formula: `[outputs, columns]`."""
    extended = problem.x[row].double()
    if problem.bias:
        extended = torch.cat([extended, torch.ones(1, dtype=torch.float64)])
    score = w @ extended
    target = problem.target[row]
    if problem.kind == 0:
        factor = -target / (1 + torch.exp(target * score))
    elif problem.kind == 1:
        factor = score.softmax(0)
        factor[int(target[0])] -= 1
    else:
        factor = score - target
    return torch.outer(factor, extended)


def mean_gradient(problem, weights, w, table=None):
    total = torch.zeros_like(w)
    for row in range(len(problem)):
        total += weights[row] * (row_gradient(problem, row, w) if table is None else table[row])
    return total / len(problem)


def reference(name, problem, weights, schedule, *, epochs, seed, batch=1, refresh=1, whole=None):
    """The three methods as the papers write them, row by row; whole: anchor over all data."""
    w = torch.zeros(problem.outputs, problem.columns, dtype=torch.float64)
    generator, order = np.random.default_rng(seed), np.arange(len(problem))
    table = [row_gradient(problem, row, w) for row in range(len(problem))]
    correction, anchor, centre = torch.zeros_like(w), w.clone(), torch.zeros_like(w)
    for epoch in range(epochs):
        if epoch % refresh == 0:
            anchor = w.clone()
            centre = mean_gradient(problem, weights, anchor)
            if whole is not None:
                all_rows = mean_gradient(whole, torch.ones(len(whole)), anchor)
                correction = all_rows - centre
                centre = all_rows
        generator.shuffle(order)
        rate = schedule(epoch)
        for start in range(0, len(order), batch):
            rows, step = order[start : start + batch], torch.zeros_like(w)
            fresh = [row_gradient(problem, row, w) for row in rows]
            for row, gradient in zip(rows, fresh, strict=True):
                part = weights[row] * gradient
                if name == "SVRG":
                    part = part - weights[row] * row_gradient(problem, row, anchor)
                if name == "SAGA":
                    part = part - weights[row] * table[row]
                step += part / len(rows)
            if name == "SVRG":
                step += centre
            if name == "SAGA":
                step += mean_gradient(problem, weights, w, table)
            if name != "SVRG":
                step += correction
            for row, gradient in zip(rows, fresh, strict=True):
                table[row] = gradient
            w = w - rate * (step + problem.penalties * w)
    return w.reshape(problem.shape)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_follows_the_reference_loop(solver, batch, dtype, kind, make):
    problem = make(kind, n=15, dtype=dtype)
    rows = torch.tensor([3, 14, 0, 7, 9, 11, 2])
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0, 1.0, 0.0, 3.0])
    part = problem.subset(rows, weights)
    schedule = KInverse(0.05, 0.5)
    expected = reference(
        solver.__name__, part, part.weights, schedule, epochs=4, seed=5, batch=batch, refresh=2
    )
    found = solver(schedule, batch_size=batch, refresh=2).minimise(
        problem, rows=rows, weights=weights, epochs=4, seed=5
    )
    tight = {"rtol": 1e-10, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(found.w, expected, **tight)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("batch", [1, 3])
def test_follows_the_reference_loop_anchored_to_all_data(solver, batch, kind, make):
    problem = make(kind, n=20)
    coreset = Coreset.of([3, 14, 0, 7, 9], weights=[4.0, 2.0, 6.0, 4.0, 4.0])
    part = problem.subset(coreset)
    options = {"epochs": 5, "seed": 2}
    expected = reference(
        solver.__name__, part, part.weights, Constant(0.04), batch=batch, refresh=2, whole=problem,
        **options,
    )  # fmt: skip
    found = solver(0.04, batch_size=batch, refresh=2, anchor="all").minimise(
        problem, coreset=coreset, **options
    )
    torch.testing.assert_close(found.w, expected, rtol=1e-10, atol=1e-12)


def test_one_step_by_hand():
    # One row x = (2), y = 1, weight 1, at w = (0, 0): z = 0, r = −1/2.
    problem = LogisticRegression(torch.tensor([[2.0], [1.0]]), [1, 0], l2=0.5)
    found = SGD(0.1).minimise(problem, rows=[0], weights=[7.0], epochs=1)
    torch.testing.assert_close(found.w, torch.tensor([0.1, 0.05], dtype=torch.float64))
    # From w = (1, 0): z = 2, r = −1 / (1 + e²); the penalty pulls at w_0 alone.
    pull = 1 / (1 + np.exp(2.0))
    start = torch.tensor([1.0, 0.0])
    found = SGD(0.1).minimise(problem, rows=[0], epochs=1, start=start)
    expected = torch.tensor([1 - 0.1 * 0.5 + 0.1 * 2 * pull, 0.1 * pull])
    torch.testing.assert_close(found.w, expected.double())
    assert start.tolist() == [1.0, 0.0]


def test_weights_count_in_the_gradient():
    # Least squares on one number: the weighted coreset's optimum is the weighted mean.
    x = torch.ones(3, 1)
    problem = RidgeRegression(x, [0.0, 1.0, 4.0], l2=0.0, bias=False)
    for solver in (SGD(Exponential(0.3, 0.97)), SVRG(0.3), SAGA(0.2)):
        found = solver.minimise(problem, rows=[1, 2], weights=[3.0, 1.0], epochs=300)
        assert float(found.w) == pytest.approx(1.75, abs=2e-2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_stand_for_copies_of_rows(solver, make):
    """In expectation: with small steps the weighted run follows the run on the copied rows."""
    problem = make("binary", n=12)
    counts = torch.tensor([1, 3, 2, 1, 5, 1, 1, 2, 1, 4, 2, 1])
    copies = torch.arange(12).repeat_interleave(counts)
    steps = 400
    weighted = solver(0.002, replacement=True).minimise(
        problem, rows=torch.arange(12), weights=counts.float(), epochs=steps * 2
    )
    copied = solver(0.002, replacement=True).minimise(problem, rows=copies, epochs=steps)
    torch.testing.assert_close(weighted.w, copied.w, atol=0.06, rtol=0.1)
    plain = solver(0.002, replacement=True).minimise(problem, epochs=steps * 2)
    assert (weighted.w - copied.w).norm() < 0.25 * (plain.w - copied.w).norm()


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_seed_same_answer(solver, make):
    problem = make("softmax", n=30)
    first = solver(0.05).minimise(problem, epochs=3, seed=4)
    again = solver(0.05).minimise(problem, epochs=3, seed=4)
    other = solver(0.05).minimise(problem, epochs=3, seed=5)
    assert torch.equal(first.w, again.w)
    assert not torch.equal(first.w, other.w)
    state = torch.random.get_rng_state()
    legacy = np.random.mtrand._rand.get_state()[1].copy()
    solver(0.05).minimise(problem, epochs=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert (legacy == np.random.mtrand._rand.get_state()[1]).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_all_rows_as_a_coreset_change_nothing(solver, make):
    problem = make("ridge", n=20)
    whole = solver(0.05).minimise(problem, epochs=3)
    picked = solver(0.05).minimise(problem, rows=torch.arange(20), epochs=3)
    assert torch.equal(whole.w, picked.w)
    anchored = solver(0.05, anchor="all").minimise(problem, epochs=3)
    assert torch.equal(whole.w, anchored.w)


def test_table_of_saga_holds_the_last_residuals(make):
    class Watched(SAGA):
        def prepare(self, state):
            super().prepare(state)
            self.state = state

    problem = make("binary", n=9)
    solver = Watched(0.05, batch_size=4, replacement=True)
    solver.minimise(problem, epochs=6)
    state = solver.state
    extended = torch.cat([problem.x, torch.ones(9, 1)], 1).double()
    torch.testing.assert_close(state.centre, state.base.T @ extended / 9)
    assert not torch.equal(state.base, problem.factors(problem.zeros()))


def test_callback_sees_each_epoch_and_may_stop(make):
    problem, seen = make("binary"), []

    def watch(epoch, w, seconds):
        seen.append((epoch, w.clone(), seconds))
        w.fill_(9)  # a copy: training goes on unharmed
        return epoch == 3

    result = SVRG(0.05).minimise(problem, epochs=10, on_epoch=watch)
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert result.epochs == 3
    assert torch.equal(result.w, seen[-1][1])
    assert torch.equal(result.w, SVRG(0.05).minimise(problem, epochs=3).w)
    assert seen[0][2] < seen[1][2] < seen[2][2] <= result.seconds
    # Three anchors and three epochs of 60 rows.
    assert result.row_gradients == 360


def test_clock_stands_still_in_callbacks(make, monkeypatch):
    from strategies.offline.convex import _solver

    now = [0.0]

    def clock():
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(_solver, "working_time", clock)

    def watch(epoch, w, seconds):
        now[0] += 1000.0

    assert SGD(0.01).minimise(make("binary"), epochs=4, on_epoch=watch).seconds < 100


def test_no_epoch_returns_the_start(make):
    problem = make("ridge")
    start = torch.arange(5.0)
    assert torch.equal(SGD(0.1).minimise(problem, epochs=0, start=start).w, start.double())


def test_schedules():
    assert [Constant(0.5)(k) for k in (0, 9)] == [0.5, 0.5]
    assert [KInverse(0.6, 0.5)(k) for k in (0, 1, 2)] == pytest.approx([0.6, 0.4, 0.3])
    assert [Exponential(0.8, 0.5)(k) for k in (0, 1, 2)] == [0.8, 0.4, 0.2]
    for wrong in (0, -1.0, float("nan"), float("inf"), True):
        with pytest.raises(ArgumentError, match="alpha must be a finite number above 0"):
            Constant(wrong)
    with pytest.raises(ArgumentError, match="b must be a finite number of at least 0"):
        KInverse(1.0, -0.1)
    with pytest.raises(ArgumentError, match="b must be above 0 and at most 1"):
        Exponential(1.0, 1.5)


def test_diverging_is_an_error(make):
    problem = make("ridge")
    with pytest.raises(DivergedError, match=r"not finite after epoch \d+: the step size 1e\+0?6"):
        SGD(1e6).minimise(problem, epochs=60)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SGD(-1.0), "learning_rate must be a finite number above 0, not -1.0"),
        (lambda: SVRG(anchor="both"), "anchor must be 'subset' or 'all', not 'both'"),
        (lambda: SAGA(batch_size=0), "batch_size must be a whole number of at least 1"),
        (lambda: SGD(refresh=0), "refresh must be a whole number of at least 1"),
    ],
)
def test_wrong_options_are_refused(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


def test_wrong_calls_are_refused(make):
    problem, solver = make("binary"), SGD(0.1)
    coreset = Coreset.of([1, 2])
    with pytest.raises(ArgumentError, match="give coreset or rows, not both"):
        solver.minimise(problem, coreset=coreset, rows=[1])
    with pytest.raises(ArgumentError, match="weights of all rows belong to the problem"):
        solver.minimise(problem, weights=torch.ones(60))
    with pytest.raises(ArgumentError, match="weights has 3 numbers for 2 rows"):
        solver.minimise(problem, rows=[1, 2], weights=[1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match=r"w must be a tensor of shape \(5,\)"):
        solver.minimise(problem, start=torch.zeros(3))
    with pytest.raises(ArgumentError, match="epochs must be a whole number"):
        solver.minimise(problem, epochs=1.5)
