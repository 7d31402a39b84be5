"""What every buffer and retrieval rule makes of a learner or rows that are trouble.

It is refused clearly and changes nothing, or it is borne and the memory is filled all the same.
"""

import re

import pytest
import torch
from learning_cases import CASES, CHEAP, CLASSES, QUICK_PBCS, images, shown
from torch import nn

import buffers
from buffers.retrieval import RETRIEVALS
from clcore.errors import ArgumentError, SignalError
from clcore.selectors.bcsr import BCSR
from clcore.selectors.csrel import CSReL
from clcore.selectors.greedy_coreset import GreedyCoreset
from clcore.selectors.pbcs import PBCS


def reads(case):
    """What a choice asks of the model; None for nothing."""
    name, options = case
    if name in ("GSSBuffer", "OCSBuffer"):
        whole = options.get("signal", "whole_network") == "whole_network"
        return "gradients" if whole else "last layer"
    if name == "GCRBuffer" or options.get("selector") == "gradmatch":
        return "logits"
    if name in ("LossAwareReservoirBuffer", "RainbowBuffer"):
        return "losses" if name.startswith("Loss") else "views"
    asks = ("ASERBuffer", "AutoBuffer", "HerdingBuffer", "KMeansBuffer", "SelectorBuffer")
    proxy = {"PBCSBuffer": "last_layer", "BCSRBuffer": "whole_network"}.get(name)
    model = options.get("features", "input") in (None, "model")
    asks = name in asks or model or options.get("proxy", proxy) == "last_layer"
    return "features" if asks else None


def mlp(outputs=6, norm=False):
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(8, outputs))


def without_linear():
    layers = (nn.Conv2d(1, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Dropout(0.2), nn.Flatten())
    return nn.Sequential(*layers)


def dead():
    """Every unit of the hidden layer is at 0 and stays there."""
    model = mlp()
    for parameter in model[1].parameters():
        nn.init.constant_(parameter, -1.0)
    return model


class Altered(nn.Module):
    """A network whose output is made something else of."""

    def __init__(self, change):
        super().__init__()
        self.network, self.change = mlp(), change

    def forward(self, x):
        return self.change(self.network(x))


def filled_with_nan():
    model = mlp()
    nn.init.constant_(model[1].weight, torch.nan)
    return model


def no_reduction(output, y):
    return nn.functional.cross_entropy(output, y)


X, Y = images(40, 4)
X = X.float() / 255
ALL = {"features", "gradients", "last layer", "logits", "losses", "views"}
# The model, rows and labels, the loss, and whose choices are refused, with what message.
TROUBLE = {
    "no final Linear": (
        *(without_linear, X, Y, None),
        {"features", "last layer", "logits"},
        "the model has no Linear",
    ),
    "a loss without reduction": (
        *(mlp, X, Y, no_reduction),
        {"gradients", "last layer"},
        "no_reduction has no `reduction`",
    ),
    "NaN in the output": (
        *(lambda: Altered(lambda out: out * torch.nan), X, Y, None),
        ALL - {"features"},
        "holds NaN, first in row 0",
    ),
    "NaN in the weights": (filled_with_nan, X, Y, None, ALL, "holds NaN, first in row 0"),
    "labels beyond the outputs": (
        *(lambda: mlp(3), X, Y, None),
        ALL - {"features", "views"},
        "(labels must be from 0 to 2, as there are|got label 3, but the logits have) 3 outputs",
    ),
    "more classes than slots": (lambda: mlp(20), X, torch.arange(40) % 20, None, set(), ""),
    "one row at a time": (lambda: mlp(norm=True), X[:24], Y[:24], None, set(), ""),
    "dead units": (dead, X, Y, None, set(), ""),
    "an output without parameters": (lambda: Altered(torch.zeros_like), X, Y, None, set(), ""),
    "all rows equal": (mlp, torch.full_like(X, 0.3), Y, None, set(), ""),
    "a single class": (mlp, X, torch.zeros_like(Y), None, set(), ""),
}


class Learner:
    """The least that a buffer knows a learner by."""

    device = "cpu"

    def __init__(self, model, criterion=None):
        self.model, self._criterion = model, criterion or nn.CrossEntropyLoss()


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("case", CASES, ids=shown)
def test_trouble_is_refused_clearly_or_borne(case, trouble):
    model, x, y, loss, refused, message = TROUBLE[trouble]
    name, options = case
    learner = Learner(model(), loss)
    size = 1 if trouble.startswith("one row") else 20
    if size > 1 and not issubclass(CLASSES[name], buffers.ConsolidatingBuffer):
        size = 8
    buffer = CLASSES[name](**options, max_size=5 if "slots" in trouble else 16)
    expected = reads(case) in refused
    for rows in torch.arange(len(y)).split(size):
        before, said = buffer.state_dict()["tensors"], None
        try:
            buffer.add(x[rows], y[rows], learner=learner)
        except (ArgumentError, SignalError) as error:
            said = str(error)
        if said is not None:
            assert expected, said
            assert re.search(message, said)
            after = buffer.state_dict()["tensors"]
            assert before.keys() == after.keys()
            assert all(torch.equal(before[key], after[key]) for key in before)
            return
    assert not expected, "nothing was said"
    assert len(buffer) == buffer.capacity
    weight = buffer.store.weight[: len(buffer)]
    assert bool(torch.isfinite(weight).all())
    assert float(weight.sum()) > 0


# What each rule refuses; the others draw all the same.
REFUSED_DRAWS = {
    "no final Linear": {"aser"},
    "NaN in the output": {"loss", "mir"},
    "NaN in the weights": {"aser", "loss", "mir"},
    "labels beyond the outputs": {"loss", "mir"},
}


@pytest.mark.parametrize("trouble", sorted(TROUBLE.keys() - {"a loss without reduction"}))
@pytest.mark.parametrize("rule", RETRIEVALS.names())
def test_trouble_with_a_draw_is_refused_clearly_or_borne(rule, trouble):
    model, x, y, *_, message = TROUBLE[trouble]
    model = model().train()
    buffer = buffers.ReservoirBuffer(20)
    buffer.add(x, y)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    count = 1 if trouble.startswith("one row") else 5
    unseen = torch.full((count,), int(y.max()) if "beyond" in trouble else 5)
    context = {"model": model, "optimizer": optimizer, "x": x[:count], "y": unseen}
    before = buffer.generator.get_state()
    if rule in REFUSED_DRAWS.get(trouble, set()):
        with pytest.raises((ArgumentError, SignalError), match=message):
            buffer.sample(6, rule, **context)
        assert torch.equal(before, buffer.generator.get_state())
    else:
        assert len(buffer.sample(6, rule, **context).index.unique()) == 6


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (GreedyCoreset(inner_steps=1, regularisation=1e-7), "left with a relative residual of"),
        (BCSR(learning_rate=1e30), "the proxy diverged in round 1 of 5 .outer loss"),
        (BCSR(hypergradient="conjugate-gradient", terms=1), "with a relative residual of"),
        (PBCS(**QUICK_PBCS, hidden=8, inner_rate=1e30), "models diverged and were left out"),
        (CSReL(rounds=1, decay=1e-9), "has not converged in 2000 steps: residual"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_does_not_converge_is_said_and_fills_the_memory(selector, message):
    held = []
    for _ in range(2):
        buffer = buffers.SelectorBuffer(selector, 8, quota="task", features="input")
        with pytest.warns(UserWarning, match=message):
            buffer.add(3 * X, Y)
        held.append(buffer.store.born.tolist())
    assert len(set(held[0])) == 8
    assert held[0] == held[1]


@pytest.mark.parametrize("name", ["BCSRBuffer", "CSReLBuffer", "GreedyCoresetBuffer", "PBCSBuffer"])
def test_a_task_that_was_kept_as_a_whole_chooses_when_it_must_give_some_up(name):
    options = {"proxy": "whole_network"} if name == "PBCSBuffer" else {}
    if name == "CSReLBuffer":
        options["quota"] = "task"
    buffer = CLASSES[name](max_size=24, **options, **CHEAP.get(name, {}))
    x, y = X[:20], (torch.arange(20) < 10).long()
    buffer.add(x, y, 0)
    assert len(buffer) == 20
    buffer.add(X[20:], Y[20:] + 2, 1)
    first = sorted(buffer.store.born[buffer.store.task == 0].tolist())
    assert len(first) == 12
    assert first != list(range(12)), "the order of arrival is no choice"
    # It has chosen now, and keeps a part of that the next time.
    buffer.add(X[20:], Y[20:] + 6, 2)
    assert set(buffer.store.born[buffer.store.task == 0].tolist()) < set(first)


def test_weight_goes_over_to_first_picks_that_have_none():
    buffer = buffers.GCRBuffer(6)
    buffer.add(X, Y * 0, features=X.flatten(1), logit_gradients=torch.randn(40, 3))
    by_rank = buffer.store.extra["rank"][:6].argsort()
    buffer.store.weight[by_rank] = torch.tensor([0.0, 0, 0, 10, 20, 10])
    buffer.resize(None, 2)
    assert buffer.store.weight[:2].tolist() == [20, 20]
