"""The stopwatch of trainers: what counts, what is left out, and its state."""

import time

import pytest
import torch

from clcore.clock import leave_out
from strategies.generative.stopwatch import Stopwatch


def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_selection_counts_in_training_too():
    watch = Stopwatch(torch.device("cpu"))
    with watch.training():
        busy(0.02)
        with watch.selecting():
            busy(0.03)
    assert 0.03 <= watch.selection_cpu_seconds < 0.045
    assert 0.05 <= watch.cpu_seconds < 0.08
    assert watch.selection_seconds <= watch.seconds
    assert watch.seconds >= 0.05
    with watch.training():
        busy(0.01)
    assert watch.cpu_seconds >= 0.06
    assert watch.selection_cpu_seconds < 0.045


def test_what_ends_with_an_error_counts():
    watch = Stopwatch(torch.device("cpu"))

    def fail():
        with watch.training(), watch.selecting():
            busy(0.01)
            raise ValueError("as meant")

    with pytest.raises(ValueError, match="as meant"):
        fail()
    assert watch.cpu_seconds >= watch.selection_cpu_seconds >= 0.01


def test_compilations_are_left_out_of_both_clocks():
    watch = Stopwatch(torch.device("cpu"))
    with watch.training():
        start = time.perf_counter()
        busy(0.05)
        leave_out(time.perf_counter() - start)
    assert watch.seconds < 0.025
    assert watch.cpu_seconds < 0.025
    with watch.training():
        busy(0.01)
    assert watch.seconds >= 0.01
    assert watch.cpu_seconds >= 0.01


def test_the_state_goes_on():
    watch, again = Stopwatch(torch.device("cpu")), Stopwatch(torch.device("cpu"))
    with watch.training(), watch.selecting():
        busy(0.005)
    again.load_state_dict(watch.state_dict())
    assert again.state_dict() == watch.state_dict()
    with again.training():
        busy(0.005)
    assert again.cpu_seconds >= watch.cpu_seconds + 0.005
    assert again.selection_cpu_seconds == watch.selection_cpu_seconds
