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

    def fit(epochs, loader=None, checkpoint=None, **options):
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
        )
        data = TensorDataset(*kit.blobs())
        loader = DataLoader(data, batch_size=16, shuffle=True) if loader is None else loader
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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


def test_bad_input(run, kit):
    with pytest.raises(ArgumentError, match="one DataLoader with a batch size, not list"):
        run(1, loader=[1, 2])
    with pytest.raises(ArgumentError, match="train with CoresetTrainer"):
        run(1, selector="forgetting", warmup_epochs=1)
