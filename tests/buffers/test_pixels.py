"""The shortcut for uint8 pixels gives what torchvision's steps give, bit for bit."""

import pytest
import torch
from torchvision import transforms as v1
from torchvision.transforms import v2

from buffers.pixels import pixel_scaling
from buffers.transforms import BatchTransform, flatten

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)

PIPELINES = {
    "v1": [v1.ToTensor(), v1.Normalize(MEAN, STD)],
    "v1 alone": [v1.ToTensor()],
    "v1 dtype": [v1.PILToTensor(), v1.ConvertImageDtype(torch.float32), v1.Normalize(MEAN, STD)],
    "v2": [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)],
    "composed": [v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])],
}


@pytest.mark.parametrize("steps", PIPELINES.values(), ids=PIPELINES)
def test_same_as_torchvision_on_each_image(steps):
    images = torch.arange(2 * 3 * 16 * 16).remainder(256).to(torch.uint8).view(2, 3, 16, 16)
    pipeline = BatchTransform(steps, pil=True)
    assert pixel_scaling(flatten(steps)) is not None
    given = images.clone()
    expected = torch.stack(
        [v1.Compose(steps)(v1.functional.to_pil_image(image)) for image in images]
    )
    assert torch.equal(pipeline(images), expected)
    assert torch.equal(images, given)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [v1.RandomHorizontalFlip(), v1.ToTensor()],
        [v1.ToTensor(), v1.Normalize(MEAN, (0.0, 1.0, 1.0))],
        [v2.ToDtype(torch.float32, scale=False)],
        [v2.ToDtype(torch.float64, scale=True)],
        [v1.ToTensor(), v1.Normalize(MEAN, STD), v1.RandomErasing()],
    ],
    ids=["nothing", "random", "no deviation", "unscaled", "double", "longer"],
)
def test_other_pipelines_go_step_by_step(steps):
    assert pixel_scaling(flatten(steps)) is None
