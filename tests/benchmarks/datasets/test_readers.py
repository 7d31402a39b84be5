"""The readers, on tiny archives made here: IDX, PNG + JSON, CIFAR's binary records."""

import gzip
import io
import json
import struct

import pytest
import torch
from PIL import Image

from benchmarks.datasets import cifar_10
from benchmarks.datasets._idx import find_idx_files, parse_idx
from clcore.errors import FormatError

IMAGES = torch.arange(3 * 4 * 5, dtype=torch.uint8).view(3, 4, 5)
LABELS = torch.tensor([2, 0, 1], dtype=torch.uint8)


def idx(tensor):
    header = bytes((0, 0, 8, tensor.ndim)) + struct.pack(f">{tensor.ndim}i", *tensor.shape)
    return header + tensor.numpy().tobytes()


def write_idx_folder(folder, suffix=""):
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind, tensor in (("images-idx3-ubyte", IMAGES), ("labels-idx1-ubyte", LABELS)):
            content = idx(tensor)
            if suffix:
                content = gzip.compress(content)
            (folder / f"{part}-{kind}{suffix}").write_bytes(content)


def test_idx_plain_and_gzipped_give_the_tensor():
    assert torch.equal(parse_idx(idx(IMAGES), "x", 3), IMAGES)
    assert torch.equal(parse_idx(gzip.compress(idx(LABELS)), "y", 1), LABELS)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_of_torchvision_is_read(tmp_path, suffix):
    write_idx_folder(tmp_path / "raw", suffix)
    arrays = find_idx_files(tmp_path / "raw")
    assert arrays.train_x.shape == (3, 1, 4, 5)
    assert torch.equal(arrays.test_x[:, 0], IMAGES)
    assert arrays.train_y.tolist() == [2, 0, 1]
    assert arrays.train_y.dtype == torch.int64


def test_a_folder_that_lacks_a_file_is_not_there(tmp_path):
    write_idx_folder(tmp_path / "raw")
    (tmp_path / "raw" / "t10k-labels-idx1-ubyte").unlink()
    assert find_idx_files(tmp_path / "raw") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an IDX file at all",
        idx(IMAGES)[:-1],
        idx(IMAGES) + b"\0",
        idx(LABELS),
        gzip.compress(idx(IMAGES))[:-20],
        b"\x1f\x8b" + b"\0" * 20,
    ],
    ids=["empty", "foreign", "short", "long", "labels", "short gzip", "broken gzip"],
)
def test_damaged_idx_is_named(content):
    with pytest.raises(FormatError, match="train-images in a-folder"):
        parse_idx(content, "train-images in a-folder", 3)


def cifar_files(rows=2):
    """The package's files with `rows` images a part, and the tensors that they hold."""
    files, images = {}, {}
    generator = torch.Generator().manual_seed(0)
    parts = [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]
    for part in parts:
        pixels = torch.randint(0, 256, (rows, 3, 32, 32), dtype=torch.uint8, generator=generator)
        images[part] = pixels
        buffer = io.BytesIO()
        flat = pixels.permute(0, 2, 3, 1).reshape(rows, 1024, 3)
        Image.fromarray(flat.numpy()).save(buffer, "PNG")
        files[f"{part}.png"] = buffer.getvalue()
    files["train_lables.json"] = json.dumps([row % 10 for row in range(5 * rows)]).encode()
    files["test_lables.json"] = json.dumps([row % 10 for row in range(rows)]).encode()
    return files, images


def test_cifar_pictures_give_the_pixels():
    files, images = cifar_files()
    arrays = cifar_10._from_pictures(files, "archive")
    assert arrays.train_x.shape == (10, 3, 32, 32)
    assert torch.equal(arrays.train_x[2:4], images["data_batch_2"])
    assert torch.equal(arrays.test_x, images["test_batch"])
    assert arrays.train_y.tolist() == list(range(10))


def test_cifar_binary_records_give_the_pixels(tmp_path):
    _, images = cifar_files()
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for part, pixels in images.items():
        records = [bytes([label]) + image.numpy().tobytes() for label, image in enumerate(pixels)]
        (folder / f"{part}.bin").write_bytes(b"".join(records))
    arrays = cifar_10.CIFAR10().local(tmp_path)
    assert torch.equal(arrays.train_x[8:], images["data_batch_5"])
    assert arrays.test_y.tolist() == [0, 1]


def test_cifar_pickles_are_left_alone(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for part in (*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"):
        # An opcode stream that would end the process if anyone unpickled it.
        (folder / part).write_bytes(b"cos\n_exit\n(I3\ntR.")
    assert cifar_10.CIFAR10().local(tmp_path) is None


def test_damaged_cifar_files_are_named(tmp_path):
    files, _ = cifar_files()
    for name, content in (
        ("data_batch_3.png", files["data_batch_3.png"][:100]),
        ("data_batch_3.png", b"no picture"),
        ("train_lables.json", b"[1, 2"),
        ("train_lables.json", b'{"a": 1}'),
    ):
        with pytest.raises(FormatError, match=name):
            cifar_10._from_pictures({**files, name: content}, "archive")
    narrow = io.BytesIO()
    Image.new("RGB", (10, 2)).save(narrow, "PNG")
    with pytest.raises(FormatError, match="10 pixels wide"):
        cifar_10._from_pictures({**files, "test_batch.png": narrow.getvalue()}, "archive")
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for part in (*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"):
        (folder / f"{part}.bin").write_bytes(b"\0" * 3000)
    with pytest.raises(FormatError, match="whole records"):
        cifar_10.CIFAR10().local(tmp_path)
