from benchmarks.offline import wandb_keys as keys
from benchmarks.reporting import read_events
from benchmarks.reporting.wandb_keys import AXES, run_id, tags


def test_every_event_has_its_keys(finished):
    cell = finished / "cells" / "craig-f0.2-sgd-s0"
    events = read_events(cell)
    point = keys.point(next(event for event in events if event["event"] == "point"))
    assert point["seconds"] == 0
    assert {"course/loss", "course/test_error", "course/selection_seconds"} <= set(point)
    chosen = keys.coreset(next(event for event in events if event["event"] == "coreset"), 10)
    assert chosen["coreset/rows"] == 40
    assert 0 < chosen["coreset/relative_gradient_error"] < 1
    assert chosen["coreset/class_counts"].histogram
    last = keys.end(events[-1], cell)
    assert last["epoch"] == 4
    assert {"coreset/weights", "coreset/heaviest", "coreset/never_chosen"} <= set(last)
    assert {"course/*", "coreset/*"} <= set(AXES)


def test_ids_differ_between_cells(finished):
    starts = [read_events(cell)[0] for cell in (finished / "cells").iterdir()]
    assert len({run_id(start) for start in starts}) == len(starts)
    assert {"offline", "seed 0", "fraction 0.2", "optimizer sgd"} <= set(
        tags(next(s for s in starts if s["cell"] == "craig-f0.2-sgd-s0"))
    )
