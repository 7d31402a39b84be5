"""Streams of all kinds: online, multi-head, resized midway, with transforms of their own."""

import gc
import logging
import sys
import warnings
from functools import partial

import pytest
import torch
from avalanche.benchmarks import nc_benchmark, split_online_stream
from avalanche.benchmarks.classic.cmnist import PixelsPermutation
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute, make_avalanche_dataset
from avalanche.benchmarks.utils.classification_dataset import (
    ClassificationDataset,
    _make_taskaware_classification_dataset,
)
from avalanche.benchmarks.utils.transform_groups import DefaultTransformGroups, TransformGroups
from avalanche.models import MTSimpleMLP
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.supervised import Naive
from torch import nn
from torchvision import transforms as v1

from buffers.reservoir import ReservoirBuffer
from buffers.ring import RingBuffer
from buffers.view import PlainView, TaskView
from clcore.errors import ArgumentError, FormatError


def replaying(kit, buffer, model=None, batch=10, **options):
    plugin = ReplayPlugin(buffer.max_size, storage_policy=buffer, **options)
    return Naive(**kit.settings(model, batch), criterion=nn.CrossEntropyLoss(), plugins=[plugin])


def online(kit, api="classic", n=600, experiences=3):
    benchmark = kit.stream(api, n=n, experiences=experiences)
    return list(split_online_stream(benchmark.train_stream, 10, seed=1))


@pytest.mark.parametrize("api", ["classic", "class-incremental"])
@pytest.mark.parametrize("make", [ReservoirBuffer, RingBuffer])
def test_online_streams(kit, api, make):
    buffer = make(30)
    strategy = replaying(kit, buffer)
    for step, experience in enumerate(online(kit, api, n=300)):
        assert len(experience.dataset) == 10
        strategy.train(experience)
        assert len(buffer) == min(30, 10 * (step + 1))
    rows = kit.identities(buffer.store.x)
    assert len(set(rows)) == 30
    assert buffer.seen == 300


def _calls(run):
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def _views():
    gc.collect()
    return sum(type(thing) in (TaskView, PlainView) for thing in gc.get_objects())


@pytest.mark.parametrize("api", ["classic", "class-incremental"])
def test_a_step_costs_the_same_at_any_size_and_age(kit, api):
    costs = {}
    for size in (40, 2000):
        stream = online(kit, api, n=600)
        buffer = ReservoirBuffer(size)
        for _ in range(-(-size // 600)):
            for experience in kit.stream(api, n=600).train_stream:
                buffer.post_adapt(None, experience)
        assert len(buffer) == size
        strategy = replaying(kit, buffer)
        torch.manual_seed(0)
        before = _views()
        calls = [_calls(partial(strategy.train, experience)) for experience in stream]
        assert _views() - before <= 2, "views of the past are not kept"
        assert len(buffer._views) <= 1
        early, late = sorted(calls[5:20])[7], sorted(calls[-15:])[7]
        assert late <= 1.15 * early
        costs[size] = late
    assert costs[2000] <= 1.15 * costs[40]


def test_updates_warn_of_nothing_and_leave_the_filters_alone(kit):
    buffer = ReservoirBuffer(20)
    strategy = replaying(kit, buffer)
    experience = kit.stream().train_stream[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        strategy.experience = experience
        buffer.update(strategy)
        assert warnings.filters == before
    assert not caught


@pytest.mark.parametrize("balanced", [False, True])
def test_multi_head_models_get_the_right_task(kit, balanced):
    benchmark = kit.stream("tasks")
    buffer = RingBuffer(30)
    model = MTSimpleMLP(input_size=64, hidden_size=16)
    seen = []

    class Watch(ReplayPlugin):
        def before_forward(self, strategy, **kwargs):
            seen.append(set(strategy.mb_task_id.tolist()))

    plugin = Watch(30, storage_policy=buffer, task_balanced_dataloader=balanced)
    strategy = Naive(**kit.settings(model), criterion=nn.CrossEntropyLoss(), plugins=[plugin])
    truth = {}
    for experience in benchmark.train_stream:
        for x, _, t in experience.dataset.eval():
            truth[tuple((x[0, 0, :2] * 255).round().int().tolist())] = t
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    assert {0, 1, 2} in seen
    assert set(buffer.task_counts()) == {0, 1, 2}
    for x, task in zip(buffer.store.x, buffer.store.task.tolist(), strict=True):
        assert truth[tuple(x[0, 0, :2].tolist())] == task
    assert [t for *_, t in buffer.buffer] == buffer.store.task.tolist()


def test_resizing_down_and_up_midway(kit):
    stream = online(kit, n=400)
    buffer = ReservoirBuffer(30)
    strategy = replaying(kit, buffer)
    for experience in stream[:10]:
        strategy.train(experience)
    buffer.resize(strategy, 7)
    assert len(buffer.buffer) == len(buffer) == buffer.max_size == 7
    held = set(kit.identities(buffer.store.x))
    for experience in stream[10:12]:
        strategy.train(experience)
    assert len(buffer) == 7
    buffer.resize(strategy, 60)
    assert len(buffer.buffer) == 7
    for experience in stream[12:30]:
        strategy.train(experience)
    assert len(buffer.buffer) == len(buffer) == 60
    rows = kit.identities(buffer.store.x)
    assert len(set(rows)) == 60
    assert len(held) == 7


def domains(kit, transform_of, *, frozen, n=20):
    """Three experiences over the same pictures, each with a transform of its own."""
    parts = []
    for domain in range(3):
        data = _make_taskaware_classification_dataset(kit.Mnist(n))
        step = transform_of(domain)
        if frozen:
            data = make_avalanche_dataset(
                data, frozen_transform_groups=DefaultTransformGroups((step, None))
            )
        else:
            targets = DataAttribute(list(data.targets), "targets")
            data = ClassificationDataset(
                [kit.Mnist(n)],
                data_attributes=[targets],
                transform_groups=TransformGroups(
                    {"train": v1.Compose([step, v1.ToTensor()]),
                     "eval": v1.Compose([step, v1.ToTensor()])}
                ),
            )  # fmt: skip
        parts.append(data)
    return parts


def permutation(domain):
    generator = torch.Generator().manual_seed(domain)
    return PixelsPermutation(torch.randperm(64, generator=generator))


def rotation(domain):
    return v1.RandomRotation((90.0 * domain, 90.0 * domain))


@pytest.mark.parametrize("transform", [permutation, rotation])
def test_permuted_and_rotated_streams_keep_each_exemplar_in_its_domain(kit, transform):
    parts = domains(kit, transform, frozen=True)
    benchmark = nc_benchmark(
        parts, parts, 3, task_labels=True, shuffle=False, class_ids_from_zero_in_each_exp=True,
        one_dataset_per_exp=True, train_transform=v1.ToTensor(), eval_transform=v1.ToTensor(),
    )  # fmt: skip
    buffer = RingBuffer(36, groups="task")
    looks = []
    for experience in benchmark.train_stream:
        looks.append({x.numpy().tobytes() for x, *_ in experience.dataset})
        buffer.post_adapt(None, experience)
    assert buffer.store.x.dtype == torch.uint8
    assert set(buffer.task_counts()) == {0, 1, 2}
    for x, _, task in buffer.buffer:
        assert x.numpy().tobytes() in looks[task]


def test_a_pipeline_that_changes_settles_the_exemplars(kit, caplog):
    parts = domains(kit, rotation, frozen=False)
    buffer = ReservoirBuffer(40)
    looks = set()
    with caplog.at_level(logging.WARNING):
        for part in parts:
            looks |= {x.numpy().tobytes() for x, _ in part}
            buffer.update_from_dataset(part)
            assert all(x.numpy().tobytes() in looks for x, _ in buffer.buffer)
    assert caplog.text.count("change between experiences") == 1
    assert buffer.store.x.dtype == torch.float32
    drawn = buffer.sample(40)
    assert all(x.numpy().tobytes() in looks for x in drawn.x)
    assert buffer.seen == 60


def test_settling_keeps_to_the_budget_in_bytes(kit):
    parts = domains(kit, rotation, frozen=False)
    budget = 10 * (64 + 28)
    buffer = ReservoirBuffer(max_bytes=budget)
    buffer.update_from_dataset(parts[0])
    assert len(buffer) == 10
    buffer.update_from_dataset(parts[1])
    assert buffer.nbytes <= budget
    assert len(buffer) == budget // (4 * 64 + 28)
    assert buffer.max_bytes == budget


def test_a_changing_pipeline_does_not_go_with_a_transform_of_ones_own(kit):
    parts = domains(kit, rotation, frozen=False)
    buffer = ReservoirBuffer(40, transform=lambda x: x / 255)
    buffer.update_from_dataset(parts[0])
    with pytest.raises(ArgumentError, match="`transform` of the buffer's own"):
        buffer.update_from_dataset(parts[1])


def test_new_augmentations_alone_are_taken_over(kit):
    def part(crop):
        return ClassificationDataset(
            [kit.Mnist(10)],
            data_attributes=[DataAttribute([0] * 10, "targets")],
            transform_groups=TransformGroups(
                {"train": v1.Compose([v1.RandomCrop(crop), v1.ToTensor()]), "eval": v1.ToTensor()}
            ),
        )

    buffer = ReservoirBuffer(20)
    buffer.update_from_dataset(part(6))
    assert buffer.buffer[0][0].shape == (1, 6, 6)
    buffer.update_from_dataset(part(7))
    assert buffer.store.x.dtype == torch.uint8
    assert buffer.buffer[0][0].shape == (1, 7, 7)
    assert buffer.sample(2).x.shape == (2, 1, 7, 7)


def test_a_buffer_from_a_file_meets_its_stream_before_it_is_read(kit, tmp_path):
    first, second, _ = kit.stream(n=60).train_stream
    buffer = ReservoirBuffer(15, seed=3)
    buffer.post_adapt(None, first)
    buffer.save(tmp_path / "memory.safetensors")
    loaded = ReservoirBuffer(15).load(tmp_path / "memory.safetensors")
    for read in (lambda: loaded.buffer, lambda: loaded.sample(3), lambda: loaded.all()):
        with pytest.raises(ArgumentError, match=r"call `adopt\(experience.dataset\)`"):
            read()
    loaded.adopt(second.dataset)
    assert len(loaded) == 15
    torch.manual_seed(1)
    ours = [sample[0] for sample in loaded.buffer]
    torch.manual_seed(1)
    assert all(map(torch.equal, ours, [sample[0] for sample in buffer.buffer]))
    for each in (buffer, loaded):
        each.post_adapt(None, second)
    assert torch.equal(buffer.store.x, loaded.store.x)
    assert torch.equal(buffer.store.meta, loaded.store.meta)


def test_a_buffer_of_a_stream_without_transforms_loads_ready_to_read(kit, tmp_path):
    dataset = kit.stream("class-incremental", kit.Vectors).train_stream[0].dataset
    buffer = ReservoirBuffer(15)
    buffer.update_from_dataset(dataset)
    buffer.save(tmp_path / "memory.safetensors")
    loaded = ReservoirBuffer(15).load(tmp_path / "memory.safetensors")
    x, y = loaded.buffer[4]
    assert torch.equal(x, buffer.buffer[4][0])
    assert isinstance(y, torch.Tensor)
    assert loaded.attributes == ()
    with pytest.raises(FormatError, match="what stream"):
        loaded.load_state_dict({"kind": "ReservoirBuffer"})


def test_the_form_follows_the_stream(kit):
    buffer = ReservoirBuffer(30)
    assert len(buffer.buffer) == 0
    buffer.post_adapt(None, kit.stream("classic").train_stream[0])
    assert len(buffer.buffer[0]) == 3
    assert buffer.buffer is buffer.buffer
    buffer.post_adapt(None, kit.stream("class-incremental").train_stream[0])
    assert len(buffer.buffer[0]) == 2


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (AvalancheDataset([]), "holds no samples"),
        (
            make_avalanche_dataset(
                [(torch.zeros(2), -1)], data_attributes=[DataAttribute([-1], "targets")]
            ),
            "labels count from 0",
        ),
    ],
)
def test_a_bad_experience_is_refused_and_nothing_is_lost(kit, dataset, message):
    buffer = ReservoirBuffer(30)
    buffer.post_adapt(None, kit.stream().train_stream[0])
    with pytest.raises(ArgumentError, match=message):
        buffer.update_from_dataset(dataset)
    assert len(buffer) == 30
    with pytest.raises(ArgumentError, match="its view can't be set"):
        buffer.buffer = dataset


def test_logits_need_a_strategy(kit):
    buffer = ReservoirBuffer(30)
    buffer.records_logits = True
    with pytest.raises(ArgumentError, match="a strategy with a `model` is needed"):
        buffer.post_adapt(None, kit.stream().train_stream[0])
