"""Instance selection: what is kept, class by class, by each density."""

import pytest
import torch
from sklearn.mixture import GaussianMixture

from clcore import ArgumentError, Pool, select


def two_classes(seed=0):
    """A wide class of 40 and a narrow one of 20, with two outliers in each."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    labels = (torch.arange(60) >= 40).long()
    x[40:] = 0.1 * x[40:] + 5
    x[[3, 17]] += 12
    x[[44, 59]] += 2
    return x, labels


def test_each_class_keeps_its_densest_rows():
    x, labels = two_classes()
    coreset = select("instance-selection", Pool(features=x, labels=labels), 30)
    assert torch.bincount(labels[coreset.indices]).tolist() == [20, 10]
    for label in (0, 1):
        rows = (labels == label).nonzero().squeeze(1)
        model = GaussianMixture(1, reg_covar=1e-5).fit(x[rows].numpy())
        scores = torch.from_numpy(model.score_samples(x[rows].numpy()))
        best = rows[scores.argsort(descending=True)[: len(rows) // 2]]
        assert set(coreset.indices[labels[coreset.indices] == label].tolist()) == set(best.tolist())


@pytest.mark.parametrize("density", ["gaussian", "ppca", "k-nn"])
def test_outliers_go_first(density):
    x, labels = two_classes()
    pool = Pool(features=x, labels=labels)
    kept = select("instance-selection", pool, 54, density=density).indices
    assert not {3, 17, 44, 59} & set(kept.tolist())
    without = select("instance-selection", Pool(features=x), 57, density=density).indices
    assert len(without) == 57
    same = select("instance-selection", pool, 57, density=density, per_label=False).indices
    assert torch.equal(without, same)


def test_bad_options():
    pool = Pool(features=torch.eye(4))
    for option, words in (
        ({"density": "kde"}, "density must be"),
        ({"regularisation": 0.0}, "regularisation must be"),
        ({"variance": 1.0}, "variance must be between"),
        ({"neighbours": 0}, "neighbours must be a whole number"),
    ):
        with pytest.raises(ArgumentError, match=words):
            select("instance-selection", pool, 2, **option)
