"""Where the gradients of buffers come from, against gradients multiplied out by autograd."""

import copy
import gc
import weakref
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from buffers import Incoming, ReservoirBuffer
from buffers.gradients import GradientSource, cosines
from buffers.signals import SignalSource
from clcore import Probe
from clcore.errors import ArgumentError, SignalError
from clcore.probe import Projection


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 4))


def filled(n=15, **columns):
    buffer = ReservoirBuffer(n)
    generator = torch.Generator().manual_seed(1)
    buffer.add(torch.randn(n, 6, generator=generator), torch.arange(n) % 4, **columns)
    return buffer


def offered(n=5, agent=None, **columns):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(2))
    return Incoming(x, torch.arange(n) % 4, torch.zeros(n).long(), columns, agent=agent)


def multiplied_out(model, x, y, layers=None, loss=nn.functional.cross_entropy):
    double = copy.deepcopy(model).double()
    wanted = list((double if layers is None else double[layers]).parameters())
    rows = []
    for i in range(len(x)):
        value = loss(double(x[i : i + 1].double()), y[i : i + 1])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, wanted)]))
    return torch.stack(rows)


STORED, NEW = torch.tensor([3, 0, 8, 14]), torch.tensor([4, 1, 2])


def rows_of(buffer, incoming):
    x = torch.cat((buffer.store.x[STORED], incoming.x(NEW)))
    return x, torch.cat((buffer.store.y[STORED], incoming.y[NEW]))


@pytest.mark.parametrize(("signal", "layers"), [("whole_network", None), ("last_layer", 2)])
@pytest.mark.parametrize("way", ["probe", "learner"])
def test_products(signal, layers, way):
    model, buffer = network(), filled()
    incoming = offered(agent=SimpleNamespace(model=model) if way == "learner" else None)
    source = GradientSource(signal, SignalSource(Probe(model) if way == "probe" else None))
    gradients = multiplied_out(model, *rows_of(buffer, incoming), layers)
    found = source.products(buffer, incoming, STORED, NEW)
    torch.testing.assert_close(found.double(), gradients @ gradients.T, rtol=1e-4, atol=1e-6)
    assert found.dtype == torch.float32
    assert buffer.cost.forward_passes >= 7
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("signal", ["whole_network", "last_layer", "projection", "column"])
@pytest.mark.parametrize("sizes", [[3, 3], [3, 2, 1]])
def test_cosines_with_groups(signal, sizes):
    model = network()
    columns = {"gradients": torch.randn(15, 9)} if signal == "column" else {}
    buffer = filled(**columns)
    given = {"gradients": torch.randn(5, 9)} if signal == "column" else {}
    incoming = offered(**given)
    probe = Probe(model, projection=Projection(dimensions=32))
    source = GradientSource("whole_network" if given else signal, SignalSource(probe))
    members, new = torch.tensor([3, 15 + 1, 0, 8, 15 + 2, 14]), torch.tensor([4, 0])
    each, mean = source.against_groups(buffer, incoming, new, members, sizes)

    stored, pending = members[members < 15], members[members >= 15] - 15
    gram = source.products(buffer, incoming, stored, torch.cat((pending, new))).double()
    # Any vectors with these products do.
    values, vectors = torch.linalg.eigh(gram)
    read = vectors * values.clamp(min=0).sqrt()
    place = {int(row): i for i, row in enumerate(torch.cat((stored, pending + 15)))}
    grouped = read[[place[int(row)] for row in members]].split(sizes)
    means = torch.stack([part.mean(0) for part in grouped])
    single = read[len(members) :]
    expected = nn.functional.cosine_similarity(single[:, None], means[None], dim=2)
    torch.testing.assert_close(each.double(), expected, rtol=1e-3, atol=1e-4)
    expected = nn.functional.cosine_similarity(single.mean(0)[None], means)
    torch.testing.assert_close(mean.double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("signal", ["whole_network", "last_layer", "projection", "column"])
def test_products_with_the_mean(signal):
    columns = {"gradients": torch.randn(15, 9)} if signal == "column" else {}
    given = {"gradients": torch.randn(5, 9)} if signal == "column" else {}
    buffer, incoming = filled(**columns), offered(**given)
    model = network()
    probe = Probe(model, projection=Projection(dimensions=32))
    source = GradientSource("whole_network" if given else signal, SignalSource(probe))
    everything = source.products(buffer, incoming, STORED, NEW)
    stored = len(STORED)
    products, across, square = source.with_mean(buffer, incoming, STORED, NEW)
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-6)
    close(products, everything[stored:, stored:])
    close(across, everything[stored:, :stored].mean(1))
    close(square, everything[:stored, :stored].mean())
    assert all(p.grad is None for p in model.parameters())


def test_a_mean_takes_any_model():
    # Where layers have no closed form, the mean of the stored rows takes no pass for each.
    model = nn.Sequential(nn.Linear(6, 7), nn.PReLU(), nn.Linear(7, 4))
    buffer, incoming = filled(), offered()
    source = GradientSource("whole_network", SignalSource(Probe(model, uncovered="per-sample")))
    gradients = multiplied_out(model, *rows_of(buffer, incoming))
    products, across, square = source.with_mean(buffer, incoming, STORED, NEW)
    held, new = gradients[: len(STORED)].mean(0), gradients[len(STORED) :]
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-6)
    close(products.double(), new @ new.T)
    close(across.double(), new @ held)
    close(square.double(), held @ held)


def test_a_column_comes_before_the_probe():
    class Loud(nn.Module):
        def forward(self, x):
            raise AssertionError

    held, new = torch.randn(15, 9), torch.randn(5, 9)
    buffer, incoming = filled(gradients=held), offered(gradients=new)
    model = nn.Sequential(Loud(), nn.Linear(6, 4))
    for agent, probe in ((None, Probe(model)), (SimpleNamespace(model=model), None)):
        incoming.agent = agent
        source = GradientSource("whole_network", SignalSource(probe))
        rows = torch.cat((held[STORED], new[NEW]))
        found = source.products(buffer, incoming, STORED, NEW)
        torch.testing.assert_close(found, rows @ rows.T)


def test_what_to_give():
    for signal in ("whole_network", "last_layer", "projection"):
        source = GradientSource(signal, SignalSource())
        with pytest.raises(ArgumentError, match="gradients: ReservoirBuffer chooses by") as error:
            source.products(filled(), offered(), STORED, NEW)
        for way in ("add(x, y, gradients=...)", "probe=Probe(model)", "post_adapt"):
            assert way in str(error.value)
    with pytest.raises(ArgumentError, match="signal: got 'first_layer'; one of 'whole_network'"):
        GradientSource("first_layer", SignalSource())
    with pytest.raises(ArgumentError, match="features"):
        GradientSource("last_layer", SignalSource(features="input"))


def test_the_learners_own_loss():
    model, buffer = network(), filled()
    weight = torch.tensor([1.0, 2, 3, 4])
    smooth = nn.CrossEntropyLoss(weight=weight, label_smoothing=0.1)

    def one(z, y):
        return smooth_double(z, y) * weight[y].double()  # the mean of one divides by its weight

    smooth_double = nn.CrossEntropyLoss(weight=weight.double(), label_smoothing=0.1)
    for agent in (
        SimpleNamespace(model=model, _criterion=smooth, loss=torch.tensor(3.0)),
        SimpleNamespace(model=model, loss=smooth),
        SimpleNamespace(
            model=model,
            loss=partial(nn.functional.cross_entropy, weight=weight, label_smoothing=0.1),
        ),
    ):
        incoming = offered(agent=agent)
        found = GradientSource("whole_network", SignalSource()).products(
            buffer, incoming, STORED, NEW
        )
        gradients = multiplied_out(model, *rows_of(buffer, incoming), loss=nn.CrossEntropyLoss(
            weight=weight.double(), label_smoothing=0.1, reduction="none"))  # fmt: skip
        torch.testing.assert_close(found.double(), gradients @ gradients.T, rtol=1e-4, atol=1e-6)


def test_a_loss_without_a_reduction_is_refused():
    def own(z, y):
        return nn.functional.cross_entropy(z, y)

    agent = SimpleNamespace(model=network(), _criterion=own)
    with pytest.raises(ArgumentError, match=r"loss: own has no `reduction`.*Probe.model, loss="):
        GradientSource("whole_network", SignalSource()).products(
            filled(), offered(agent=agent), STORED, NEW
        )


def test_layers_without_a_closed_form_are_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(6))

        def forward(self, x):
            return x * self.scale

    model = nn.Sequential(Odd(), nn.Linear(6, 4))
    buffer, incoming = filled(), offered(agent=SimpleNamespace(model=model))
    with pytest.raises(ArgumentError, match=r"0\.scale") as error:
        GradientSource("whole_network", SignalSource()).products(buffer, incoming, STORED, NEW)
    for way in ("signal='last_layer'", "probe=Probe(model, uncovered='per-sample')"):
        assert way in str(error.value)
    GradientSource("last_layer", SignalSource()).products(buffer, incoming, STORED, NEW)
    exact = GradientSource("whole_network", SignalSource(Probe(model, uncovered="per-sample")))
    found = exact.products(buffer, incoming, STORED, NEW)
    gradients = multiplied_out(model, *rows_of(buffer, incoming))
    torch.testing.assert_close(found.double(), gradients @ gradients.T, rtol=1e-4, atol=1e-6)


def test_a_model_without_a_last_layer():
    model = nn.Sequential(nn.Conv1d(1, 4, 6), nn.Flatten())
    buffer = ReservoirBuffer(15)
    buffer.add(torch.randn(15, 1, 6), torch.arange(15) % 4)
    incoming = Incoming(
        torch.randn(5, 1, 6), torch.arange(5) % 4, torch.zeros(5).long(), {},
        agent=SimpleNamespace(model=model),
    )  # fmt: skip
    with pytest.raises(ArgumentError, match="no Linear"):
        GradientSource("last_layer", SignalSource()).products(buffer, incoming, STORED, NEW)
    GradientSource("whole_network", SignalSource()).products(buffer, incoming, STORED, NEW)


@pytest.mark.parametrize("signal", ["whole_network", "last_layer", "projection"])
def test_gradients_that_are_not_finite(signal):
    model = network()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    source = GradientSource(signal, SignalSource(Probe(model)))
    with pytest.raises(SignalError):
        source.products(filled(), offered(), STORED, NEW)
    with pytest.raises(SignalError):
        source.against_groups(filled(), offered(), NEW, STORED, [2, 2])
    with pytest.raises(SignalError):
        source.with_mean(filled(), offered(), STORED, NEW)


def test_cosines_of_zero_gradients_are_zero():
    rows = torch.tensor([[3.0, 4], [0, 0], [-6, -8]])
    assert cosines(rows @ rows.T).tolist() == [[1, 0, -1], [0, 0, 0], [-1, 0, 1]]


def test_the_probe_is_kept_with_the_learner_and_no_longer():
    source = GradientSource("whole_network", SignalSource())
    buffer = filled()

    class Learner:
        def __init__(self):
            self.model = network()

    def spend(agent):
        before = buffer.cost.forward_passes
        source.products(buffer, offered(agent=agent), STORED, NEW)
        return buffer.cost.forward_passes - before

    learner = Learner()
    assert [spend(learner) for _ in range(3)] == [8, 7, 7]
    learner.model = network(1)
    assert spend(learner) == 8
    assert spend(Learner()) == 8
    copied = copy.deepcopy(source)
    assert copied._learner._kept == {}
    kept = weakref.ref(learner.model)
    spend(learner)
    del learner
    gc.collect()
    assert kept() is None
