"""The event log: appended line by line, safe against kills, clear about damage."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from benchmarks.reporting.events import EventLog, read_events, settled
from clcore.errors import ArgumentError, FormatError

START = {"event": "start", "schema": 1, "method": "ring"}


def train(iteration: int, **more) -> dict:
    return {"event": "train", "iteration": iteration, "experience": 0, **more}


def test_events_come_back_in_order_with_a_time(tmp_path):
    with EventLog(tmp_path / "cells" / "a" / "events.jsonl") as log:
        log.write(START)
        log.write(train(1, loss=0.5))
    events = read_events(tmp_path / "cells" / "a")
    assert [event["event"] for event in events] == ["start", "train"]
    assert all(event["time"] > 1e9 for event in events)
    assert events[1]["loss"] == 0.5


def test_a_time_that_is_given_stays(tmp_path):
    with EventLog(tmp_path / "events.jsonl") as log:
        log.write({**START, "time": 12.5})
    assert read_events(tmp_path)[0]["time"] == 12.5


def test_each_event_is_on_disk_before_the_sinks_see_it(tmp_path):
    seen = []

    class Reader:
        def handle(self, event):
            seen.append((event["event"], len(read_events(tmp_path))))

    with EventLog(tmp_path / "events.jsonl", [Reader()]) as log:
        log.write(START)
        log.write(train(1))
    assert seen == [("start", 1), ("train", 2)]


def test_a_killed_writer_loses_at_most_the_last_line(tmp_path, caplog):
    script = textwrap.dedent(
        """
        import sys
        from benchmarks.reporting.events import EventLog
        log = EventLog(sys.argv[1])
        log.write({"event": "start", "schema": 1})
        for i in range(10**9):
            log.write({"event": "train", "iteration": i, "experience": 0, "pad": "x" * 500})
            if i == 50:
                print("ready", flush=True)
        """
    )
    path = tmp_path / "events.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    iterations = [e["iteration"] for e in read_events(path) if e["event"] == "train"]
    assert iterations == list(range(len(iterations)))
    assert len(iterations) > 50


def test_a_torn_last_line_is_dropped_with_a_warning_and_cut_before_appending(tmp_path, caplog):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write(START)
    with open(path, "ab") as stream:
        stream.write(b'{"event":"tra')
    with caplog.at_level(logging.WARNING):
        assert [event["event"] for event in read_events(path)] == ["start"]
    assert "torn last line of 13 bytes" in caplog.text
    with EventLog(path) as log:
        log.write(train(1))
    assert [event["event"] for event in read_events(path)] == ["start", "train"]


def test_damage_before_the_end_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(START) + '\n{"event":"tra\n' + json.dumps(train(2)) + "\n")
    with pytest.raises(FormatError, match="line 2 is damaged"):
        read_events(path)
    path.write_text("[1, 2]\n")
    with pytest.raises(FormatError, match="line 1 is not an event"):
        read_events(path)


def test_another_schema_and_a_missing_log_are_errors(tmp_path):
    path = tmp_path / "events.jsonl"
    with pytest.raises(FormatError, match="no event log at"):
        read_events(tmp_path)
    path.write_text(json.dumps({**START, "schema": 7}) + "\n")
    with pytest.raises(FormatError, match="schema 7, this version reads schema 1"):
        read_events(path)


@pytest.mark.parametrize(
    "event", [{}, {"event": 3}, {"event": "train", "loss": float("nan")}, {"event": "x", "a": {1}}]
)
def test_what_json_cannot_hold_is_refused_and_not_written(tmp_path, event):
    with EventLog(tmp_path / "events.jsonl") as log, pytest.raises(ArgumentError, match="event"):
        log.write(event)
    assert (tmp_path / "events.jsonl").read_bytes() == b""


def test_a_resumed_run_settles_to_the_unbroken_one():
    def evaluation(iteration, value):
        return {
            "event": "evaluation",
            "iteration": iteration,
            "experience": iteration // 10 - 1,
            "phase": "end",
            "accuracies": [value],
        }

    unbroken = [START, train(5), train(10), evaluation(10, 0.5), train(15), evaluation(20, 0.6)]
    broken = [
        START, train(5), train(10), evaluation(10, 0.4), train(15, loss=1.0),
        {"event": "resume", "iteration": 10, "experience": 0},
        evaluation(10, 0.5), train(15), evaluation(20, 0.6),
    ]  # fmt: skip
    assert settled(broken) == unbroken
    assert settled(unbroken) == unbroken


def test_a_run_resumed_from_the_start_keeps_one_start():
    again = [START, train(5), {"event": "resume", "iteration": 0, "experience": 0}, START, train(5)]
    assert settled(again) == [START, train(5)]


def test_the_raw_log_can_still_be_read(tmp_path):
    with EventLog(tmp_path / "events.jsonl") as log:
        for event in (START, train(5), {"event": "resume", "iteration": 0, "experience": 0}):
            log.write(event)
    assert len(read_events(tmp_path, settle=False)) == 3
    assert [event["event"] for event in read_events(tmp_path)] == ["start"]
