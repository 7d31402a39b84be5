"""Every contestant that can be run here answers a small problem; the exact ones agree."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from benchmarks.speed.side_by_side.lineup import LINEUP

# All in one process, because the imports take longest; warnings are the packages' own affair.
SCRIPT = """
import json, sys
from benchmarks.speed.side_by_side.arrays import clustered, gradients, pictures
from benchmarks.speed.side_by_side.contest import Judge
from benchmarks.speed.side_by_side.catalogue import ROWS
from benchmarks.speed.side_by_side.problem import Problem, solver
from dataclasses import replace

found = {}
for task, names in json.loads(sys.argv[1]).items():
    row = next(row for row in ROWS.values() if row.task == task)
    if task == "gradient-products":
        row, arrays = replace(row, n=6, d=12), pictures(6, 12)
    elif row.data == "gradients":
        row, arrays = replace(row, n=60, d=8, k=6), gradients(60, 8)
    else:
        row, arrays = replace(row, n=60, d=8, k=6, options={**row.options}), clustered(60, 8)
    judge = Judge(row, arrays)
    for contestant in row.contestants:
        if contestant.name in names:
            options = {**row.options, **contestant.options}
            answer = solver(contestant.code)(Problem(arrays, row.k, options=options))
            wrong = judge.wrong(answer)
            objective = row.about.evaluate(arrays, answer, row.options)
            found[f"{task}: {contestant.name}"] = [wrong, objective]
print("found", json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    installed = {
        task: [c.name for c in contestants if all(find_spec(name) for name in c.needs)]
        for task, contestants in LINEUP.items()
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(installed)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = next(line for line in done.stdout.splitlines() if line.startswith("found "))
    answers = json.loads(text.removeprefix("found "))
    assert len(answers) == sum(map(len, installed.values()))
    return answers


def test_every_contestant_answers(found):
    assert {name: wrong for name, (wrong, _) in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("task", "exact"),
    [
        ("k-center", ["torch loop", "numpy loop", "scikit-activeml"]),
        ("facility-location", ["apricot", "submodlib"]),
        ("max-herding", ["apricot, kernel given", "submodlib", "scikit-activeml"]),
        ("prob-cover", ["submodlib", "scikit-activeml"]),
        ("herding", ["torch loop", "numpy loop"]),
        ("gradient-matching", ["numpy loop with NNLS"]),
        ("dpp", ["submodlib"]),
        ("graph-cut", ["apricot", "submodlib"]),
        ("feature-based", ["apricot"]),
    ],
)
def test_exact_contestants_reach_what_ours_reaches(found, task, exact):
    _, ours = found[f"{task}: ours"]
    theirs = {name: found[f"{task}: {name}"][1] for name in exact if f"{task}: {name}" in found}
    assert theirs == {name: pytest.approx(ours, rel=2e-3) for name in theirs}


def test_gradient_products_agree_to_single_precision(found):
    errors = {name: found[f"gradient-products: {name}"][1] for name in ("ours", "loop")}
    assert max(errors.values()) < 1e-5
