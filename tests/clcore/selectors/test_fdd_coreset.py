"""FDD-Coreset: brute-force farthest-first under the Fréchet distance, layouts, what it sees."""

import pytest
import torch

from clcore import ArgumentError, Pool, SignalError, select
from clcore.geometry.descriptors import GaussianPoints


def maps(n, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
    return x * torch.rand(n, *[1] * len(shape), generator=generator) * 3


def brute(x, k, first, diagonal):
    flat = x.flatten(2)
    if diagonal:
        moments = torch.cat([flat.mean(dim=2), flat.std(dim=2, unbiased=False)], dim=1)
        squared = torch.cdist(moments, moments).square()
    else:
        points = GaussianPoints(x)
        squared = torch.stack([points.exact(torch.arange(len(x)), row) for row in range(len(x))])
    picks, least = [first], squared[first].clone()
    while len(picks) < k:
        picks.append(int(least.argmax()))
        least = torch.minimum(least, squared[picks[-1]])
    return picks


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("shape", [(4, 3, 3), (6, 2)])
def test_farthest_first(covariance, shape):
    x = maps(30, *shape)
    coreset = select("fdd-coreset", Pool(features=x), 12, covariance=covariance, first=4)
    assert coreset.indices.tolist() == brute(x, 12, 4, covariance == "diagonal")
    more = select(
        "fdd-coreset", Pool(features=x), 5, covariance=covariance, given=coreset.indices[:7]
    )
    assert more.indices.tolist() == coreset.indices[7:].tolist()


def test_it_sees_texture_that_means_do_not():
    """Two kinds of images with equal means and variances: only full covariances tell them apart."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, 1, 64, generator=generator, dtype=torch.float64)
    b = torch.randn(40, 1, 64, generator=generator, dtype=torch.float64)
    together = torch.arange(40) % 8 == 0
    x = torch.cat([a, torch.where(together[:, None, None], a, b)], dim=1)
    x = (x - x.mean(dim=2, keepdim=True)) / x.std(dim=2, unbiased=False, keepdim=True)
    picks = select("fdd-coreset", Pool(features=x), 2, covariance="full").indices
    assert sorted(together[picks].tolist()) == [False, True]


def test_flattened_maps_need_their_shape():
    x = maps(20, 3, 2, 2)
    whole = select("fdd-coreset", Pool(features=x), 6)
    flat = select("fdd-coreset", Pool(features=x.flatten(1)), 6, shape=(3, 2, 2))
    assert torch.equal(whole.indices, flat.indices)
    tokens = select("fdd-coreset", Pool(features=x.flatten(2).mT), 6, channels="last")
    assert torch.equal(whole.indices, tokens.indices)
    points = select("fdd-coreset", Pool(features=x.flatten(1)), 6)
    assert torch.equal(points.indices, select("k-center", Pool(features=x.flatten(1)), 6).indices)
    with pytest.raises(SignalError, match=r"12 numbers a row, which is not shape \(5, 5\)"):
        select("fdd-coreset", Pool(features=x.flatten(1)), 6, shape=(5, 5))


def test_bad_options():
    pool = Pool(features=maps(5, 2, 2))
    for option, words in (
        ({"covariance": "half"}, "covariance must be 'diagonal' or 'full'"),
        ({"channels": "middle"}, "channels must be 'first' or 'last'"),
        ({"shape": 3}, "shape must be the shape of one row"),
        ({"shape": (0, 2)}, "shape must be a whole number of at least 1"),
        ({"first": "last"}, "first must be"),
    ):
        with pytest.raises(ArgumentError, match=words):
            select("fdd-coreset", pool, 2, **option)
