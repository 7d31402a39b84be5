"""What every buffer keeps, whatever its admission rule. New buffers are picked up by themselves."""

import copy
import inspect
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import buffers
import clcore.tensor_files
from clcore.errors import ArgumentError, FormatError, SignalError
from clcore.selectors.greedy_coreset import GreedyCoreset

CLASSES = {
    name: value
    for name in buffers.__all__
    if inspect.isclass(value := getattr(buffers, name))
    and issubclass(value, buffers.Buffer)
    and not inspect.isabstract(value)
}
QUICK_CORESET = GreedyCoreset(refits=0, candidates=10, regularisation=1.0)
# Options to run a buffer with beside its defaults.
OPTIONS = {
    "AutoBuffer": [{"smallest_choice": 0}, {"smallest_choice": 60}, {"smallest_choice": 10**6}],
    "BCSRBuffer": [
        {"proxy": "last_layer", "quota": "task"},
        {"proxy": "last_layer", "quota": None, "preset": "reference", "reselect": "all"},
        {"proxy": "last_layer", "quota": "task", "pick": "largest", "balanced": False},
    ],
    "PBCSBuffer": [
        {"quota": "task", "rounds": 2, "inner_steps": 2},
        {"quota": None, "rounds": 2, "inner_steps": 2, "balanced": False, "candidates": 30},
    ],
    "GCRBuffer": [
        {},
        {"quota": None, "candidates": 45},
        {"quota": "class", "preset": "reference", "correct_only": False, "reselect": "new"},
    ],
    "CSReLBuffer": [
        {"rounds": 4, "features": "model"},
        {"rounds": 4, "quota": "task", "features": "model"},
    ],
    "RainbowBuffer": [{}, {"spread": "step", "ties": "confidence"}],
    "ASERBuffer": [{}, {"samples_per_class": 1.5, "batch_size": 64}],
    "LossAwareReservoirBuffer": [{}, {"balanced": True}],
    "RingBuffer": [{}, {"groups": "task"}, {"lend": False}, {"lend": False, "total_groups": 5}],
    "SelectorBuffer": [
        {"selector": "random"},
        {"selector": "k-center", "quota": None},
        {"selector": "k-means", "quota": "task", "reselect": "new"},
    ],
    "GreedyCoresetBuffer": [
        {"quota": "task", "features": None, "selector": QUICK_CORESET},
        {
            "quota": "task",
            "features": None,
            "streaming": True,
            "slots": 4,
            "selector": QUICK_CORESET,
        },
    ],
    "GSSBuffer": [
        {},
        {"preset": "reference", "memory_batches": 3, "memory_batch_size": 7},
        {"variant": "iqp", "recent": 10},
        {"variant": "cluster", "recent": 13},
    ],
    "HerdingBuffer": [{}, {"reselect": "all"}],
    "KMeansBuffer": [{}, {"total_classes": 5}],
    "OCSBuffer": [
        {"picks": 4, "batch_size": 16},
        {"picks": 2, "class_balanced": True, "affinity": "memory"},
        {"picks": 3, "preset": "reference"},
    ],
}
CASES = [(name, options) for name in CLASSES for options in OPTIONS.get(name, [{}])]
KINDS = ("images", "vectors", "tokens")


def shown(case):
    name, options = case
    return "-".join([name, *(f"{k}={getattr(v, 'name', v)}" for k, v in options.items())])


@pytest.fixture(params=CASES, ids=shown)
def case(request):
    return request.param


def make(case, max_size=None, **arguments):
    name, options = case
    return CLASSES[name](**options, max_size=max_size, **arguments)


def fills(case):
    """Whether the options let the memory be filled by any stream that is long enough."""
    options = case[1]
    return options.get("lend", True) and "total_classes" not in options


def reads_features(case):
    """Whether a batch of a few rows is chosen by features."""
    return case[1].get("selector") != "random" and case[1].get("smallest_choice", 0) < 6


def balances(case):
    """Whether every class is sure of a share."""
    rule = {"class": "class", **case[1]}
    draws = ("ReservoirBuffer", "BalancedReservoirBuffer")  # a rare class may not be drawn
    # or not be worth a slot
    values = ("ASERBuffer", "GSSBuffer", "LossAwareReservoirBuffer", "OCSBuffer")
    return case[0] not in draws + values and rule.get("quota", "class") == "class" == rule.get(
        "groups", "class"
    )


def rows(kind, start, n, case, classes=5):
    """Rows that carry their number, labels in no order, and the columns that a buffer needs."""
    number = torch.arange(start, start + n)
    y = (number * 7919 + number // 3) % classes
    x = {
        "images": torch.stack((number % 256, number // 256), 1).to(torch.uint8).view(n, 1, 1, 2),
        "vectors": torch.stack((number, y), 1).float(),
        "tokens": torch.stack((number, y), 1),
    }[kind]
    columns = {}
    if "losses" in CLASSES[case[0]].owned_columns:
        columns["losses"] = number.float().sin() + 1
    elif "signal" in inspect.signature(CLASSES[case[0]]).parameters:
        angle = number[:, None] * torch.tensor([0.7, 1.3, 2.9]) + y[:, None]
        columns["gradients"] = torch.cat((angle.sin(), angle.cos()), 1)
    elif case[0] == "RainbowBuffer":
        columns["perturbed_logits"] = (number[:, None, None] * torch.ones(4, 5)).cumsum(-1).sin()
    elif "probe" in inspect.signature(CLASSES[case[0]]).parameters:
        angle = number[:, None] * torch.tensor([0.7, 1.3, 2.9]) + y[:, None]
        columns["features"] = torch.cat((angle.sin(), angle.cos()), 1)
        if case[0] == "GCRBuffer":
            columns["logit_gradients"] = columns["features"][:, :5] - torch.eye(5)[y % 5]
    return x, y, y % 3, columns


def feed(buffer, kind, start, n, case, **more):
    batch = 64 if isinstance(buffer, buffers.ConsolidatingBuffer) else 16
    for begin in range(start, start + n, batch):
        size = min(batch, start + n - begin)
        x, y, task, columns = rows(kind, begin, size, case, **more)
        buffer.add(x, y, task, **columns)


def numbers(x):
    """The numbers that rows carry."""
    if x.dtype == torch.uint8:
        flat = x.view(len(x), 2).long()
        return (flat[:, 0] + 256 * flat[:, 1]).tolist()
    return x[:, 0].long().tolist()


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    a["cost"], b["cost"] = a["cost"][1:], b["cost"][1:]  # seconds differ
    assert a["tensors"].keys() == b["tensors"].keys()
    for name, tensor in a.pop("tensors").items():
        assert torch.equal(tensor, b["tensors"][name]), name
    b.pop("tensors")
    assert a == b


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_kept_whole_once_and_without_a_hole(case, kind):
    buffer, admitted = make(case, 40), 0
    for start in range(0, 400, 50):
        x, y, task, columns = rows(kind, start, 50, case)
        admitted += int((buffer.add(x, y, task, **columns) >= 0).sum())
    held = buffer.all()
    kept = numbers(held.x)
    assert len(set(kept)) == len(kept) == len(buffer) <= 40
    _, y, task, _ = rows(kind, 0, 400, case)
    assert torch.equal(held.y, y[kept])
    assert torch.equal(held.task, task[kept])
    assert buffer.store.born.tolist() == kept
    assert held.x.dtype == rows(kind, 0, 1, case)[0].dtype
    assert buffer.seen == 400
    if "recent" in case[1]:  # some rows enter later than they are added
        assert buffer.replaced >= admitted - len(buffer)
    else:
        assert buffer.replaced == admitted - len(buffer)
    if fills(case):
        assert len(buffer) == 40


def test_add_says_where_each_row_went(case):
    buffer = make(case, 30)
    for start in range(0, 200, 25):
        x, y, task, columns = rows("vectors", start, 25, case)
        slots = buffer.add(x, y, task, **columns)
        assert slots.shape == (25,)
        assert slots.dtype == torch.int64
        taken = slots[slots >= 0]
        assert len(taken.unique()) == len(taken)
        assert torch.equal(buffer.store.x[taken], x[slots >= 0])
        for name, column in columns.items():
            assert torch.equal(buffer.store.extra[name][taken], column[slots >= 0])


def test_everything_is_kept_while_there_is_room(case):
    buffer = make(case, 64)
    x, y, task, columns = rows("vectors", 0, 5, case)
    assert (buffer.add(x, y, task, **columns) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_small_classes_leave_no_hole(case, kind):
    if not fills(case):
        return
    buffer = make(case, 50)
    x, _, _, columns = rows(kind, 0, 203, case)
    y = torch.zeros(203, dtype=torch.int64)
    y[[3, 90, 150]] = torch.tensor([1, 2, 2])
    buffer.add(x, y, y, **columns)
    assert len(buffer) == 50
    if balances(case):
        assert buffer.class_counts() == {0: 47, 1: 1, 2: 2}


def test_classes_one_after_the_other(case):
    buffer = make(case, 30)
    for label in range(5):
        x, _, _, columns = rows("vectors", 100 * label, 100, case)
        y = torch.full((100,), label)
        for part in torch.arange(100).split(10):
            buffer.add(x[part], y[part], 0, **{k: v[part] for k, v in columns.items()})
    counts = buffer.class_counts()
    assert sum(counts.values()) == len(buffer) <= 30
    if balances(case):
        assert set(counts) == set(range(5))


@pytest.mark.parametrize("kind", KINDS)
def test_budget_in_bytes(case, kind):
    buffer = make(case, max_bytes=6000)
    assert buffer.capacity is None
    assert buffer.nbytes == 0
    feed(buffer, kind, 0, 600, case)
    assert buffer.nbytes <= 6000
    assert buffer.nbytes + buffer.nbytes / buffer.capacity > 6000
    if fills(case):
        assert len(buffer) == buffer.capacity


def test_too_few_bytes(case):
    x, y, task, columns = rows("vectors", 0, 4, case)
    with pytest.raises(ArgumentError, match="max_bytes: got 8, but one exemplar takes"):
        make(case, max_bytes=8).add(x, y, task, **columns)


def test_resize(case):
    buffer = make(case, 40)
    feed(buffer, "vectors", 0, 300, case)
    before = numbers(buffer.all().x)
    buffer.resize(None, 12)
    after = numbers(buffer.all().x)
    assert set(after) <= set(before)
    assert len(after) == len(set(after)) == min(12, len(after))
    assert buffer.capacity == buffer.max_size == 12
    if fills(case):
        assert len(after) == 12
    feed(buffer, "vectors", 300, 60, case)
    assert len(buffer) <= 12
    buffer.resize(None, 50)
    assert len(buffer) <= 12
    feed(buffer, "vectors", 360, 300, case)
    kept = numbers(buffer.all().x)
    assert len(set(kept)) == len(kept) <= 50
    if fills(case):
        assert len(kept) == 50
    buffer.resize(None, 50)
    assert numbers(buffer.all().x) == kept


def test_resize_before_the_first_row(case):
    buffer = make(case, max_bytes=10_000)
    buffer.resize(None, 7)
    feed(buffer, "vectors", 0, 100, case)
    assert len(buffer) <= 7


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


@pytest.mark.parametrize("sizes", [(None, None), (3, 4), (0, None), (True, None), (2.5, None)])
def test_a_wrong_budget_is_refused(case, sizes):
    with pytest.raises(ArgumentError, match="max_size"):
        make(case, sizes[0], max_bytes=sizes[1])


def test_extra_columns_stay_with_their_rows(case):
    buffer = make(case, 20)
    for start in range(0, 100, 20):
        x, y, task, columns = rows("vectors", start, 20, case)
        buffer.add(x, y, task, logits=x[:, :1] * 2, **columns)
    drawn = buffer.sample(11)
    assert torch.equal(drawn.columns["logits"], drawn.x[:, :1] * 2)
    assert len(drawn) == 11 or len(buffer) < 11


# -- files -------------------------------------------------------------------------------------


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
