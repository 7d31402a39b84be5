"""Batch transforms against torchvision's, sample by sample."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image

from buffers.transforms import BatchTransform, flatten
from clcore.errors import ArgumentError

PICTURES = torch.randint(0, 256, (7, 3, 10, 12), dtype=torch.uint8)
FLOATS = torch.rand(7, 3, 10, 12)


def pil(x):
    return [to_pil_image(row) for row in x]


def alone(steps, samples):
    composed = v1.Compose(steps)
    return torch.stack([composed(sample) for sample in samples])


FROM_PIL = {
    "v1": [v1.ToTensor(), v1.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))],
    "v1 crop": [v1.CenterCrop(8), v1.ToTensor()],
    "v1 bytes": [v1.PILToTensor(), v1.ConvertImageDtype(torch.float32)],
    "v1 resize": [v1.Resize(6), v1.ToTensor()],
    "v1 grey": [v1.Grayscale(), v1.Pad(2), v1.ToTensor()],
    "v2": [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.2])],
    "v2 by type": [
        v2.ToImage(),
        v2.ToDtype({v2.functional.to_image(PICTURES[0]).__class__: torch.float16, "others": None}),
        v2.ToPureTensor(),
    ],
    "v2 dtype passes pictures by": [v2.ToDtype(torch.float32, scale=True), v2.PILToTensor()],
    "nested": [v1.Compose([v1.Compose([v1.CenterCrop(9)]), v2.Compose([v2.Identity()])]),
               v1.ToTensor()],
    "a function": [v1.Lambda(lambda image: image.rotate(90)), v1.ToTensor(), torch.flatten],
    "to array": [np.array, v1.ToTensor()],
}  # fmt: skip


@pytest.mark.parametrize("name", FROM_PIL)
def test_deterministic_pipelines_on_pictures_are_equal_bit_for_bit(name):
    batch = BatchTransform(FROM_PIL[name], pil=True)
    before = PICTURES.clone()
    ours = batch(PICTURES)
    theirs = alone(FROM_PIL[name], pil(PICTURES))
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)
    assert torch.equal(PICTURES, before)


FROM_TENSOR = {
    "normalise in place": [v1.Normalize((0.4,), (0.2,), inplace=True)],
    "v2": [v2.CenterCrop(6), v2.Normalize([0.5], [0.2], inplace=True)],
    "normalise by tensors": [v1.Normalize(torch.tensor([0.4]), torch.tensor([0.2]))],
    "dtype": [v2.ToDtype(torch.float64), v2.ConvertImageDtype(torch.float32)],
    "sequential": [torch.nn.Sequential(v1.CenterCrop(6), v1.Normalize((0.1,), (0.2,)))],
    "writes in place": [lambda x: x.mul_(2)],
    "reshapes": [lambda x: x.permute(1, 2, 0), torch.flatten],
    "numbers": [lambda x: float(x.sum())],
    "nothing": [],
}


@pytest.mark.parametrize("name", FROM_TENSOR)
def test_deterministic_pipelines_on_tensors_are_equal_bit_for_bit(name):
    kept = FLOATS.clone()
    ours = BatchTransform(FROM_TENSOR[name])(FLOATS)
    composed = v1.Compose(FROM_TENSOR[name])
    theirs = torch.stack([torch.as_tensor(composed(row.clone())) for row in kept])
    assert torch.equal(ours, theirs)
    assert torch.equal(FLOATS, kept), "the store's own rows must not be written to"


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3)])
def test_arrays_are_taken_as_torchvision_takes_them(shape):
    arrays = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for steps in ([v1.ToTensor()], [v2.ToImage()], [lambda a: a[::-1], np.ascontiguousarray]):
        ours = BatchTransform(steps, array=True)(torch.from_numpy(arrays))
        theirs = torch.stack([torch.as_tensor(v1.Compose(steps)(a)) for a in arrays])
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("flip", [v1.RandomHorizontalFlip, v2.RandomHorizontalFlip,
                                  v1.RandomVerticalFlip, v2.RandomVerticalFlip])  # fmt: skip
def test_flips_draw_for_each_row(flip):
    axis = -1 if "Horizontal" in flip.__name__ else -2
    x = PICTURES[:1].expand(4000, -1, -1, -1)
    torch.manual_seed(0)
    flipped = BatchTransform([flip(0.3)])(x)
    is_flipped = (flipped == PICTURES[:1].flip(axis)).flatten(1).all(1)
    is_same = (flipped == PICTURES[:1]).flatten(1).all(1)
    assert bool((is_flipped | is_same).all())
    assert 0.27 < float(is_flipped.float().mean()) < 0.33
    singles = [BatchTransform([flip(0.3)])(PICTURES[:1]) for _ in range(500)]
    share = sum(torch.equal(single, PICTURES[:1].flip(axis)) for single in singles) / 500
    assert 0.2 < share < 0.4


def _windows(picture, padding, size):
    left, top, right, bottom = padding
    padded = torch.nn.functional.pad(picture, (left, right, top, bottom))
    _, height, width = padded.shape
    return {
        padded[:, i : i + size[0], j : j + size[1]].contiguous().numpy().tobytes(): (i, j)
        for i in range(height - size[0] + 1)
        for j in range(width - size[1] + 1)
    }


@pytest.mark.parametrize(
    ("padding", "sides"),
    [(None, (0, 0, 0, 0)), (2, (2, 2, 2, 2)), ((1, 2), (1, 2, 1, 2)), ([3], (3, 3, 3, 3)),
     ((1, 2, 3, 0), (1, 2, 3, 0))],
)  # fmt: skip
@pytest.mark.parametrize("module", [v1, v2])
def test_crops_draw_every_window_of_each_row_alike(module, padding, sides):
    if module is v1 and padding == [3]:
        padding = (3,)
    step = module.RandomCrop((9, 10), padding=padding)
    windows = _windows(PICTURES[0], sides, (9, 10))
    torch.manual_seed(0)
    n = 300 * len(windows)
    crops = BatchTransform([step])(PICTURES[:1].expand(n, -1, -1, -1))
    drawn = [windows[crop.contiguous().numpy().tobytes()] for crop in crops]
    counts = torch.tensor([drawn.count(place) for place in windows.values()])
    assert bool((counts > 200).all())
    assert bool((counts < 400).all())
    single = BatchTransform([step])(PICTURES[:1])[0]
    assert single.contiguous().numpy().tobytes() in windows


def test_rows_of_a_batch_draw_independently():
    torch.manual_seed(0)
    batch = BatchTransform([v1.RandomCrop(10, padding=3), v1.RandomHorizontalFlip()])
    x = torch.arange(120.0).view(1, 1, 10, 12).expand(64, -1, -1, -1)
    assert len({row.contiguous().numpy().tobytes() for row in batch(x)}) > 30


@pytest.mark.parametrize(
    "step",
    [v1.RandomRotation(30), v1.ColorJitter(0.5), v1.RandomErasing(1.0), v2.RandomRotation(30),
     v1.RandomCrop(8, padding=2, padding_mode="reflect"), v1.RandomCrop(8, padding=2, fill=9),
     v1.RandomCrop(14, pad_if_needed=True)],
    ids=lambda step: type(step).__name__,
)  # fmt: skip
def test_other_random_steps_go_row_by_row_with_torchvision_s_own_draws(step):
    steps = [v1.ToTensor(), step] if isinstance(step, v1.RandomErasing) else [step, v1.ToTensor()]
    batch = BatchTransform(steps, pil=True)
    assert not batch.vectorised
    assert not batch.deterministic
    torch.manual_seed(3)
    ours = batch(PICTURES)
    torch.manual_seed(3)
    assert torch.equal(ours, alone(steps, pil(PICTURES)))


class Twice:
    """A step that says it takes batches."""

    batched = True

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * 2


def test_a_step_may_say_that_it_takes_batches():
    step = Twice()
    batch = BatchTransform([step])
    assert batch.vectorised
    assert batch.deterministic
    assert torch.equal(batch(FLOATS), FLOATS * 2)
    assert step.calls == 1


def test_what_is_deterministic_and_vectorised_is_known():
    assert BatchTransform([v1.ToTensor(), v1.Normalize((0.5,), (0.5,))], pil=True).deterministic
    assert BatchTransform([v1.Resize(5)]).deterministic
    assert not BatchTransform([v1.Resize(5)]).vectorised
    assert not BatchTransform([v1.RandomHorizontalFlip()]).deterministic
    assert BatchTransform([v1.RandomHorizontalFlip()]).vectorised
    assert not BatchTransform([lambda x: x]).deterministic


def test_a_window_larger_than_the_picture_is_refused():
    with pytest.raises(ArgumentError, match="larger than the padded image, 10x12"):
        BatchTransform([v1.RandomCrop(11)])(FLOATS)


def test_normalising_by_nothing_is_refused():
    with pytest.raises(ValueError, match="std evaluated to zero"):
        BatchTransform([v1.Normalize((0.5,), (0.0,))])(FLOATS)


def test_rows_of_different_shape_are_refused():
    with pytest.raises(ArgumentError, match="different shapes"):
        BatchTransform([lambda x: x[x > 0.5]])(FLOATS)


def test_flatten_unfolds_compositions():
    a, b, c = v1.ToTensor(), v1.CenterCrop(3), v2.RandomHorizontalFlip()
    nested = v1.Compose([a, v2.Compose([b, torch.nn.Sequential(torch.nn.Identity(), c)])])
    assert flatten([None, nested]) == [a, b, c]


def _turned(angle):
    return lambda image: image.rotate(angle)


def test_pipelines_compare_by_what_they_do():
    def pipeline(mean=0.5, angle=3):
        return BatchTransform(
            [_turned(angle), v1.ToTensor(), v1.Normalize((mean,), (torch.tensor(0.2),))], pil=True
        )

    assert pipeline() == pipeline()
    assert pipeline() != pipeline(mean=0.4)
    assert pipeline() != pipeline(angle=4)
    assert BatchTransform([]) != BatchTransform([], pil=True)
    assert BatchTransform([v1.CenterCrop(3)]) != BatchTransform([v2.CenterCrop(3)])
    assert BatchTransform([Image.Image.copy]) == BatchTransform([Image.Image.copy])
    assert "CenterCrop" in repr(BatchTransform([v1.CenterCrop(3)]))
