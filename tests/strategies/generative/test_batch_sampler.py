"""CoresetBatchSampler: pools, batches, epochs, resume, loaders, what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from clcore import ArgumentError, Pool, SignalError, select
from clcore.selectors.fdd_coreset import FDDCoreset
from strategies.generative import CoresetBatchSampler, Embeddings


def vectors(n=200, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(1, 90), st.integers(1, 6), st.sampled_from([1, 1.5, 2, 4]), st.integers(0, 9))
def test_no_row_comes_up_twice_before_all_were_offered(n, size, factor, seed):
    if round(factor * size) > n:
        return
    sampler = CoresetBatchSampler(vectors(n, 2), size, factor, seed=seed)
    assert len(sampler) == n // round(factor * size)
    for _ in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(len(batch) == size for batch in batches)
        rows = [row for batch in batches for row in batch]
        assert len(set(rows)) == len(rows)
        assert all(type(row) is int and 0 <= row < n for row in rows)


def test_each_batch_is_the_selectors_choice_from_its_pool():
    x = vectors()
    sampler = CoresetBatchSampler(x, 5, 4)
    for number, batch in enumerate(sampler):
        pool = sampler.pool(number)
        picks = select("k-center", Pool(features=x[pool]), 5).indices
        assert batch == pool[picks].tolist()
    pools = torch.cat([sampler.pool(number) for number in range(len(sampler))])
    assert sorted(pools.tolist()) == list(range(200))


def test_epochs_differ_and_seeds_repeat():
    first, again, other = (CoresetBatchSampler(vectors(), 5, 4, seed=s) for s in (1, 1, 2))
    one, two = list(first), list(first)
    assert one != two
    assert [list(again), list(again)] == [one, two]
    assert list(other) != one
    assert first.epoch == 2
    first.set_epoch(0)
    assert list(first) == one


def test_more_batches_than_a_pass_go_on_into_the_next():
    sampler = CoresetBatchSampler(vectors(40), 5, 4, batches=5)
    longer = CoresetBatchSampler(vectors(40), 5, 4)
    epoch = list(sampler)
    assert len(epoch) == len(sampler) == 5
    assert epoch == (list(longer) + list(longer) + list(longer))[:5]
    assert next(iter(sampler)) == longer.batch(5)


def test_an_epoch_left_in_the_middle_is_over():
    sampler = CoresetBatchSampler(vectors(), 5, 4)
    whole = list(sampler), list(sampler)
    sampler.set_epoch(0)
    for _ in sampler:
        break
    assert list(sampler) == whole[1]


@pytest.mark.parametrize("selector", ["k-center", "k-means-plus-plus"])
def test_resume_goes_on_with_the_same_batches(selector):
    sampler = CoresetBatchSampler(vectors(), 5, 4, selector, seed=3)
    list(sampler)
    walk = iter(sampler)
    done = [next(walk) for _ in range(4)]
    state = sampler.state_dict()
    rest, later = list(walk), list(sampler)
    resumed = CoresetBatchSampler(vectors(), 5, 4, selector, seed=3)
    torch.manual_seed(99)
    resumed.load_state_dict(state)
    assert list(resumed) == rest
    assert list(resumed) == later
    assert len(done) + len(rest) == len(sampler)
    with pytest.raises(ArgumentError, match="batch_size = 5 where this one has 4"):
        CoresetBatchSampler(vectors(), 4, 5, selector, seed=3).load_state_dict(state)


def test_state_of_other_embeddings_is_refused():
    state = CoresetBatchSampler(vectors(), 5, 4).state_dict()
    with pytest.raises(ArgumentError, match="the state is of a sampler with vectors"):
        CoresetBatchSampler(vectors(seed=1), 5, 4).load_state_dict(state)


def test_feature_maps_by_their_descriptors():
    """FDD-Coreset as the selector: maps stay maps in the embeddings and are flattened here."""
    maps = torch.randn(60, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    embeddings = Embeddings.of(maps, nn.Identity())
    sampler = CoresetBatchSampler(embeddings, 5, 4, FDDCoreset(shape=(3, 2, 2)))
    pool = sampler.pool(0)
    picks = select("fdd-coreset", Pool(features=maps[pool]), 5).indices
    assert sampler.batch(0) == pool[picks].tolist()


def test_resume_with_workers_counts_what_was_trained_on():
    data = TensorDataset(torch.arange(200))
    sampler = CoresetBatchSampler(vectors(), 5, 4)
    loader = DataLoader(data, batch_sampler=sampler, num_workers=1)
    walk = iter(loader)
    seen = [next(walk)[0].tolist() for _ in range(3)]
    state = sampler.state_dict(taken=3)
    assert sampler.state_dict()["place"] > 3, "the worker read ahead"
    rest = [batch[0].tolist() for batch in walk]
    resumed = CoresetBatchSampler(vectors(), 5, 4)
    resumed.load_state_dict(state)
    assert seen + list(resumed) == seen + rest


def test_in_a_loader_with_data_and_embeddings():
    x, y = vectors(120, 3), torch.arange(120) % 3
    data = TensorDataset(x, y)
    embeddings = Embeddings.of(data, nn.Flatten())
    sampler = CoresetBatchSampler(embeddings, 6, 4, "kernel-herding", data=data, labels=y, seed=1)
    before = torch.get_rng_state()
    batches = list(sampler)
    assert torch.equal(torch.get_rng_state(), before)
    sampler.set_epoch(0)
    loaded = list(DataLoader(data, batch_sampler=sampler))
    assert len(loaded) == len(sampler) == 5
    assert all(torch.equal(a, x[b]) for (a, _), b in zip(loaded, batches, strict=True))


def test_bad_input():
    with pytest.raises(ArgumentError, match="needs a pool of 256 rows, and there are 200"):
        CoresetBatchSampler(vectors(), 64, 4)
    with pytest.raises(ArgumentError, match="200 rows where data has 3"):
        CoresetBatchSampler(vectors(), 4, data=torch.zeros(3, 1))
    with pytest.raises(ArgumentError, match="checksum"):
        CoresetBatchSampler(Embeddings.of(vectors(), nn.Identity()), 4, data=vectors(seed=1))
    with pytest.raises(ArgumentError, match="batch_size must be a whole number of at least 1"):
        CoresetBatchSampler(vectors(), 0)
    with pytest.raises(ArgumentError, match="labels has 3 rows"):
        CoresetBatchSampler(vectors(), 4, labels=[0, 1, 2])
    with pytest.raises(ArgumentError, match="taken must be at most"):
        CoresetBatchSampler(vectors(), 4).state_dict(taken=99)
    bad = vectors()
    bad[7] = torch.nan
    with pytest.raises(SignalError, match="'embeddings' holds NaN, first in row 7"):
        CoresetBatchSampler(bad, 4)
