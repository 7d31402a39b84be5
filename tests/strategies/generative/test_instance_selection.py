"""select_instances: a subset of a data set by density."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from clcore import ArgumentError, Pool, select
from strategies.generative import Embeddings, select_instances


def data(n=60):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    return TensorDataset(x, torch.arange(n) % 3)


def test_the_subset_is_the_selectors():
    whole = data()
    kept = select_instances(whole, whole.tensors[0], 0.4)
    pool = Pool(features=whole.tensors[0], labels=whole.tensors[1])
    picks = select("instance-selection", pool, 24).indices
    assert kept.indices == sorted(picks.tolist())
    assert kept.dataset is whole
    assert torch.bincount(whole.tensors[1][kept.indices]).tolist() == [8, 8, 8]
    assert len(select_instances(whole, whole.tensors[0], 1.0)) == 60
    assert len(select_instances(whole, whole.tensors[0], 0.001)) == 1


def test_classes_can_be_left_out_or_given():
    whole = data()
    x = whole.tensors[0]
    plain = TensorDataset(x)
    one = select_instances(plain, x, 0.5, density="k-nn", neighbours=3).indices
    assert one == select_instances(
        whole, x, 0.5, per_class=False, density="k-nn", neighbours=3
    ).indices  # fmt: skip
    given = select_instances(plain, x, 0.5, labels=whole.tensors[1]).indices
    assert given == select_instances(whole, x, 0.5).indices


def test_bad_input():
    whole = data()
    x = whole.tensors[0]
    for retention in (0, 1.5, float("nan"), True):
        with pytest.raises(ArgumentError, match="retention must be above 0"):
            select_instances(whole, x, retention)
    with pytest.raises(ArgumentError, match="3 rows where data has 60"):
        select_instances(whole, x[:3])
    with pytest.raises(ArgumentError, match="checksum"):
        select_instances(whole, Embeddings.of(x + 1, nn.Identity()))
