import gc
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from clcore import Pool, Probe, select
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selectors import registry
from strategies.offline import Callback
from strategies.offline.frequencies import drawn_by_weight


def selected(trainer):
    return [record.selected for record in trainer.history]


def test_warms_up_and_chooses_every_second_epoch(kit):
    trainer = kit.trainer(warmup_epochs=1, every=2)
    history = trainer.fit(6)
    assert [record.rows for record in history] == [120, 12, 12, 12, 12, 12]
    assert selected(trainer) == [False, True, False, True, False, True]
    assert [record.steps for record in history] == [8, 1, 1, 1, 1, 1]
    assert history[1].forward_passes == 120
    assert history[2].forward_passes == 0
    assert history[1].report["error_bound"] > 0
    assert history[-1].loss < history[0].loss
    assert history.selections == 3
    assert trainer.seconds == pytest.approx(history.train_seconds + history.select_seconds)


SELECTORS = [
    *("random", "full", "craig", "gradmatch", "gradmatch-per-batch", "glister", "k-center"),
    *("facility-location", "herding", "el2n", "grand", "moderate", "forgetting", "margin"),
]


@pytest.mark.parametrize("selector", SELECTORS)
def test_trains_with_each_selector(kit, selector):
    trainer = kit.trainer(selector, 0.2, warmup_epochs=2, every=2, per_class=True)
    history = trainer.fit(5)
    full = selector == "full"
    assert [record.rows for record in history] == [120] * 5 if full else [120, 120, 24, 24, 24]
    if not full:
        assert torch.bincount(kit.blobs()[1][trainer.coreset.indices]).tolist() == [8, 8, 8]


def test_a_step_is_the_weighted_mean_of_gradients(kit):
    """γ_j really count: one step over the whole coreset is checked by hand, in double precision."""
    x, y = (column.double() if column.is_floating_point() else column for column in kit.blobs())
    model, twin = kit.mlp().double(), kit.mlp().double()
    trainer = kit.trainer(data=(x, y), model=model, rate=0.5, batch_size=64)
    trainer.fit(1)
    coreset = trainer.coreset
    assert coreset.weights.std() > 1
    expected = select("craig", Pool.of(x, Probe(twin), labels=y), 12)
    assert torch.equal(coreset.indices, expected.indices)
    parameters = list(twin.parameters())
    direction = [torch.zeros_like(p) for p in parameters]
    for row, weight in zip(coreset.indices, coreset.weights.double(), strict=True):
        loss = functional.cross_entropy(twin(x[row : row + 1]), y[row : row + 1])
        for total, g in zip(direction, torch.autograd.grad(loss, parameters), strict=True):
            total += weight * g
    with torch.no_grad():
        for parameter, g in zip(parameters, direction, strict=True):
            parameter -= 0.5 * g / coreset.weights.double().sum()
    torch.testing.assert_close(kit.flat(model), kit.flat(twin), rtol=1e-6, atol=1e-7)


def test_weights_can_be_left_out(kit):
    weighted, plain = kit.trainer(batch_size=64), kit.trainer(batch_size=64, weighted=False)
    twin = kit.mlp()
    weighted.fit(1), plain.fit(1)
    x, y = kit.blobs()
    rows = plain.coreset.indices
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    nn.CrossEntropyLoss()(twin(x[rows]), y[rows]).backward()
    optimizer.step()
    torch.testing.assert_close(kit.flat(plain.model), kit.flat(twin))
    assert not torch.allclose(kit.flat(weighted.model), kit.flat(twin), atol=1e-3)


def test_weights_can_be_frequencies(kit):
    trainer = kit.trainer(batch_size=64, weighted="sampling", seed=3)
    twin = kit.mlp()
    (record,) = trainer.fit(1)
    coreset = trainer.coreset
    weights = coreset.weights / coreset.weights.mean()
    drawn = drawn_by_weight(weights, torch.Generator().manual_seed(3))
    assert len(drawn) == record.rows
    assert len(drawn.unique()) < len(drawn)
    x, y = kit.blobs()
    rows = coreset.indices[drawn]
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    nn.CrossEntropyLoss()(twin(x[rows]), y[rows]).backward()
    optimizer.step()
    torch.testing.assert_close(kit.flat(trainer.model), kit.flat(twin))


def test_full_data_is_the_hand_written_loop_bit_for_bit(kit):
    trainer = kit.trainer("full", model=kit.mlp(dropout=0.3))
    twin = kit.mlp(dropout=0.3)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    x, y = kit.blobs()
    torch.manual_seed(5)
    trainer.fit(2)
    torch.manual_seed(5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        for rows in torch.randperm(120, generator=generator).split(16):
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(twin(x[rows]), y[rows]).backward()
            optimizer.step()
    assert torch.equal(kit.flat(trainer.model), kit.flat(twin))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_trains_as_its_tensors_do(kit, workers):
    tensors = kit.trainer(warmup_epochs=1, every=2)
    tensors.fit(3)
    items = kit.trainer(warmup_epochs=1, every=2, data=kit.Pairs(*kit.blobs()), workers=workers)
    items.fit(3)
    assert torch.equal(kit.flat(tensors.model), kit.flat(items.model))
    assert [r.loss for r in tensors.history] == [r.loss for r in items.history]


def test_a_data_set_on_a_coreset_is_read_where_chosen_only(kit):
    data = kit.Pairs(*kit.blobs())
    trainer = kit.trainer("random", data=data, every=None)
    trainer.fit(1)
    data.reads = 0
    trainer.fit(4)
    assert data.reads == 3 * 12


def test_selection_leaves_no_trace(kit):
    model = kit.mlp(dropout=0.5, norm=True)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    trainer = kit.trainer(model=model)
    before = [b.clone() for b in model.buffers()]
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    model.train()
    trainer.selections.refresh(0)
    assert trainer.coreset is not None
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in model.parameters())
    assert all(module.training for module in model.modules())
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()
    assert np.array_equal(state[2][1], np.random.get_state()[1])  # noqa: NPY002
    assert not any(module._forward_hooks for module in model.modules())


def test_a_selection_more_does_not_change_the_order_of_rows(kit):
    orders = []
    for every in (1, 3):
        trainer = kit.trainer("random", every=every)
        trainer.fit(3)
        orders.append(trainer.orders.get_state())
    assert torch.equal(*orders)


def test_random_is_drawn_anew_or_kept(kit):
    kept, drawn = [], []
    for every, found in ((None, kept), (1, drawn)):
        trainer = kit.trainer("random", every=every)
        for epoch in (1, 2, 3):
            trainer.fit(epoch)
            found.append(trainer.coreset.indices)
    assert torch.equal(kept[0], kept[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_what_does_not_depend_on_the_model_is_chosen_once_and_without_passes(kit):
    x, y = kit.blobs()
    craig = registry.create("craig", gradients="features")
    trainer = kit.trainer(craig, signals={"features": x})
    history = trainer.fit(4)
    assert selected(trainer) == [True, False, False, False]
    assert sum(record.forward_passes for record in history) == 0
    expected = select(craig, Pool(features=x, labels=y), 12)
    assert torch.equal(trainer.coreset.indices, expected.indices)
    # Of signals that are given only in part, the rest comes from the model.
    mixed = kit.trainer(registry.create("craig", gradients="last_layer"), signals={"features": x})
    assert [record.forward_passes for record in mixed.fit(2)] == [120, 120]


def test_validation_rows_steer_glister(kit):
    x, y = kit.blobs(seed=0)
    rows = y == 2
    trainer = kit.trainer("glister", 0.1, validation=(x[rows], y[rows]))
    with pytest.warns(UserWarning, match="chose no row of class"):
        trainer.fit(1)
    assert (y[trainer.coreset.indices] == 2).all()


def test_callbacks_see_everything_and_cost_nothing(kit, monkeypatch):
    told, clock = [], [0.0]  # a clock that goes on in callbacks alone
    monkeypatch.setattr("strategies.offline.trainer.working_time", lambda: clock[0])

    class Watch(Callback):
        def on_fit_start(self, trainer, epochs):
            told.append(("start", epochs))

        def on_selection(self, trainer, coreset):
            told.append(("selection", len(coreset)))
            clock[0] += 100

        def on_epoch_end(self, trainer, record):
            told.append(("epoch", record.epoch))
            clock[0] += 100
            if record.epoch == 3:
                trainer.stop()

        def on_fit_end(self, trainer, history):
            told.append(("end", len(history)))

    trainer = kit.trainer("random", callbacks=[Watch()], warmup_epochs=2)
    trainer.fit(9)
    assert told == [
        ("start", 9),
        ("epoch", 1),
        ("epoch", 2),
        ("selection", 12),
        ("epoch", 3),
        ("end", 3),
    ]
    assert [r.train_seconds + r.select_seconds for r in trainer.history] == [0, 0, 0]
    assert len(trainer.fit(4)) == 4  # a stop ends one `fit`


def test_inputs_are_transformed_for_training_and_selection(kit):
    x, y = kit.blobs()
    plain = kit.trainer()
    plain.fit(2)
    seen = []

    def augment(batch):
        seen.append(len(batch))
        return batch

    scaled = kit.trainer(data=(x * 4, y), transform=lambda batch: batch / 4, augment=augment)
    scaled.fit(2)
    assert torch.equal(kit.flat(plain.model), kit.flat(scaled.model))
    assert seen == [12, 12]  # training only


def test_mixed_precision_comes_close(kit):
    plain = kit.trainer("random")
    mixed = kit.trainer("random", autocast=torch.bfloat16)
    plain.fit(3), mixed.fit(3)
    assert torch.allclose(kit.flat(plain.model), kit.flat(mixed.model), atol=0.05)
    assert not torch.equal(kit.flat(plain.model), kit.flat(mixed.model))


def test_half_precision_scales_its_gradients(kit):
    trainer = kit.trainer("random", autocast=torch.float16)
    before = kit.flat(trainer.model)
    trainer.fit(3)
    assert trainer.steps.scaler is not None
    assert torch.isfinite(kit.flat(trainer.model)).all()
    assert not torch.equal(before, kit.flat(trainer.model))


def test_regression_targets_need_no_labels(kit):
    x, _ = kit.blobs()
    model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    trainer = kit.trainer("k-center", data=(x, x.sum(1)), model=model, loss=nn.MSELoss(), rate=0.01)
    history = trainer.fit(5)
    assert history[-1].loss < history[0].loss


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"warmup_epochs": -1}, "warmup_epochs"),
        ({"every": 0}, "every"),
        ({"seed": 0.5}, "seed"),
        ({"fraction": 1.5}, "k must be"),
        ({"fraction": 121}, "fraction must give 1 to 120 rows, and 121 gives 121"),
        ({"fraction": 2}, "2 of 120 rows leaves class 2 empty; at least 3 rows are needed"),
        ({"selector": "random", "fraction": 2}, "a row of each of the 3 classes; at least 3 rows"),
        ({"selector": 3}, "selector must be a name or a Selector"),
        ({"selector": "forgetting"}, "at least one epoch"),
        ({"selector": "k-center", "validation": (torch.ones(2, 4), [0, 1])}, "no use for"),
        ({"feature_layer": "head"}, "'head' is not a layer of the model; its layers are: 0"),
        ({"reselect": 2.0}, "reselect must be a Drift"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"weighted": "loss"}, "weighted must be True, False or 'sampling', not 'loss'"),
        ({"scheduler_unit": "batch"}, "scheduler_unit must be"),
        ({"signals": {"features": torch.ones(5, 2)}, "selector": "k-center"}, "for 120 rows"),
        ({"loss": lambda o, y: functional.cross_entropy(o, y)}, 'reduction="none"'),
    ],
)
def test_bad_arguments(kit, options, said):
    with pytest.raises(ArgumentError, match=said):
        kit.trainer(**options).fit(1)


def test_bad_model_and_optimizer(kit):
    from strategies import CoresetTrainer

    model = kit.mlp()
    with pytest.raises(ArgumentError, match="model must be"):
        CoresetTrainer(len, None, nn.CrossEntropyLoss(), kit.blobs())
    with pytest.raises(ArgumentError, match="optimizer must be"):
        CoresetTrainer(model, 0.1, nn.CrossEntropyLoss(), kit.blobs())
    with pytest.raises(UnknownNameError, match="did you mean craig"):
        kit.trainer("crag")


def test_an_incomplete_batch_can_be_left_out_but_not_all(kit):
    trainer = kit.trainer("full", drop_last=True)
    assert [(r.rows, r.steps) for r in trainer.fit(1)] == [(112, 7)]
    with pytest.raises(ArgumentError, match="12 rows are less than a batch of 16"):
        kit.trainer("random", drop_last=True).fit(1)


def test_forgetting_goes_by_what_training_showed(kit):
    # At rate 0 nothing is learnt: the rows that are wrong from the start were never right.
    trainer = kit.trainer("forgetting", 10, warmup_epochs=2, rate=0.0)
    x, y = kit.blobs()
    wrong = (trainer.model(x).argmax(1) != y).nonzero().squeeze(1)
    assert len(wrong) > 10
    trainer.fit(3)
    assert set(trainer.coreset.indices.tolist()) <= set(wrong.tolist())
    assert trainer.history[2].forward_passes == 0


def test_selectors_that_choose_nothing_are_told_of(kit):
    from dataclasses import dataclass

    from clcore import Coreset, Selector

    @dataclass(frozen=True)
    class Weightless(Selector):
        name = "weightless"
        signals = ()

        def _select(self, pool, k, *, given, allowance, generator):
            return Coreset.of(range(k), weights=[0.0] * k)

    with pytest.raises(ArgumentError, match="weightless gave weight to none of its 12 rows"):
        kit.trainer(Weightless()).fit(1)


def test_probe_of_another_model_and_error_of_no_choice(kit):
    with pytest.raises(ArgumentError, match="another model"):
        kit.trainer(probe=Probe(kit.mlp()))
    with pytest.raises(ArgumentError, match="no rows are chosen"):
        kit.trainer("full", error=0.1)
    model = kit.mlp()
    own = kit.trainer(model=model, probe=Probe(model, batch_size=7))
    plain = kit.trainer()
    own.fit(1), plain.fit(1)
    assert torch.equal(own.coreset.indices, plain.coreset.indices)


def test_signals_and_graphs_are_let_go_after_an_epoch(kit):
    def alive():
        gc.collect()
        kinds = [type(held) for held in gc.get_objects()]
        return kinds.count(Pool), sum(issubclass(kind, torch.Tensor) for kind in kinds)

    pools, _ = alive()
    trainer = kit.trainer(warmup_epochs=1)
    trainer.fit(2)
    before = alive()
    trainer.fit(6)
    after = alive()
    assert before[0] == after[0] == pools
    assert after[1] <= before[1]
