import pytest
from pydantic import ValidationError

from benchmarks.offline import Curves, OfflineRun
from benchmarks.offline.speedup import seconds_to, with_speedups


def run_of(method, seconds, loss, error, *, seed=0, optimizer="sgd"):
    curves = {
        "epochs": list(range(len(loss))),
        "seconds": seconds,
        "selection_seconds": [0.0] * len(loss),
        "loss": loss,
        "test_error": error,
    }
    return OfflineRun.model_validate(
        {
            "method": method,
            "fraction": 1.0 if method == "full" else 0.1,
            "optimizer": optimizer,
            "seed": seed,
            "curves": curves,
            "final_accuracy": 1 - error[-1],
            "seconds": {"train": seconds[-1], "select": 0.0, "evaluate": 0.0},
            "passes": {"forward": 1, "backward": 1},
            "selection_passes": {"forward": 0, "backward": 0},
            "rows": 10,
        }
    )


FULL = run_of("full", [0.0, 1.0, 2.0, 3.0], [2.0, 0.4, 0.6, 0.5], [0.9, 0.3, 0.2, 0.1])


def test_full_training_counts_from_where_it_first_gets_there():
    fast = run_of("craig", [0.0, 0.5, 0.75], [2.0, 0.7, 0.5], [0.9, 0.2, 0.1])
    full, found = with_speedups([FULL, fast])
    # The full run is at 0.5 or below after one second already.
    assert found.speedup == pytest.approx(1.0 / 0.75)
    assert found.speedup_accuracy == pytest.approx(3.0 / 0.75)
    assert (full.speedup, full.speedup_accuracy) == (1.0, 1.0)
    # Nobody read the processor's clock.
    assert found.speedup_cpu is None


def test_null_where_it_never_gets_there():
    short = run_of("random", [0.0, 0.1], [2.0, 0.51], [0.9, 0.1])
    found = with_speedups([short, FULL])[0]
    assert found.speedup is None
    assert found.speedup_accuracy == pytest.approx(30.0)


@pytest.mark.parametrize("other", [{"seed": 1}, {"optimizer": "adam"}])
def test_only_the_same_seed_and_optimiser_count(other):
    found = with_speedups([FULL, run_of("craig", [0.0, 0.1], [2.0, 0.1], [0.9, 0.0], **other)])[1]
    assert found.speedup is None
    assert found.speedup_accuracy is None


def test_an_untrained_model_at_the_target_has_no_speedup():
    flat = run_of("full", [0.0, 1.0], [2.0, 2.0], [0.9, 0.9])
    assert with_speedups([flat])[0].speedup is None


def test_seconds_to():
    assert seconds_to(FULL.curves, 0.6, "loss") == 1.0
    assert seconds_to(FULL.curves, 0.1, "loss") is None


def test_curves_of_different_length_are_refused():
    with pytest.raises(ValidationError, match="differ in length"):
        Curves(epochs=[0, 1], seconds=[0.0], selection_seconds=[0.0], loss=[1.0], test_error=[0.5])
