"""Where features are read: by default, by name, by module, in multi-head models."""

import pytest
import torch
from torch import nn

from clcore import ArgumentError, Probe

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
TASKS = torch.arange(12) % 2


class Heads(nn.Module):
    """Splits a batch by task, as Avalanche's multi-head classifier does."""

    def __init__(self, inner=None):
        super().__init__()
        inner = inner or (lambda: nn.Linear(6, 2))
        self.classifiers = nn.ModuleDict({"0": inner(), "1": inner()})

    def forward(self, h, task):
        out = torch.zeros(len(h), 2)
        for label in task.unique():
            here = task == label
            out[here] = self.classifiers[str(int(label))](h[here])
        return out


class MultiHead(nn.Module):
    """A backbone and heads."""

    def __init__(self, heads):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.heads = heads

    def forward(self, x, task):
        return self.heads(self.body(x), task)


@pytest.mark.parametrize("tasks", [TASKS, TASKS.sort().values, TASKS.sort().values.flip(0)])
@pytest.mark.parametrize("batch_size", [1, 5, 6, 12])
def test_multi_head_reads_what_goes_into_the_heads(tasks, batch_size):
    model = MultiHead(Heads())
    features = Probe(model, batch_size=batch_size).features(X, task=tasks)
    assert torch.allclose(features, model.body(X), atol=1e-6)


def test_multi_head_climbs_to_the_same_place_in_every_batch():
    # The first batch has one task, so its head's own Linear sees every row, but its input is not
    # what goes into the heads: the whole pass must use the latter.
    model = MultiHead(Heads(lambda: nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))))
    tasks = torch.tensor([0] * 4 + [0, 1] * 4)
    features = Probe(model, batch_size=4).features(X, task=tasks)
    assert torch.allclose(features, model.body(X), atol=1e-6)


def test_multi_head_inside_the_model_itself_is_refused_with_advice():
    class Bare(Heads):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 6)

        def forward(self, x, task):
            return super().forward(self.body(x), task)

    model = Bare()
    with pytest.raises(
        ArgumentError, match=r"name one with feature_layer=; its layers are: .*body"
    ):
        Probe(model).features(X, task=TASKS)
    features = Probe(model, feature_layer="body").features(X, task=TASKS)
    assert torch.allclose(features, model.body(X), atol=1e-6)


def test_the_last_linear_that_runs_counts():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head, self.unused = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(3, 3)

        def forward(self, x):
            return self.head(self.body(x))

    model = Auxiliary()
    assert torch.allclose(Probe(model).features(X), model.body(X), atol=1e-6)


def test_a_bare_linear_reads_its_input():
    assert torch.equal(Probe(nn.Linear(4, 2)).features(X), X)


def test_by_name_and_by_module_reads_the_output_before_in_place_changes():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2))
    expected = model[0](X)
    assert bool((expected < 0).any())
    assert torch.allclose(Probe(model, feature_layer="0").features(X), expected)
    assert torch.allclose(Probe(model, feature_layer=model[0]).features(X), expected)


def test_an_input_that_is_changed_in_place_afterwards_is_not_used():
    # Both halves of the batch go through the Linear; the block around sees all rows, but its
    # in-place ReLU has changed them: next candidate outwards.
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.linear = nn.ReLU(inplace=True), nn.Linear(6, 2)

        def forward(self, h):
            h = self.relu(h)
            return torch.cat([self.linear(h[:3]), self.linear(h[3:])])

    inner = nn.Sequential(nn.Linear(4, 6), Halves())
    with pytest.raises(ArgumentError, match="no Linear layer, nor a module around it"):
        Probe(inner).features(X)
    with torch.no_grad():
        assert torch.equal(Probe(nn.Sequential(inner, nn.Tanh())).features(X), X)


def test_convolution_features_are_flattened():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    images = torch.randn(5, 1, 4, 4)
    assert Probe(model, feature_layer="0").features(images).shape == (5, 8)


def test_no_linear_is_refused_with_the_layers():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    with pytest.raises(ArgumentError, match=r"has no Linear layer .* its layers are: 0, 1"):
        Probe(model).features(torch.randn(2, 1, 4, 4))
    assert Probe(model).logits(torch.randn(2, 1, 4, 4)).shape == (2, 8)


def test_a_linear_that_never_runs():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            return x @ self.linear.weight.t()

    with pytest.raises(ArgumentError, match="no Linear layer, nor a module around it"):
        Probe(Skips()).features(X)


def test_named_layers_that_cannot_serve():
    model = MultiHead(Heads())
    with pytest.raises(ArgumentError, match=r"'heads\.classifiers\.0' must run once .*12 samples"):
        Probe(model, feature_layer="heads.classifiers.0").features(X, task=TASKS)

    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Uses(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            return self.pair(x)[0]

    with pytest.raises(ArgumentError, match="'pair' returns tuple, not a tensor"):
        Probe(Uses(), feature_layer="pair").features(X)


@pytest.mark.filterwarnings("ignore:no QP solver found")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_avalanche_multi_head_models():
    """Avalanche's own multi-head classifier, adapted to two tasks."""
    from avalanche.benchmarks import tensors_benchmark
    from avalanche.models import MTSimpleMLP, SimpleMLP
    from avalanche.models.dynamic_modules import avalanche_model_adaptation

    halves = [[X[task::2], TASKS[task::2] + 2 * task] for task in (0, 1)]
    benchmark = tensors_benchmark(
        train_tensors=halves, test_tensors=halves, task_labels=[0, 1], complete_test_set_only=False
    )
    model = MTSimpleMLP(input_size=4, hidden_size=6)
    for experience in benchmark.train_stream:
        avalanche_model_adaptation(model, experience)
    features = Probe(model, batch_size=5).features(X, task=TASKS)
    model.eval()
    assert torch.allclose(features, model.features(X), atol=1e-6)
    data = benchmark.train_stream[1].dataset
    assert torch.allclose(Probe(model).features(data), model.features(X[TASKS == 1]), atol=1e-6)
    plain = SimpleMLP(num_classes=3, input_size=4, hidden_size=6)
    assert Probe(plain).features(data).shape == (6, 6)
