"""Two processes against one: values, guarantees, and what happens when one is lost."""

import importlib.util
import math
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clcore import Pool, select
from clcore.objectives import create as create_objective

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("processes", HERE / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

N = 400


def rows():
    generator = torch.Generator().manual_seed(0)
    centres = 6 * torch.randn(8, 4, generator=generator)
    x = centres[torch.randint(8, (N,), generator=generator)]
    return x + torch.randn(N, 4, generator=generator)


def columns():
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (N,), generator=generator)
    return labels, torch.rand(N, generator=generator) + 0.5


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two processes wrote and printed."""
    folder = tmp_path_factory.mktemp("together")
    x, (labels, weights) = rows(), columns()
    np.save(folder / "a.npy", x[:150].numpy())
    np.save(folder / "b.npy", x[150:].numpy())
    save_file({"labels": labels, "weights": weights}, folder / "data.safetensors")
    ended = processes.finish(processes.start(HERE / "together.py", folder))
    for said, code in ended:
        assert code == 0, said
    return [load_file(folder / f"{rank}.out") for rank in range(2)], [said for said, _ in ended]


def nearest(x, picks, labels=None):
    away = torch.cdist(x.double(), x[picks].double())
    if labels is not None:
        away = away.masked_fill(labels.unsqueeze(1) != labels[picks], torch.inf)
    return away.min(dim=1)


def test_all_processes_have_the_same_answer(both):
    (left, right), _ = both
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


@pytest.mark.parametrize("name", ["craig", "exact", "parts", "quick"])
def test_certificates_hold_and_weights_are_those_of_the_rows(both, name):
    (out, _), _ = both
    x, (labels, weights) = rows(), columns()
    picks, carried = out[f"{name}.indices"], out[f"{name}.weights"]
    assert len(torch.unique(picks)) == 20
    assert float(carried.sum()) == pytest.approx(float(weights.sum()), rel=1e-6)
    for label in range(3):
        mine = labels[picks] == label
        assert float(carried[mine].sum()) == pytest.approx(float(weights[labels == label].sum()))
    exact = float(nearest(x, picks, labels).values @ weights.double())
    bound = float(out[f"{name}.error_bound"])
    assert exact <= bound * (1 + 1e-6)
    left = (weights.double() @ x.double() - carried @ x[picks].double()).norm()
    assert float(left) <= bound
    if name == "exact":
        assert bound == pytest.approx(exact)
    else:
        assert float(out[f"{name}.first_round"]) < bound


def test_the_value_is_near_that_of_one_machine_and_above_the_guarantee(both):
    (out, _), _ = both
    x, (labels, weights) = rows(), columns()
    pool = Pool(features=x, labels=labels, weights=weights)
    alone = select("craig", pool, 20, gradients="features").report["error_bound"]
    # Half of one minus 1/e of a function that is at most this constant less the error.
    for name in ("craig", "parts"):
        exact = float(nearest(x, out[f"{name}.indices"], labels).values @ weights.double())
        assert exact < 1.15 * alone
    location = create_objective("facility-location", pool=Pool(features=x))
    one = select("facility-location", Pool(features=x), 12).indices
    share = location.evaluate(out["location.indices"]) / location.evaluate(one)
    assert share > 0.5 * (1 - 1 / math.e)
    assert share > 0.99
    volume = create_objective("log-determinant", pool=Pool(features=x))
    one = select("dpp", Pool(features=x), 6).indices
    assert math.exp(volume.evaluate(out["dpp.indices"]) - volume.evaluate(one)) > 0.5 * (
        1 - 1 / math.e
    )


@pytest.mark.parametrize("name", ["farthest", "parted"])
def test_two_rounds_of_farthest_first_are_within_four_times_the_optimum(both, name):
    (out, _), _ = both
    x = rows()
    picks, radius = out[f"{name}.indices"], float(out[f"{name}.radius"])
    assert radius == pytest.approx(float(nearest(x, picks).values.max()))
    assert radius <= float(out[f"{name}.radius_bound"]) * (1 + 1e-9)
    # Farthest-first leaves at most twice the optimum, so half its radius is below the optimum.
    alone = select("k-center", Pool(features=x), 15).indices
    assert radius <= 4 * float(nearest(x, alone).values.max())
    assert radius <= 2 * float(nearest(x, alone).values.max())


def test_in_step_the_picks_are_those_of_one_machine(both):
    (out, _), _ = both
    x = rows()
    alone = select("k-center", Pool(features=x), 15).indices
    assert out["in-step.indices"].tolist() == alone.tolist()
    assert float(out["in-step.radius"]) == pytest.approx(float(nearest(x, alone).values.max()))
    assert len(out["few.indices"]) == 1


def test_a_failure_is_told_to_the_others_and_a_silent_process_is_given_up(both):
    _, (first, second) = both
    assert "WorkerError process 1 of 2 failed: ValueError: the disk is gone" in first
    assert "ValueError the disk is gone" in second
    assert re.search(r"gave up: process 0 of 2 lost the others.*within 1 s", first)


def test_a_killed_process_is_an_error_within_seconds(tmp_path):
    started = time.monotonic()
    (said, code), (_, killed) = processes.finish(processes.start(HERE / "killed.py", tmp_path))
    assert code == 3, said
    assert killed == -9
    assert float(re.search(r"after ([0-9.]+) s", said)[1]) < 15
    assert "process 0 of 2 lost the others: one was killed, or did not answer within 300 s" in said
    assert time.monotonic() - started < 120
