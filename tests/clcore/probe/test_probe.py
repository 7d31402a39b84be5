"""The probe: right signals, one pass, no traces, clear errors."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, Subset, TensorDataset

from clcore import ArgumentError, Cost, Pool, Probe, UnknownNameError, select
from clcore.selectors import names, registry
from clcore.testing import probed_pool


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(8, 3),
    )  # fmt: skip


X = torch.randn(20, 3, 2, 2, generator=torch.Generator().manual_seed(1))
Y = torch.arange(20) % 3


@pytest.mark.parametrize("batch_size", [1, 7, 20, 100])
def test_signals_are_those_of_the_model_in_evaluation_mode(batch_size):
    model = network()
    probe = Probe(model, batch_size=batch_size)
    signals = probe.signals(["features", "logits", "losses"], X, Y)
    assert model.training
    assert probe.cost.forward_passes == 20
    model.eval()
    with torch.no_grad():
        logits = model(X)
        hidden = model[:-1](X)
    assert torch.allclose(signals["features"], hidden, atol=1e-6)
    assert torch.allclose(signals["logits"], logits, atol=1e-6)
    losses = functional.cross_entropy(logits, Y, reduction="none")
    assert torch.allclose(signals["losses"], losses, atol=1e-6)
    assert not any(value.requires_grad for value in signals.values())


def test_single_signals_and_cost():
    probe = Probe(network())
    assert probe.cost == Cost()
    assert probe.features(X).shape == (20, 8)
    assert probe.logits(X).shape == (20, 3)
    assert probe.losses(X, Y).shape == (20,)
    assert probe.cost.forward_passes == 60
    assert probe.cost.seconds > 0


def test_datasets_with_labels_transform_and_subset():
    images = (X * 20 + 100).clamp(0, 255).to(torch.uint8)
    data = TensorDataset(images, Y)
    probe = Probe(network(), transform=lambda x: x.float() / 255)
    direct = Probe(network()).losses(images.float() / 255, Y)
    assert torch.allclose(probe.losses(data), direct)
    assert torch.allclose(probe.losses(Subset(data, [4, 2])), direct[[4, 2]])


def test_losses_of_other_kinds():
    model = network()
    mean = Probe(model, loss=nn.CrossEntropyLoss(label_smoothing=0.1)).losses(X, Y)
    assert mean.shape == (20,)
    squared = Probe(model, loss=lambda z, y: (z - functional.one_hot(y, 3)) ** 2).losses(X, Y)
    model.eval()
    expected = ((model(X) - functional.one_hot(Y, 3)) ** 2).mean(dim=1)
    assert torch.allclose(squared, expected, atol=1e-6)
    with pytest.raises(ArgumentError, match="loss must give one value for each of 20 samples"):
        Probe(model, loss=functional.cross_entropy).losses(X, Y)


def test_a_loss_module_is_not_changed():
    loss = nn.CrossEntropyLoss()
    Probe(network(), loss=loss).losses(X, Y)
    assert loss.reduction == "mean"


def test_random_data_give_the_same_signals_each_time():
    class Noisy(Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, row):
            return X[row] + torch.randn(3, 2, 2), int(Y[row])

    probe = Probe(network())
    torch.manual_seed(1)
    first = probe.features(Noisy())
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(probe.features(Noisy()), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_hooks_are_taken_off_after_success_and_failure():
    model = network()
    Probe(model).features(X)
    with pytest.raises(RuntimeError):
        Probe(model).features(torch.ones(3, 5))
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert model.training


def probed(name):
    pool, _ = probed_pool()
    return all(pool.has(signal) for signal in registry.create(name).signals)


@pytest.mark.parametrize("name", [name for name in names() if probed(name)])
def test_every_selector_leaves_model_and_random_state_alone(name):
    pool, model = probed_pool()
    gradients = [p.grad for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    random_state = torch.get_rng_state()
    assert len(select(name, pool, 6, seed=3)) == 6
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [m.training for m in model.modules()] == modes
    assert len(set(modes)) == 2
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient, torch.ones_like(gradient))
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


class TwoInputs(nn.Module):
    """Needs tasks."""

    def __init__(self, default=False):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        if default:
            self.forward = lambda x, task_labels=None: self.run(x, task_labels)

    def forward(self, x, task):
        return self.run(x, task)

    def run(self, x, task):
        return self.layer(x) + (0 if task is None else task.unsqueeze(1))


def test_tasks_reach_models_that_take_them():
    x, tasks = torch.zeros(5, 4), torch.arange(5)
    model = TwoInputs()
    base = model.layer(x)
    assert torch.allclose(
        Probe(model, batch_size=2).logits(x, task=tasks), base + tasks.unsqueeze(1)
    )
    assert torch.allclose(Probe(model).logits(x, task=3), base + 3)
    data = TensorDataset(x, Y[:5], tasks)
    assert torch.allclose(Probe(model).logits(data), base + tasks.unsqueeze(1))
    pool = Pool.of(data, Probe(model))
    assert torch.allclose(pool.subset([4]).signal("logits"), base[:1] + 4)
    pool = Pool.of(x, Probe(model), task=tasks)
    assert torch.allclose(pool.signal("logits"), base + tasks.unsqueeze(1))
    with pytest.raises(ArgumentError, match="forward needs 'task' beside the data: give task="):
        Probe(model).logits(x)
    optional = TwoInputs(default=True)
    assert torch.allclose(Probe(optional).logits(x, task=2), optional.layer(x) + 2)
    assert torch.allclose(Probe(optional).logits(x), optional.layer(x))


def test_models_that_take_no_tasks_are_called_without():
    data = TensorDataset(X, Y, torch.ones(20).long())
    assert Probe(network()).features(data).shape == (20, 8)


def test_forward_of_the_users():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(x), x

    with pytest.raises(ArgumentError, match="not tuple; give forward="):
        Probe(Pair()).logits(torch.ones(3, 4))
    probe = Probe(Pair(), forward=lambda model, x, task: model(x)[0])
    assert probe.logits(torch.ones(3, 4)).shape == (3, 2)


def test_empty_data():
    assert Probe(network()).features(X[:0]).shape[0] == 0
    assert len(select("random", Pool.of(X[:0], Probe(network())), 3)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, r"model must be a torch\.nn\.Module, not int"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"loss": "mse"}, "loss must be callable, not 'mse'"),
        ({"transform": 1}, "transform must be callable"),
        ({"forward": 1}, "forward must be callable"),
        ({"feature_layer": "fc"}, "feature_layer 'fc' is not a layer of the model; .* 0, 1, 2"),
        ({"feature_layer": nn.ReLU()}, "feature_layer ReLU is not a layer"),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"model": network(), **arguments}
    with pytest.raises(ArgumentError, match=message):
        Probe(arguments.pop("model"), **arguments)


def test_bad_requests():
    probe = Probe(network())
    with pytest.raises(UnknownNameError, match="unknown signal 'feature'; did you mean features"):
        probe.signals(["feature"], X)
    with pytest.raises(ArgumentError, match="losses need labels"):
        probe.losses(X)
    with pytest.raises(ArgumentError, match="labels has 3 rows where the pool has 20"):
        probe.losses(X, Y[:3])
    for wrong in (-1, 3):
        with pytest.raises(ArgumentError, match=f"labels must be from 0 to 2.* found {wrong}"):
            probe.losses(X, torch.full((20,), wrong))
    with pytest.raises(ArgumentError, match="task must be integers"):
        probe.logits(X, task=torch.rand(20))
    with pytest.raises(ArgumentError, match="data must be a tensor"):
        probe.logits(4)
    with pytest.raises(ArgumentError, match="x must be tensors, not list"):
        probe.logits([(["a"], 1)])
