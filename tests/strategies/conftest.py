"""Small streams, models and strategies; everything runs in milliseconds."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, dataset_benchmark, tensors_benchmark
from avalanche.benchmarks.scenarios.supervised import class_incremental_benchmark
from avalanche.benchmarks.utils import (
    _make_taskaware_classification_dataset,
    as_classification_dataset,
    concat_datasets,
)
from avalanche.benchmarks.utils.transform_groups import DefaultTransformGroups
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import transforms


def images(n, classes, seed=0, size=4):
    """uint8 images whose brightness tells their class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    noise = torch.randint(0, 40, (n, 1, size, size), generator=generator)
    return (noise + (y * 200 // max(classes - 1, 1)).view(-1, 1, 1, 1)).to(torch.uint8), y


def pipeline(*random_steps):
    return transforms.Compose(
        [
            *random_steps,
            transforms.ConvertImageDtype(torch.float32),
            transforms.Normalize((0.5,), (0.5,)),
        ]
    )


def dataset(x, y, train=None, evaluate=None):
    tensors = TensorDataset(x, y)
    tensors.targets = y.tolist()
    train = pipeline() if train is None else train
    evaluate = pipeline() if evaluate is None else evaluate
    groups = DefaultTransformGroups((train, None))
    groups["eval"] = evaluate
    return as_classification_dataset(tensors, transform_groups=groups)


def new_stream(n=60, experiences=3, train=None, seed=0):
    """Class-incremental, two classes an experience, no task labels; n samples an experience."""
    x, y = images(n * experiences, 2 * experiences, seed)
    parts, test = [], []
    for experience in range(experiences):
        rows = torch.nonzero((y == 2 * experience) | (y == 2 * experience + 1)).view(-1)
        parts.append(dataset(x[rows], y[rows], train))
        test.append(dataset(x[rows[:10]], y[rows[:10]], train))
    return benchmark_from_datasets(train=parts, test=test)


def incremental_stream(n=60, experiences=3, seed=0):
    """The new interface with class attributes, for models that grow; no task labels."""
    x, y = images(n * experiences, 2 * experiences, seed)
    data = dataset(x, y)
    return class_incremental_benchmark(
        {"train": data, "test": dataset(x[:20], y[:20])},
        num_experiences=experiences,
        class_order=list(range(2 * experiences)),
    )


def classic_stream(n=30, experiences=3, tasks=None):
    """The classic interface, float samples with task labels."""
    train = []
    for experience in range(experiences):
        x, y = images(n, 2, experience)
        train.append((x.float() / 255, y))
    return tensors_benchmark(
        train_tensors=train,
        test_tensors=[(x[:6], y[:6]) for x, y in train],
        task_labels=list(range(experiences)) if tasks is None else tasks,
    )


def two_task_experience():
    """One experience of the classic interface that holds two tasks of unequal size."""
    parts = []
    for task, n in enumerate([20, 8]):
        x, y = images(n, 2, task)
        tensors = TensorDataset(x.float() / 255, y)
        tensors.targets = y.tolist()
        parts.append(make_tasked(tensors, task))
    joined = concat_datasets(parts)
    return dataset_benchmark([joined], [joined])


def make_tasked(tensors, task):
    return _make_taskaware_classification_dataset(tensors, task_labels=task)


def mlp(outputs=6, inputs=16, seed=0, dropout=0.0):
    torch.manual_seed(seed)
    layers = [nn.Flatten(), nn.Linear(inputs, 12), nn.ReLU()]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(12, outputs))


def sgd(model, lr=0.1, momentum=0.0):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)


def naive(model=None, plugins=(), optimizer=None, criterion=None, epochs=1, size=10, kind=Naive):
    model = mlp() if model is None else model
    return kind(
        model=model,
        optimizer=sgd(model) if optimizer is None else optimizer,
        criterion=nn.CrossEntropyLoss() if criterion is None else criterion,
        train_mb_size=size,
        eval_mb_size=8,
        train_epochs=epochs,
        plugins=list(plugins),
        evaluator=quiet(),
    )


def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "No loggers specified"
        return EvaluationPlugin()


def weights_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def kit():
    """The functions above, for tests to make things with."""
    return SimpleNamespace(
        images=images,
        pipeline=pipeline,
        dataset=dataset,
        new_stream=new_stream,
        incremental_stream=incremental_stream,
        classic_stream=classic_stream,
        two_task_experience=two_task_experience,
        mlp=mlp,
        sgd=sgd,
        naive=naive,
        weights_of=weights_of,
    )
