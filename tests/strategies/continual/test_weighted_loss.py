import pytest
import torch
from torch import nn
from torch.nn import functional

from clcore.errors import ArgumentError
from strategies.continual.weighted_loss import WeightedLoss

LOGITS = torch.tensor([[1.0, 2.0, 0.5], [0.3, -1.0, 2.0], [0.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
LABELS = torch.tensor([1, 0, 2, 1])
WEIGHTS = torch.tensor([1.0, 3.0, 0.5, 2.0])


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(reduction="sum"),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2])),
        nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 5.0, 0.2])),
        nn.CrossEntropyLoss(ignore_index=2),
        nn.MultiMarginLoss(),
        functional.cross_entropy,
    ],
)
def test_ones_give_the_criterions_own_loss(criterion):
    ours = WeightedLoss(criterion)(LOGITS, LABELS, torch.ones(4))
    torch.testing.assert_close(ours, criterion(LOGITS, LABELS))


def test_a_weight_counts_like_so_many_copies():
    weights = torch.tensor([1.0, 3.0, 1.0, 2.0])
    repeated = torch.tensor([0, 1, 1, 1, 2, 3, 3])
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2]))
    ours = WeightedLoss(criterion)(LOGITS, LABELS, weights)
    torch.testing.assert_close(ours, criterion(LOGITS[repeated], LABELS[repeated]))


def test_several_losses_a_sample_are_averaged_first():
    targets = functional.one_hot(LABELS, 3).float()
    ours = WeightedLoss(nn.BCEWithLogitsLoss())(LOGITS, targets, WEIGHTS)
    each = functional.binary_cross_entropy_with_logits(LOGITS, targets, reduction="none").mean(1)
    torch.testing.assert_close(ours, (WEIGHTS * each).sum() / WEIGHTS.sum())


def test_batchmean():
    ours = WeightedLoss(nn.KLDivLoss(reduction="batchmean"))
    inputs, targets = LOGITS.log_softmax(1), LOGITS.flip(0).softmax(1)
    expected = nn.KLDivLoss(reduction="batchmean")(inputs, targets)
    torch.testing.assert_close(ours(inputs, targets, torch.ones(4)), expected)


def test_the_criterion_itself_is_left_alone():
    criterion = nn.CrossEntropyLoss()
    WeightedLoss(criterion)(LOGITS, LABELS, WEIGHTS)
    assert criterion.reduction == "mean"


@pytest.mark.parametrize(
    "criterion", [lambda output, y: output.sum(), nn.CrossEntropyLoss(reduction="none"), max]
)
def test_criteria_without_losses_of_samples_are_refused(criterion):
    with pytest.raises(ArgumentError, match="criterion"):
        WeightedLoss(criterion)


def test_a_function_that_ignores_its_reduction_is_refused():
    def careless(output, y, reduction="mean"):
        return functional.cross_entropy(output, y)

    with pytest.raises(ArgumentError, match="careless gave losses of shape"):
        WeightedLoss(careless)(LOGITS, LABELS, WEIGHTS)
