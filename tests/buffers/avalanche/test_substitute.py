"""`use_buffer` finds the place, checks, and says clearly what is wrong."""

import pytest
import torch
from avalanche.training.plugins import AGEMPlugin, GDumbPlugin, MIRPlugin, ReplayPlugin
from avalanche.training.plugins.bic import BiCPlugin
from avalanche.training.supervised import DER, ER_ACE, ER_AML, MER, SCR, Naive
from torch import nn

from buffers.reservoir import ReservoirBuffer
from buffers.substitute import use_buffer
from clcore.errors import ArgumentError


def naive(kit, *plugins):
    return Naive(**kit.settings(), criterion=nn.CrossEntropyLoss(), plugins=list(plugins))


def test_it_gives_the_target_back_and_sets_its_size(kit):
    buffer = ReservoirBuffer(50)
    strategy = ER_ACE(**kit.settings())
    assert use_buffer(strategy, buffer) is strategy
    assert strategy.storage_policy is buffer
    assert strategy.mem_size == 50


def test_it_finds_the_place_in_a_plugin_of_a_strategy(kit):
    buffer = ReservoirBuffer(50)
    plugin = GDumbPlugin()
    use_buffer(naive(kit, plugin), buffer)
    assert plugin.storage_policy is buffer
    assert plugin.mem_size == 50


def test_it_finds_the_place_one_level_down(kit):
    buffer = ReservoirBuffer(50)
    strategy = use_buffer(MER(**kit.settings()), buffer)
    assert strategy.buffer.storage_policy is buffer


def test_der_gets_a_buffer_that_records_outputs(kit):
    buffer = ReservoirBuffer(50)
    use_buffer(DER(**kit.settings()), buffer)
    assert buffer.records_logits


def test_small_classes_do_not_stop_er_aml(kit):
    # Its loaders drop incomplete batches and are asked again for ever.
    settings = kit.settings(batch=8)
    buffer = ReservoirBuffer(20)
    strategy = ER_AML(**settings, feature_extractor=settings["model"].features, batch_size_mem=8)
    use_buffer(strategy, buffer)
    buffer.add(torch.rand(20, 64), torch.tensor([0] * 18 + [1, 2]))
    assert [len(group.buffer) for group in buffer.buffer_groups.values()] == [18, 8, 8]
    assert [group.max_size for group in buffer.buffer_groups.values()] == [18, 1, 1]
    assert [len(data) for data in buffer.buffer_datasets] == [18, 8, 8]


@pytest.mark.parametrize(
    ("target", "buffer", "message"),
    [
        (lambda kit: naive(kit), ReservoirBuffer(5), "Naive has no `storage_policy`"),
        (lambda kit: AGEMPlugin(2, 2), ReservoirBuffer(5), "AGEMPlugin has no `storage_policy`"),
        (lambda kit: object(), ReservoirBuffer(5), "object has no `storage_policy`"),
        (
            lambda kit: naive(kit, ReplayPlugin(), GDumbPlugin()),
            ReservoirBuffer(5),
            r"2 places for a buffer \(ReplayPlugin, GDumbPlugin\)",
        ),
        (lambda kit: ReplayPlugin(), [1, 2], "got list; a clcore Buffer is needed"),
        (
            lambda kit: ER_ACE(**kit.settings(), batch_size_mem=10),
            ReservoirBuffer(9),
            "max_size is 9, but ER_ACE replays only from a memory of at least 10",
        ),
        (lambda kit: MIRPlugin(10), ReservoirBuffer(10), "at least 11"),
        (lambda kit: BiCPlugin(), ReservoirBuffer(max_bytes=9999), "max_size instead of max_bytes"),
    ],
)
def test_what_can_not_be_is_refused(kit, target, buffer, message):
    with pytest.raises(ArgumentError, match=message):
        use_buffer(target(kit), buffer)


def test_a_trained_method_keeps_its_memory(kit):
    strategy = naive(kit, ReplayPlugin(20))
    strategy.train(kit.stream().train_stream[0])
    with pytest.raises(ArgumentError, match="already holds 20 exemplars"):
        use_buffer(strategy, ReservoirBuffer(20))


def test_der_does_not_take_exemplars_without_outputs(kit):
    buffer = ReservoirBuffer(20)
    buffer.add(torch.rand(5, 64), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="the 5 exemplars in this buffer lack"):
        use_buffer(DER(**kit.settings()), buffer)


def test_a_budget_in_bytes_leaves_mem_size_alone(kit):
    plugin = use_buffer(ReplayPlugin(77), ReservoirBuffer(max_bytes=10_000))
    assert plugin.mem_size == 77


def test_scr_s_own_plugin_is_found(kit):
    from avalanche.models import SCRModel

    model = SCRModel(feature_extractor=kit.Encoder(), projection=nn.Linear(16, 8))
    buffer = ReservoirBuffer(30)
    strategy = use_buffer(SCR(**kit.settings(model)), buffer)
    assert strategy.replay_plugin.storage_policy is buffer
    assert buffer.always_task_labels
