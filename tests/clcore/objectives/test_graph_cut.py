"""Graph cut against its formula written out."""

import pytest
import torch

from clcore import ArgumentError, Pool
from clcore.objectives import create
from clcore.objectives.graph_cut import GraphCut
from clcore.testing import example_pool


def reference(pool, rows, trade_off, similarity):
    x = pool.signal("features")
    if similarity == "cosine":
        unit = x / x.norm(dim=1, keepdim=True)
        kernel = (1 + unit @ unit.t()) / 2
    elif similarity == "dot":
        kernel = x @ x.t() + x.square().sum(dim=1).max()
    else:
        squared = torch.cdist(x, x).square()
        kernel = torch.exp(-squared / squared.mean())
    attraction = (pool.weights @ kernel)[rows].sum()
    return float(trade_off * attraction - kernel[rows][:, rows].sum())


@pytest.mark.parametrize("similarity", ["cosine", "dot", "rbf"])
@pytest.mark.parametrize("trade_off", [2.0, 0.3])
def test_value_is_the_formula(similarity, trade_off):
    pool = example_pool(30, seed=2)
    function = GraphCut(pool, trade_off, similarity)
    rows = [3, 17, 4, 29, 0]
    assert function.evaluate(rows) == pytest.approx(reference(pool, rows, trade_off, similarity))


def test_features_without_signs_are_not_lifted():
    x = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    function = GraphCut(Pool(features=x), 2.0, "dot")
    # 2 · ⟨(3, 4), (2, 1)⟩ − 5
    assert function.evaluate([1]) == pytest.approx(15.0)


def test_all_rows_at_once_as_on_a_gpu_gives_the_same():
    pool = example_pool(40, seed=1)
    lazy, eager = GraphCut(pool, 1.0, "rbf"), GraphCut(pool, 1.0, "rbf")
    eager._sums.at_once = True
    for row in (5, 9, 2, 33):
        for function in (lazy, eager):
            function.add(torch.tensor([row]))
        few = torch.tensor([row + 1, 0])
        assert torch.allclose(lazy.gains(few), eager.gains(few))
    every = torch.arange(40)
    assert torch.allclose(lazy.gains(every), eager.gains(every))


def test_only_a_large_trade_off_is_called_monotone():
    pool = Pool(features=torch.eye(3))
    assert GraphCut(pool, 2.0).monotone
    assert not GraphCut(pool, 1.9).monotone
    assert not GraphCut(Pool(features=torch.eye(3), weights=[0.5, 1, 1]), 2.0).monotone


def test_sums_take_one_pass_over_pairs_and_gains_none():
    pool = Pool(features=torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
    linear, radial = GraphCut(pool), GraphCut(pool, similarity="rbf")
    assert linear.evaluations == 50
    assert radial.evaluations == 50 * 50


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trade_off": 0}, "trade_off must be a positive number"),
        ({"similarity": "euclidean"}, "similarity must be one of 'dot', 'cosine', 'rbf'"),
        ({"bandwidth": 1.0}, "bandwidth is for the similarity 'rbf'"),
        ({"similarity": "rbf", "bandwidth": -1.0}, "bandwidth must be a positive number"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ArgumentError, match=said):
        create("graph-cut", pool=Pool(features=torch.eye(3)), **options)
