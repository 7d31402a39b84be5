"""MaxHerding: picks against brute force, and what they are good for at few labels."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.testing import check_selector


def test_picks_are_those_of_brute_force():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 5, generator=generator, dtype=torch.float64)
    weights = torch.rand(80, generator=generator, dtype=torch.float64)
    unit = x / x.norm(dim=1, keepdim=True)
    similar = (-torch.cdist(unit, unit).square()).exp()
    best, picks = torch.zeros(80, dtype=torch.float64), []
    for _ in range(15):
        gains = (similar - best).clamp_min(0) @ weights
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        best = torch.maximum(best, similar[picks[-1]])
    answer = select("max-herding", Pool(features=x, weights=weights), 15)
    assert answer.indices.tolist() == picks
    assert answer.report["value"] == pytest.approx(float(best @ weights), rel=1e-5)


def test_twenty_points_above_random_at_ten_labels():
    data = load_digits()
    x = torch.tensor(data.data, dtype=torch.float32)
    x = x - x.mean(dim=0)
    x = x / x.norm(dim=1, keepdim=True)
    y = torch.tensor(data.target)
    scores = {"max-herding": [], "random": []}
    for split in range(4):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(split))
        pool, rest = order[:1300], order[1300:]
        for name, reached in scores.items():
            picks = pool[select(name, Pool(features=x[pool]), 10, seed=split).indices]
            model = LogisticRegression(C=10, max_iter=500)
            model.fit(x[picks].numpy(), y[picks].numpy())
            reached.append(100 * model.score(x[rest].numpy(), y[rest].numpy()))
    means = {name: sum(reached) / len(reached) for name, reached in scores.items()}
    assert means["max-herding"] >= means["random"] + 20


@pytest.mark.parametrize("kernel", ["laplace", "student-t", "top-hat"])
def test_contracts(kernel):
    # A plain top-hat leaves many rows equal, so the order of the pool decides: a wide one doesn't.
    if kernel != "top-hat":
        check_selector(create("max-herding", kernel=kernel))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert len(select("max-herding", Pool(features=x), 9, kernel=kernel)) == 9


def test_wrong_options_are_named():
    with pytest.raises(ArgumentError, match="bandwidth"):
        create("max-herding", bandwidth=-1.0)
    with pytest.raises(ArgumentError, match="kernel"):
        create("max-herding", kernel="cauchy")
