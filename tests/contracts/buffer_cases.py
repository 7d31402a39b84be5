"""Every buffer with options to run it with, and numbered rows to feed it."""

import inspect

import torch

import buffers
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


def make(case, max_size=None, **arguments):
    name, options = case
    return CLASSES[name](**options, max_size=max_size, **arguments)


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
