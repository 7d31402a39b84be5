"""What every buffer resumes from, copies and refuses: states, files and bad rows."""

import copy
import random

import numpy as np
import pytest
import torch
from buffer_cases import CASES, CLASSES, KINDS, feed, make, rows, shown
from safetensors.torch import save_file

import clcore.tensor_files
from clcore.errors import ArgumentError, FormatError, SignalError


@pytest.fixture(params=CASES, ids=shown)
def case(request):
    return request.param


def reads_features(case):
    """Whether a batch of a few rows is chosen by features."""
    return case[1].get("selector") != "random" and case[1].get("smallest_choice", 0) < 6


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    a["cost"], b["cost"] = a["cost"][1:], b["cost"][1:]  # seconds differ
    assert a["tensors"].keys() == b["tensors"].keys()
    for name, tensor in a.pop("tensors").items():
        assert torch.equal(tensor, b["tensors"][name]), name
    b.pop("tensors")
    assert a == b


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resize", [False, True])
def test_resume_is_bit_for_bit(case, kind, resize, tmp_path):
    buffer = make(case, 40, seed=3)
    feed(buffer, kind, 0, 150, case)
    if resize:
        buffer.resize(None, 25)
    buffer.sample(5)
    buffer.save(tmp_path / "memory.safetensors")
    other = make(case, 40, seed=99).load(tmp_path / "memory.safetensors")
    same(buffer, other)
    for one in (buffer, other):
        feed(one, kind, 150, 150, case)
    same(buffer, other)
    one, two = buffer.sample(9), other.sample(9)
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.index, two.index)
    assert buffer.replaced == other.replaced


def test_resume_of_an_empty_memory(case, tmp_path):
    buffer = make(case, max_bytes=5000)
    buffer.save(tmp_path / "memory.safetensors")
    other = make(case, 6).load(tmp_path / "memory.safetensors")
    for one in (buffer, other):
        feed(one, "vectors", 0, 50, case)
    same(buffer, other)


def test_a_state_loads_into_a_used_buffer(case):
    buffer, other = make(case, 20), make(case, 20, seed=5)
    feed(buffer, "vectors", 0, 100, case)
    feed(other, "vectors", 500, 100, case)
    other.load_state_dict(buffer.state_dict())
    for one in (buffer, other):
        feed(one, "vectors", 100, 64, case)
    same(buffer, other)


def test_a_copy_goes_its_own_way(case):
    buffer = make(case, 20)
    feed(buffer, "vectors", 0, 100, case)
    other = copy.deepcopy(buffer)
    before = buffer.state_dict()
    feed(other, "vectors", 100, 64, case)
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name])
    feed(buffer, "vectors", 100, 64, case)
    same(buffer, other)


def test_same_seed_same_memory_and_the_global_generators_stay(case):
    one, two = make(case, 20, seed=1), make(case, 20, seed=1)
    feed(one, "vectors", 0, 120, case)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the legacy generator is the global one
    random.seed(5)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    feed(two, "vectors", 0, 120, case)
    one.sample(7)
    two.sample(7)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[2] == random.getstate()
    same(one, two)


def test_damaged_and_foreign_files(case, tmp_path):
    buffer = make(case, 20)
    feed(buffer, "vectors", 0, 60, case)
    path = tmp_path / "memory.safetensors"
    buffer.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="damaged"):
        make(case, 20).load(path)
    path.write_bytes(b"PK\x03\x04 not a buffer")
    with pytest.raises(FormatError, match="damaged"):
        make(case, 20).load(path)
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(FormatError, match="no clcore buffer"):
        make(case, 20).load(path)
    path.write_bytes(content.replace(b'\\"schema\\": 1', b'\\"schema\\": 9'))
    with pytest.raises(FormatError, match="schema 9"):
        make(case, 20).load(path)
    with pytest.raises(FormatError, match="does not exist"):
        make(case, 20).load(tmp_path / "nothing")


def test_a_state_of_another_kind_is_refused(case):
    state = make(case, 20).state_dict()
    with pytest.raises(FormatError, match="the state is of a Wrong"):
        make(case, 20).load_state_dict({**state, "kind": "Wrong"})


def test_an_incomplete_state_is_refused(case):
    buffer = make(case, 20)
    feed(buffer, "vectors", 0, 60, case)
    state = buffer.state_dict()
    for name in [n for n in state["tensors"] if n.startswith("rule.")] + ["generator", "store.y"]:
        tensors = {k: v for k, v in state["tensors"].items() if k not in (name, "store.meta")}
        with pytest.raises(FormatError):
            make(case, 20).load_state_dict({**state, "tensors": tensors})


def test_a_full_disk_leaves_the_old_file(case, tmp_path, monkeypatch):
    buffer = make(case, 20)
    feed(buffer, "vectors", 0, 60, case)
    path = tmp_path / "memory.safetensors"
    buffer.save(path)
    old = path.read_bytes()
    feed(buffer, "vectors", 60, 30, case)

    def full(tensors, target, metadata):
        target.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clcore.tensor_files, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        buffer.save(path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


# -- bad rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x.where(torch.arange(len(x))[:, None] != 2, torch.nan), y), "x: row 2"),
        (lambda x, y: (x, y - 2), "y: label -[12] in row"),
        (lambda x, y: (x[:0], y[:0]), "at least one row"),
        (lambda x, y: (x.long(), y), "x: rows are torch.int64"),
        (lambda x, y: (x[:, :1], y), "x: rows are torch.float32 .1"),
        (lambda x, y: (x, y.float()), "y: got torch.float32"),
        (lambda x, y: (x, y[:3]), "x, y: got shapes"),
        (lambda x, y: (x.numpy(), y), "tensors are needed"),
    ],
)
def test_bad_rows_are_refused_and_change_nothing(case, change, message):
    buffer = make(case, 20)
    feed(buffer, "vectors", 0, 60, case)
    before = buffer.state_dict()
    x, y, task, columns = rows("vectors", 60, 6, case)
    x, y = change(x, y)
    with pytest.raises(ArgumentError, match=message):
        buffer.add(x, y, task[: len(y)], **{k: v[: len(y)] for k, v in columns.items()})
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name])


def test_bad_features_are_refused_and_change_nothing(case):
    buffer = make(case, 20)
    x, y, task, columns = rows("vectors", 0, 6, case)
    if "features" not in columns or not reads_features(case):
        return
    feed(buffer, "vectors", 0, 60, case)
    before = buffer.state_dict()
    columns["features"][4, 1] = torch.inf
    with pytest.raises(SignalError, match="features"):
        buffer.add(x, y, task, **columns)
    with pytest.raises(ArgumentError, match="features"):
        buffer.add(x, y, task, features=torch.ones(6, 2))
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name])


def test_missing_features_say_what_to_give(case):
    x, y, task, columns = rows("vectors", 0, 6, case)
    if "features" not in columns or not reads_features(case):
        return
    with pytest.raises(ArgumentError, match=f"features: {case[0]} chooses by this signal") as error:
        make(case, 20).add(x, y, task)
    for way in ("add(x, y, features=...)", "probe=Probe(model)", "post_adapt", "features='input'"):
        assert way in str(error.value)


def test_columns_of_its_own_are_refused(case):
    x, y, task, columns = rows("vectors", 0, 6, case)
    for name in set(CLASSES[case[0]].owned_columns) - set(columns):
        with pytest.raises(ArgumentError, match=f"{name}: {case[0]} writes this column itself"):
            make(case, 20).add(x, y, task, **columns, **{name: torch.zeros(6)})
