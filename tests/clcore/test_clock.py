"""The clock of costs leaves out what compiling takes, and nothing else."""

import time

import torch

from clcore import Pool, Selector, clock
from clcore.coreset import Coreset


class Compiling(Selector):
    """Spends a moment on what is left out."""

    name = "compiling"

    def _select(self, pool, k, *, given, allowance, generator):
        time.sleep(0.05)
        clock.leave_out(0.05)
        return Coreset.of(range(k))


def test_what_is_left_out_is_no_cost():
    wall = time.perf_counter()
    cost = Compiling().select(Pool(features=torch.eye(3)), 1).cost
    wall = time.perf_counter() - wall
    assert 0 <= cost.seconds <= wall - 0.05


def test_compiling_is_left_out():
    from numba import njit

    import clcore.geometry.compiled  # noqa: F401 - it listens from its import on

    @njit
    def inner(x):
        return x + 1

    @njit
    def outer(x):
        return inner(x) * 2

    wall, working = time.perf_counter(), clock.working_time()
    assert outer(3) == 8
    wall, working = time.perf_counter() - wall, clock.working_time() - working
    assert working < wall
