import pytest
import torch

from benchmarks.offline.data import augmentation, build_data
from clcore.errors import ArgumentError


def rows_of(data):
    return {image.numpy().tobytes() for image in data.images}


def test_rows_are_divided_by_seed_and_disjoint(make_suite):
    suite = make_suite()
    one, again, other = (build_data(suite, seed) for seed in (0, 0, 1))
    assert len(one.y) == 200
    assert len(one.validation[1]) == 50
    assert torch.equal(one.x, again.x)
    assert rows_of(one) != rows_of(other)
    held = (one.validation[0] * 255).round().to(torch.uint8)
    assert not {image.numpy().tobytes() for image in held} & rows_of(one)
    assert torch.equal((one.x * 255).round().to(torch.uint8), one.images)


def test_more_rows_than_there_are(make_suite):
    with pytest.raises(ArgumentError, match="train_rows"):
        build_data(make_suite(train_rows=10_000), 0)


def test_the_long_tail_is_exponential(make_suite):
    data = build_data(make_suite(train_rows=None, imbalance=0.1), 0)
    counts = torch.bincount(data.y).tolist()
    largest = counts[0]
    assert counts == [round(largest * 0.1 ** (label / 9)) for label in range(10)]


def test_an_exact_share_of_labels_is_wrong(make_suite):
    clean, noisy = (build_data(make_suite(label_noise=noise), 0) for noise in (0.0, 0.2))
    assert clean.wrong is None
    assert int(noisy.wrong.sum()) == 40
    assert torch.equal(noisy.wrong, noisy.y != clean.y)
    assert torch.equal(noisy.x, clean.x)
    assert len(torch.unique((noisy.y - clean.y)[noisy.wrong] % 10)) > 3


def test_normalised_by_the_data_set(make_suite):
    data = build_data(make_suite(train_rows=None, validation_rows=0, normalise="dataset"), 0)
    assert abs(float(data.x.mean())) < 1e-3
    assert abs(float(data.x.std()) - 1) < 1e-2


def test_each_image_is_moved_by_itself(make_suite):
    suite = make_suite(augmentation="crop")
    data = build_data(suite, 0)
    augment = augmentation(suite, data)
    torch.manual_seed(0)
    x = data.x[:1].expand(100, -1, -1, -1)
    moved = augment(x)
    assert moved.shape == x.shape
    padded = torch.nn.functional.pad(data.x[0, 0], (4, 4, 4, 4))
    windows = {
        padded[top : top + 8, left : left + 8].numpy().tobytes()
        for top in range(9)
        for left in range(9)
    }
    found = [image[0].contiguous().numpy().tobytes() for image in moved]
    assert set(found) <= windows
    assert len(set(found)) > 20


def test_half_of_the_images_are_mirrored(make_suite):
    suite = make_suite(augmentation="crop-flip")
    data = build_data(suite, 0)
    marked = torch.zeros(400, 1, 8, 8)
    marked[:, :, 4, 2] = 1.0
    marked[:, :, 4, 3] = 0.5
    torch.manual_seed(0)
    moved = augmentation(suite, data)(marked)
    whole = [image[0] for image in moved if image.max() == 1 and (image == 0.5).any()]
    right = sum(int((i == 0.5).nonzero()[0, 1] > (i == 1).nonzero()[0, 1]) for i in whole)
    assert 0.35 < right / len(whole) < 0.65


def test_no_augmentation(make_suite):
    suite = make_suite()
    assert augmentation(suite, build_data(suite, 0)) is None
