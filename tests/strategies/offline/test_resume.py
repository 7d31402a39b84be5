import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clcore.errors import ArgumentError, FormatError
from strategies.offline import Callback, CoresetTrainer, DivergedError, Drift

OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
}
SCHEDULERS = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 6),
    "steps": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 4]),
    "one-cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.2, total_steps=105),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=1),
}


class Counter(Callback):
    def __init__(self):
        self.losses = []

    def on_epoch_end(self, trainer, record):
        self.losses.append(record.loss)

    def state_dict(self):
        return {"losses": self.losses}

    def load_state_dict(self, state):
        self.losses = list(state["losses"])


def make(kit, seed=0, optimizer="momentum", scheduler=None, data=None, **options):
    model = kit.mlp(seed, dropout=0.2, norm=True)
    made = OPTIMIZERS[optimizer](model.parameters())
    if scheduler is not None:
        options["scheduler"] = SCHEDULERS[scheduler](made)
    options = {"warmup_epochs": 1, "every": 2, "fraction": 0.2, "batch_size": 8, **options}
    data = kit.blobs() if data is None else data
    return CoresetTrainer(model, made, nn.CrossEntropyLoss(), data, **options)


CASES = {
    "craig": {"scheduler": "cosine"},
    "adam": {"optimizer": "adam", "scheduler": "steps"},
    "random": {"selector": "random", "scheduler": "one-cycle", "scheduler_unit": "full-step"},
    "per batch": {"selector": "gradmatch-per-batch", "scheduler": "plateau"},
    "forgetting": {"selector": "forgetting", "warmup_epochs": 2, "per_class": True},
    "sampling": {"weighted": "sampling"},
    "drift": {"reselect": Drift(1.01, sample=50)},
    "full": {"selector": "full"},
    "half": {"selector": "random", "autocast": torch.float16},
    "given": {"selector": "k-center", "signals": {"features": torch.arange(120.0)[:, None]}},
}


@pytest.mark.parametrize("broken", [1, 2, 4])
@pytest.mark.parametrize("case", list(CASES))
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(kit, tmp_path, case, broken):
    options = CASES[case]
    torch.manual_seed(1), random.seed(1)
    whole = make(kit, callbacks=[Counter()], **options)
    whole.fit(broken)
    whole.save(tmp_path / "state")
    whole.fit(7)
    after = torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002

    other = make(kit, seed=9, callbacks=[Counter()], **options)
    other.load(tmp_path / "state")
    assert other.epoch == broken
    other.fit(7)
    assert after[0].equal(torch.rand(3))
    assert after[1:] == (random.random(), np.random.rand())  # noqa: NPY002
    for (name, a), b in zip(
        whole.model.state_dict().items(), other.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    told = [
        [replace(record, train_seconds=0.0, select_seconds=0.0) for record in trainer.history]
        for trainer in (whole, other)
    ]
    assert told[0] == told[1]
    assert whole.callbacks[0].losses == other.callbacks[0].losses
    if whole.coreset is not None:
        assert torch.equal(whole.coreset.indices, other.coreset.indices)
        assert torch.equal(whole.coreset.weights, other.coreset.weights)
        assert whole.coreset.report == other.coreset.report


def test_fit_writes_checkpoints_and_goes_on_from_them(kit, tmp_path):
    path = tmp_path / "runs" / "digits.safetensors"
    whole = make(kit, checkpoint=path)
    state = torch.get_rng_state()
    whole.fit(5)
    path.unlink()
    torch.set_rng_state(state)
    first = make(kit, checkpoint=path)
    torch.set_rng_state(state)
    first.fit(3)
    resumed = make(kit, seed=4, checkpoint=path)
    resumed.fit(5, resume=True)
    assert torch.equal(kit.flat(whole.model), kit.flat(resumed.model))
    assert len(resumed.history) == 5
    resumed.fit(5, resume=True)  # done already
    assert len(resumed.history) == 5
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no part left behind


def test_a_map_style_data_set_resumes_too(kit, tmp_path):
    whole = make(kit, data=kit.Pairs(*kit.blobs()), selector="random")
    whole.fit(2)
    whole.save(tmp_path / "state")
    whole.fit(4)
    other = make(kit, data=kit.Pairs(*kit.blobs()), selector="random", seed=3)
    other.load(tmp_path / "state")
    other.fit(4)
    assert torch.equal(kit.flat(whole.model), kit.flat(other.model))


def test_an_earlier_run_is_not_overwritten(kit, tmp_path):
    make(kit, checkpoint=tmp_path / "state").fit(1)
    with pytest.raises(FormatError, match="is there already"):
        make(kit, checkpoint=tmp_path / "state").fit(1)
    with pytest.raises(ArgumentError, match="no checkpoint="):
        make(kit).fit(1, resume=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": 3}, None),  # of the model alone
        ({"every": 3}, "every=2, and this one has every=3"),
        ({"fraction": 0.3}, "fraction=24, and this one has fraction=36"),
        ({"selector": "random"}, "selector='craig'"),
        ({"optimizer": "adam"}, "optimizer='SGD'"),
        ({"scheduler": "cosine"}, "scheduler=None"),
        ({"callbacks": [Counter()]}, "callbacks"),
        ({"reselect": Drift()}, "reselect=None"),
        ({"selector": "full"}, "selector='craig'"),
    ],
)
def test_another_trainer_is_refused(kit, tmp_path, options, said):
    one = make(kit)
    one.fit(1)
    one.save(tmp_path / "state")
    if said is None:
        make(kit, **options).load(tmp_path / "state")
        return
    with pytest.raises(FormatError, match=said):
        make(kit, **options).load(tmp_path / "state")


def test_other_data_and_other_models_are_refused(kit, tmp_path):
    one = make(kit)
    one.fit(1)
    one.save(tmp_path / "state")
    x, y = kit.blobs()
    with pytest.raises(FormatError, match="labels differ, or come in another order"):
        make(kit, data=(x.flip(0), y.flip(0))).load(tmp_path / "state")
    with pytest.raises(FormatError, match="rows=120"):
        make(kit, data=(x[:90], y[:90]), fraction=24).load(tmp_path / "state")
    wide = make(kit)
    wide.model[0] = nn.Linear(4, 9)
    with pytest.raises(FormatError, match=r"0.weight has shape \(9, 4\) here and \(8, 4\)"):
        wide.load(tmp_path / "state")


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "text", "schema"])
def test_damaged_files_are_refused(kit, tmp_path, damage):
    from safetensors.torch import save_file

    path = tmp_path / "state"
    trainer = make(kit)
    trainer.save(path)
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "foreign":
        save_file({"a": torch.ones(2)}, path)
    elif damage == "text":
        path.write_text("not a checkpoint at all, but text that is long enough")
    else:
        save_file({}, path, {"clcore coreset training": '{"schema": 99, "state": {}}'})
    with pytest.raises(FormatError, match=str(path)):
        trainer.load(path)


def test_a_failed_write_keeps_the_old_file(kit, tmp_path):
    class Odd(Counter):
        def state_dict(self):
            return {"object": object()}

    path = tmp_path / "state"
    make(kit).save(path)
    kept = path.read_bytes()
    with pytest.raises(ArgumentError, match="holds a object"):
        make(kit, callbacks=[Odd()]).save(path)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("where", ["warm-up", "coreset"])
def test_nan_stops_training_and_the_last_good_checkpoint_stays(kit, tmp_path, where):
    path = tmp_path / "state"

    class Poison(Callback):
        def on_epoch_end(self, trainer, record):
            if record.epoch == 2:
                trainer.steps.transform = lambda x: x * float("nan")

    trainer = make(
        kit,
        selector="random",
        warmup_epochs=4 if where == "warm-up" else 1,
        every=None,
        checkpoint=path,
        callbacks=[Poison()],
    )
    with pytest.raises(DivergedError, match="became nan by step 1 of epoch 3") as raised:
        trainer.fit(6)
    assert raised.value.checkpoint == path
    assert f"the last good checkpoint is {path}, after epoch 2" in str(raised.value).lower()
    assert len(trainer.history) == 2
    good = make(kit, selector="random", warmup_epochs=trainer.selections.warmup_epochs, every=None)
    good.load(path)
    assert good.epoch == 2
    assert torch.isfinite(kit.flat(good.model)).all()
    good.fit(6)


def test_nan_at_once_leaves_the_model_as_it_came(kit, tmp_path):
    x, y = kit.blobs()
    x[7] = float("nan")
    trainer = make(kit, data=(x, y), checkpoint=tmp_path / "state")
    with pytest.raises(DivergedError, match="in training on all data"):
        trainer.fit(2)
    good = make(kit, seed=2, data=(x, y))
    good.load(tmp_path / "state")
    assert torch.equal(kit.flat(good.model), kit.flat(make(kit).model))
