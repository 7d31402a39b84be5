import pytest
import torch

from clcore.errors import ArgumentError
from clcore.selectors import registry
from clcore.selectors.craig import highest_averages
from strategies.offline.choosing import turns


@pytest.mark.parametrize("k", [0, 1, 5, 40, 113])
def test_turns_are_those_of_craig(k):
    sizes = [60, 3, 40, 10]
    room = list(sizes)

    def serve(party):
        room[party] -= 1
        return room[party] >= 0

    expected = highest_averages([float(size) for size in sizes], k, serve)
    assert turns(dict(enumerate(sizes)), k) == expected


def unequal():
    y = torch.tensor([0] * 90 + [1] * 27 + [2] * 3)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(120, 4, generator=generator) + y[:, None], y


@pytest.mark.parametrize("selector", ["craig", "gradmatch"])
def test_a_class_left_empty_is_named_with_the_rows_needed(kit, selector):
    with pytest.raises(ArgumentError, match="12 of 120 rows leaves class 2 empty") as raised:
        kit.trainer(selector, 12, data=unequal())
    needed = int(str(raised.value).split("at least ")[1].split()[0])
    with pytest.raises(ArgumentError, match="leaves class 2 empty"):
        kit.trainer(selector, needed - 1, data=unequal())
    trainer = kit.trainer(selector, needed, data=unequal())
    trainer.fit(1)
    assert set(unequal()[1][trainer.coreset.indices].tolist()) == {0, 1, 2}
    kit.trainer(selector, 12, data=unequal(), per_class=False)


def test_shares_by_class_for_selectors_without_them(kit):
    y = unequal()[1]
    trainer = kit.trainer("k-center", 40, data=unequal(), per_class=True)
    trainer.fit(1)
    assert torch.bincount(y[trainer.coreset.indices]).tolist() == [30, 9, 1]
    with pytest.raises(ArgumentError, match="leaves class 2 empty"):
        kit.trainer("random", 12, data=unequal(), per_class=True)


def test_per_class_or_over_all(kit):
    whole = kit.trainer(data=unequal(), per_class=False).selections.choice.selector
    assert whole == registry.create("craig", per_label=False)
    assert (
        kit.trainer("moderate", 40, data=unequal(), per_class=True).selections.choice.quotas is None
    )
    x, y = unequal()
    with pytest.raises(ArgumentError, match="no class labels"):
        kit.trainer("random", data=(x, y.float()), per_class=True)


def test_classes_that_a_free_choice_missed_are_told_once(kit):
    trainer = kit.trainer("el2n", 6, data=unequal())
    with pytest.warns(UserWarning, match="el2n chose no row of class .*per_class=True") as told:
        trainer.fit(3)
    assert len(told) == 1


def test_as_few_rows_as_keep_an_error(kit):
    sizes = []
    for error in (0.3, 0.05, 0.02):
        trainer = kit.trainer(error=error, per_class=False)
        record = trainer.fit(1)[0]
        report = record.report
        assert report["relative_error"] <= error
        assert report["error_bound"] <= report["allowed"]
        sizes.append(record.rows)
        if record.rows > 3:
            # One row fewer would not do, up to the rounding of single precision.
            fewer = kit.trainer(fraction=record.rows - 1, per_class=False)
            fewer.fit(1)
            assert fewer.coreset.report["error_bound"] > 0.998 * report["allowed"]
    assert 3 <= sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("selector", ["gradmatch", "k-center", "random"])
def test_an_error_for_selectors_that_certify_none(kit, selector):
    trainer = kit.trainer(selector, error=0.3)
    report = trainer.fit(1)[0].report
    assert 0 < report["relative_error"] <= 0.3
    # What is certified bounds what is measured.
    from strategies.offline import gradient_error

    pool = trainer.selections.choice.model_pool()
    assert gradient_error(pool, trainer.coreset.indices, trainer.coreset.weights) < 2.0


def test_bad_errors(kit):
    with pytest.raises(ArgumentError, match="error must be a finite number above 0, not 0"):
        kit.trainer(error=0)
    with pytest.raises(ArgumentError, match="random has no per_label"):
        kit.trainer("random", error=0.1, per_class=True)
