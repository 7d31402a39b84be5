import warnings

import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from clcore.errors import ArgumentError
from clcore.weighted_subset import weighted_loss

lightning = pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def run(kit, tmp_path):
    from strategies.offline.lightning_callback import CoresetCallback

    class Learner(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = kit.mlp()
            self.rows = []

        def forward(self, x):
            return self.model(x)

        def on_train_epoch_start(self):
            self.rows.append([])

        def training_step(self, batch, _):
            x, y, weights = batch
            self.rows[-1].append((len(x), float(weights.sum())))
            return weighted_loss(functional.cross_entropy(self(x), y, reduction="none"), weights)

        def configure_optimizers(self):
            # Asking for this makes Lightning set up its loaders before the callback is called.
            assert self.trainer.estimated_stepping_batches > 0
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def fit(epochs, loader=None, checkpoint=None, told=None, devices=None, **options):
        learner, callback = Learner(), CoresetCallback(**options)
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[callback],
            default_root_dir=tmp_path,
            **(devices or {}),
        )
        data = TensorDataset(*kit.blobs())
        loader = DataLoader(data, batch_size=16, shuffle=True) if loader is None else loader
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if told is not None:
                warnings.showwarning = lambda message, *_, **__: told.append(str(message))
                warnings.filterwarnings("always", message="weights: ")
            trainer.fit(learner, loader, ckpt_path=checkpoint)
        return learner, callback, trainer

    return fit


def test_trains_on_the_weighted_subset(run, kit):
    learner, callback, _ = run(5, warmup_epochs=2, every=2)
    counts = [sum(count for count, _ in epoch) for epoch in learner.rows]
    assert counts == [120, 120, 12, 12, 12]
    weights = [sum(total for _, total in epoch) for epoch in learner.rows]
    assert weights == pytest.approx(counts)  # of mean 1
    assert callback.coreset.weights.std() > 0


def test_the_subset_is_that_of_the_trainer(run, kit):
    learner, callback, _ = run(1)
    trainer = kit.trainer()
    trainer.fit(1)
    assert torch.equal(callback.coreset.indices, trainer.coreset.indices)
    torch.testing.assert_close(kit.flat(learner.model), kit.flat(trainer.model))


def test_goes_on_from_lightnings_checkpoint(run, tmp_path, kit):
    options = {"selector": "random", "warmup_epochs": 1, "every": 3}
    _, first, trainer = run(3, **options)
    trainer.save_checkpoint(tmp_path / "lightning.ckpt")
    _, kept, _ = run(4, checkpoint=tmp_path / "lightning.ckpt", **options)
    assert torch.equal(kept.coreset.indices, first.coreset.indices)
    whole, _, _ = run(6, **options)
    resumed, anew, _ = run(6, checkpoint=tmp_path / "lightning.ckpt", **options)
    assert not torch.equal(anew.coreset.indices, first.coreset.indices)
    assert torch.equal(kit.flat(whole.model), kit.flat(resumed.model))


@pytest.fixture
def heavy_run(run, kit):
    """Fits on a coreset with a row of 200 times the mean; returns what was warned of."""

    def fit(epochs, *, heaviest=200.0, batch_size=16, **options):
        told = []
        loader = DataLoader(TensorDataset(*kit.blobs(300)), batch_size=batch_size, shuffle=True)
        run(epochs, loader, told=told, selector=kit.Heavy(heaviest), fraction=250, **options)
        return told

    return fit


def test_rows_that_outweigh_a_step_are_warned_of_once_a_selection(heavy_run):
    told = heavy_run(6, warmup_epochs=1, every=3)
    assert len(told) == 2
    assert all(
        " chose weighs 200 times the mean, as much as 12.5 batches of 16" in text for text in told
    )
    assert len(heavy_run(3, every=None)) == 1
    assert not heavy_run(2, heaviest=23.0)
    assert not heavy_run(2, batch_size=140)


def test_a_step_is_all_batches_that_are_accumulated(heavy_run):
    (text,) = heavy_run(1, devices={"accumulate_grad_batches": 4})
    assert "as much as 3.1 batches of 64" in text
    assert not heavy_run(1, devices={"accumulate_grad_batches": 9})


def test_the_first_process_alone_warns(heavy_run, monkeypatch):
    monkeypatch.setattr(lightning.Trainer, "is_global_zero", property(lambda _: False))
    assert not heavy_run(2)


def test_a_step_is_the_batches_of_all_processes(heavy_run, monkeypatch):
    monkeypatch.setattr(lightning.Trainer, "world_size", property(lambda _: 2))
    (text,) = heavy_run(1)
    assert "as much as 6.2 batches of 32" in text


def test_bad_input(run, kit):
    with pytest.raises(ArgumentError, match="one DataLoader with a batch size, not list"):
        run(1, loader=[1, 2])
    with pytest.raises(ArgumentError, match="train with CoresetTrainer"):
        run(1, selector="forgetting", warmup_epochs=1)
