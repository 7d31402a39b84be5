"""From events to payloads: the right keys and the right numbers, without wandb running."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.reporting import wandb_keys as keys
from benchmarks.reporting.matrix_picture import matrix_picture
from clcore.errors import ArgumentError


def evaluation(**more) -> dict:
    return {
        "event": "evaluation", "iteration": 30, "experience": 2, "phase": "end",
        "accuracies": [0.5, 0.6, 0.9, 0.1], "average_accuracy": 0.667,
        "average_forgetting": 0.25, **more,
    }  # fmt: skip


EARLIER = [[0.9, 0.0, 0.0, 0.0], [0.7, 0.8, 0.0, 0.0]]


def test_the_end_of_an_experience_has_accuracies_forgetting_and_transfer():
    payload = keys.evaluation(evaluation(), EARLIER)
    assert payload["experience"] == 2
    assert payload["accuracy/exp_02"] == 0.9
    assert payload["accuracy/exp_03"] == 0.1
    assert payload["forgetting/exp_00"] == pytest.approx(0.4)
    assert payload["forgetting/exp_01"] == pytest.approx(0.2)
    assert "forgetting/exp_02" not in payload
    assert payload["transfer/backward"] == pytest.approx((0.5 - 0.9 + 0.6 - 0.8) / 2)
    assert payload["accuracy_during/exp_00"] == 0.5


def test_an_evaluation_during_training_stays_off_the_experience_axis():
    payload = keys.evaluation(evaluation(phase="during"), EARLIER)
    assert set(payload) == {
        "iteration", "accuracy_during/average", "accuracy_during/exp_00",
        "accuracy_during/exp_01", "accuracy_during/exp_02", "accuracy_during/exp_03",
    }  # fmt: skip


def test_what_was_not_measured_is_left_out():
    payload = keys.evaluation(evaluation(accuracies=[0.5, None, 0.9]), [[0.9], []])
    assert "accuracy/exp_01" not in payload
    assert "forgetting/exp_01" not in payload
    assert payload["transfer/backward"] == pytest.approx(-0.4)
    assert "transfer/backward" not in keys.evaluation(evaluation(experience=0), [])


def test_every_key_has_an_axis():
    payloads = [
        keys.evaluation(evaluation(), EARLIER),
        keys.train({"iteration": 1, "loss": 1.0, "accuracy": None, "replay_loss": 0.5}),
        keys.selection({"iteration": 1, "experience": 0, "seconds": 0.1, "forward_passes": 3}),
        keys.memory(
            {"iteration": 1, "experience": 0, "size": 4, "capacity": 8, "bytes": 64,
             "class_counts": {"0": 3, "2": 1}, "age_mean": 2.0, "age_max": 4.0, "turnover": 0.5},
            4,
        ),
    ]  # fmt: skip
    for payload in payloads:
        for key in set(payload) - {"experience", "iteration"}:
            axis = keys.AXES[key.split("/")[0] + "/*"]
            assert axis in payload, key
    memory = payloads[-1]
    assert memory["memory/filled"] == 0.5
    assert memory["memory/imbalance"] == pytest.approx(1.5)
    assert memory["memory/class_counts"].histogram == [3, 0, 1, 0]
    assert memory["memory/class_counts"].bins == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert "train/accuracy" not in payloads[1]


def test_an_empty_memory_has_no_histogram():
    event = {"iteration": 0, "experience": 0, "size": 0, "capacity": None, "class_counts": {}}
    assert set(keys.memory(event, 10)) == {"iteration", "experience", "memory/size"}


def test_many_classes_share_bins_and_none_is_lost():
    histogram = keys.class_histogram({0: 5, 999: 7, 500: 1}, 1000)
    assert len(histogram.histogram) == 512
    assert sum(histogram.histogram) == 13
    assert histogram.histogram[0] == 5
    assert histogram.histogram[-1] == 7


def test_ids_name_the_cell_and_its_settings():
    start = {"suite": "s/x", "method": "ring", "seed": 1, "memory_size": 200}
    first = keys.run_id({**start, "settings": {"a": 1, "b": 2, "command": "x"}})
    assert first == keys.run_id({**start, "settings": {"b": 2, "a": 1, "command": "y"}})
    assert first != keys.run_id({**start, "settings": {"b": 3, "a": 1}})
    assert first.startswith("s_x-ring-1-200-")


def test_tags_name_what_is_known():
    start = {"suite": "s", "method": "ring", "kind": "continual", "seed": 1, "memory_size": None}
    assert keys.tags(start) == ["s", "ring", "continual", "seed 1"]


def test_the_matrix_picture_is_dark_where_the_accuracy_is_high():
    picture = matrix_picture([[1.0, 0.0], [None, 1.0]])
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 40
    assert 0.05 < blue.mean() < 0.6
    with pytest.raises(ArgumentError, match="rows of one length"):
        matrix_picture([[1.0], [1.0, 0.5]])
    with pytest.raises(ArgumentError, match="at least one row"):
        matrix_picture([])
