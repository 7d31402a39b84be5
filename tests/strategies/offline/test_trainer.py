import pytest
import torch
from torch import nn

from strategies.offline import CoresetTrainer


def blobs(rows=120, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % classes
    centres = 3 * torch.randn(classes, 4, generator=generator)
    return centres[y] + torch.randn(rows, 4, generator=generator), y


def trainer_of(selector="craig", **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return CoresetTrainer(
        model, optimizer, nn.CrossEntropyLoss(), blobs(), selector, batch_size=16, **options
    )


def test_warms_up_and_chooses_every_second_epoch():
    trainer = trainer_of(warmup_epochs=1, every=2)
    history = trainer.fit(6)
    assert [record.rows for record in history] == [120, 12, 12, 12, 12, 12]
    assert [record.selected for record in history] == [False, True, False, True, False, True]
    assert history[-1].loss < history[0].loss


@pytest.mark.parametrize("selector", ["random", "full", "gradmatch", "k-center", "forgetting"])
def test_trains_with_other_selectors(selector):
    history = trainer_of(selector, warmup_epochs=1).fit(3)
    assert history[-1].rows == (120 if selector == "full" else 12)
