import pytest
import torch
from torch import nn
from torch.nn import functional

from clcore.errors import ArgumentError
from strategies.offline.losses import RowLosses, batch_loss

OUTPUTS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 1, 0])
PLAIN = functional.cross_entropy(OUTPUTS, LABELS, reduction="none")


@pytest.mark.parametrize(
    ("loss", "plain"),
    [
        (nn.CrossEntropyLoss(), True),
        (nn.CrossEntropyLoss(reduction="none"), True),
        (functional.cross_entropy, True),
        (lambda o, y: functional.cross_entropy(o, y, reduction="none"), False),
        (nn.CrossEntropyLoss(torch.ones(3), reduction="none"), False),
        (nn.CrossEntropyLoss(label_smoothing=0.0, ignore_index=1, reduction="none"), False),
    ],
)
def test_losses_a_row(loss, plain):
    losses = RowLosses(loss)
    assert losses.plain_cross_entropy is plain
    if getattr(loss, "ignore_index", -1) < 0:
        torch.testing.assert_close(losses(OUTPUTS, LABELS), PLAIN)
    assert getattr(loss, "reduction", "") in ("", "mean", "none")  # as it came


def test_several_losses_a_row_are_averaged():
    found = RowLosses(nn.MSELoss())(OUTPUTS, torch.zeros(5, 3))
    torch.testing.assert_close(found, OUTPUTS.square().mean(1))


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (3, "loss must be callable, not 3"),
        (nn.CrossEntropyLoss(reduction="sum"), "reduction='sum'.* reduction=\"none\""),
        (nn.KLDivLoss(reduction="batchmean"), "batchmean"),
        (nn.CrossEntropyLoss(torch.ones(3)), "class weights and reduction='mean'"),
    ],
)
def test_losses_that_are_refused(loss, said):
    with pytest.raises(ArgumentError, match=said):
        RowLosses(loss)


def test_a_reduced_loss_is_refused_with_the_way_out():
    def mine(outputs, labels):
        return functional.cross_entropy(outputs, labels)

    with pytest.raises(ArgumentError, match=r'mine gives one number .* reduction="none"'):
        RowLosses(mine)(OUTPUTS, LABELS)
    with pytest.raises(ArgumentError, match=r"shape \(1,\) for 5 rows"):
        RowLosses(lambda o, y: o.sum().reshape(1))(OUTPUTS, LABELS)


def test_the_mean_of_a_batch():
    losses, weights = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.5])
    assert batch_loss(losses, None) == 2.0
    assert batch_loss(losses, weights) == 2.5
    assert batch_loss(losses.bfloat16(), weights).dtype is torch.float32
    assert batch_loss(losses.double(), weights).dtype is torch.float64
