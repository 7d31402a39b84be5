"""How a suite trains with a memory: the plugin that goes into the Avalanche strategy."""

from __future__ import annotations

from benchmarks.methods import Method
from benchmarks.suites import Suite
from buffers import Buffer
from strategies import BilevelReplay, FastStream, MemoryPlugin, RainbowMemory, Replay


def update_of(method: Method, suite: Suite) -> str:
    """When a method's memory is offered the stream."""
    return suite.update if method.streaming else "experience"


def plugin_of(method: Method, buffer: Buffer, suite: Suite, fast: FastStream) -> MemoryPlugin:
    """Make the plugin for a memory without a training step of its own.

    Args:
        method: Says how the memory is read and when it is updated.
        buffer: The memory.
        suite: Says how memories are trained with.
        fast: Iterates the stream.
    """
    update = update_of(method, suite)
    if suite.replay == "whole-memory":
        return BilevelReplay(
            buffer, suite.beta, groups=suite.replay_groups, update=update, fast=fast
        )
    if suite.memory_epochs:
        return RainbowMemory(
            buffer,
            suite.replay_batch_size,
            method.retrieval,
            memory_epochs=suite.memory_epochs,
            update=update,
            fast=fast,
        )
    return Replay(
        buffer,
        suite.replay_batch_size,
        method.retrieval,
        update=update,
        fast=fast,
        separate=suite.replay == "separate",
    )
