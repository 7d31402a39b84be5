import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from clcore.errors import ArgumentError
from strategies.offline.schedule import Schedule


def counting(unit):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = LambdaLR(optimizer, lambda count: 1.0 / (1 + count))
    optimizer.step()
    return Schedule(scheduler, unit, optimizer), scheduler


def epoch(schedule, steps, full):
    rates = []
    for step in range(1, steps + 1):
        schedule.after_step(step, steps, full) if schedule.by_step else None
        rates.append(schedule.scheduler.last_epoch)
    schedule.after_epoch(1.0)
    return rates


def test_epochs_are_counted_once_whatever_their_size():
    schedule, scheduler = counting("epoch")
    epoch(schedule, 10, 10), epoch(schedule, 1, 10), epoch(schedule, 3, 10)
    assert scheduler.last_epoch == 3


def test_steps_are_counted_as_they_come():
    schedule, scheduler = counting("step")
    epoch(schedule, 10, 10), epoch(schedule, 3, 10)
    assert scheduler.last_epoch == 13


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 10])
def test_a_small_epoch_passes_through_as_much_of_the_schedule(steps):
    schedule, scheduler = counting("full-step")
    passed = epoch(schedule, steps, 10)
    assert passed == [10 * step // steps for step in range(1, steps + 1)]
    epoch(schedule, 10, 10)
    assert scheduler.last_epoch == 20


def test_the_rate_of_a_whole_training_falls_alike(kit):
    """A one-cycle schedule written for all data ends where it should on a tenth of them."""
    ends = []
    for selector in ("full", "random"):
        model = kit.mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5 * 8)
        from strategies.offline import CoresetTrainer

        trainer = CoresetTrainer(
            model,
            optimizer,
            torch.nn.CrossEntropyLoss(),
            kit.blobs(),
            selector,
            0.3,
            batch_size=16,
            scheduler=cosine,
            scheduler_unit="full-step",
        )
        trainer.fit(5)
        ends.append(optimizer.param_groups[0]["lr"])
    assert ends == pytest.approx([0.0, 0.0], abs=1e-9)


def test_a_plateau_follows_the_loss():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = Schedule(ReduceLROnPlateau(optimizer, patience=0), "epoch", optimizer)
    for loss in (1.0, 0.5, 0.6):
        schedule.after_epoch(loss)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    with pytest.raises(ArgumentError, match="ReduceLROnPlateau goes by epochs"):
        Schedule(schedule.scheduler, "step", optimizer)


def test_bad_schedules():
    schedule, scheduler = counting("epoch")
    other = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    with pytest.raises(ArgumentError, match="another optimizer"):
        Schedule(scheduler, "epoch", other)
    with pytest.raises(ArgumentError, match=r"must be one of torch.optim.lr_scheduler, not float"):
        Schedule(0.1, "epoch", other)
    assert schedule.scheduler is scheduler
