"""Puts a buffer in the place of one that an Avalanche method has made for itself.

`ER_ACE`, `ER_AML`, `SCR`, `DER`, `MIRPlugin` and `GDumbPlugin` make a class-balanced buffer in
their constructor and take no other; `use_buffer` replaces it, and makes stream and buffer agree on
the form of their samples.
"""

from __future__ import annotations

from typing import Any, TypeVar

from avalanche.benchmarks.utils.classification_dataset import (
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from avalanche.training.plugins import SupervisedPlugin

from buffers.base import Buffer
from buffers.hosts import HOSTS, Host, host_of
from buffers.presentation import TASKS
from clcore.errors import ArgumentError

Target = TypeVar("Target")


def use_buffer(target: Target, buffer: Buffer) -> Target:
    """Make an Avalanche strategy or plugin use a buffer, before it is trained.

    Its `mem_size` becomes the buffer's size. For `DER` the buffer is told to store the model's
    outputs. Where a method needs task labels and the stream has none (benchmarks made by
    `class_incremental_benchmark` and the like), its samples get the label 0.

    Args:
        target: A strategy (`ER_ACE`, `ER_AML`, `SCR`, `DER`, `MER`, `LaMAML`, `FeatureReplay`, or
            any with one plugin that has a `storage_policy`), or such a plugin itself.
        buffer: The buffer, used by this method alone.

    Returns:
        `target`.

    Raises:
        ArgumentError: There is no place for a buffer, or more than one; the method has been
            trained already; or the buffer is too small for it ever to replay.

    Example:
        >>> from avalanche.training.plugins import MIRPlugin
        >>> from buffers import ReservoirBuffer, use_buffer
        >>> plugin = use_buffer(MIRPlugin(batch_size_mem=10), ReservoirBuffer(500))
        >>> plugin.mem_size
        500
    """
    if not isinstance(buffer, Buffer):
        raise ArgumentError(f"buffer: got {type(buffer).__name__}; a clcore Buffer is needed")
    owner, host = _place(target)
    _check(target, owner, host, buffer)
    owner.storage_policy = buffer
    if buffer.max_size is not None:
        for holder in (owner, target):
            if hasattr(holder, "mem_size"):
                setattr(holder, "mem_size", buffer.max_size)  # noqa: B010 - Target has no such name
    buffer.always_task_labels = host.labelled
    buffer.records_logits = host.logits
    if host.by_class is not None:
        buffer.smallest_group = host.by_class(target)
    plugins = getattr(target, "plugins", None)
    if host.labelled_stream and plugins is not None:
        plugins.insert(0, TaskLabelZero())
    return target


class TaskLabelZero(SupervisedPlugin):
    """Gives the samples of streams without task labels the label 0, for methods that need one."""

    def after_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Append the label to the samples about to be trained on."""
        data = strategy.adapted_dataset
        if not hasattr(data, TASKS):
            zero = ConstantSequence(0, len(data))
            strategy.adapted_dataset = TaskAwareSupervisedClassificationDataset(
                [data], data_attributes=[DataAttribute(zero, TASKS, use_in_getitem=True)]
            )


def _place(target: Any) -> tuple[Any, Host]:
    """What holds the `storage_policy`, and what the method that reads it needs."""
    own = [target, getattr(target, "buffer", None)]  # MER and LaMAML keep theirs one level down
    plugins = list(getattr(target, "plugins", ()))
    found = [holder for holder in (*own, *plugins) if hasattr(holder, "storage_policy")]
    if len(found) == 1:
        of_target = host_of(target)
        known = of_target in HOSTS  # an SCR strategy reads the memory of its ReplayPlugin itself
        return found[0], of_target if known else host_of(found[0])
    name = type(target).__name__
    if not found:
        listed = ", ".join(type(plugin).__name__ for plugin in plugins) or "none"
        raise ArgumentError(
            f"target: {name} has no `storage_policy`, nor has any of its plugins ({listed}); "
            "methods that keep their memory in another way (GSS, AGEM, GEM, iCaRL, generative "
            "replay) can't take a buffer"
        )
    listed = ", ".join(type(holder).__name__ for holder in found)
    raise ArgumentError(
        f"target: {name} has {len(found)} places for a buffer ({listed}); pass the plugin whose "
        "memory is to be replaced"
    )


def _check(target: Any, owner: Any, host: Host, buffer: Buffer) -> None:
    name = type(target).__name__
    held = owner.storage_policy.buffer
    if owner.storage_policy is not buffer and len(held):
        raise ArgumentError(
            f"target: {name} already holds {len(held)} exemplars, which would be lost; call "
            "`use_buffer` before training"
        )
    if host.sized and buffer.max_size is None:
        raise ArgumentError(
            f"buffer: {name} computes with the memory's size in exemplars; give the buffer a "
            "max_size instead of max_bytes"
        )
    if host.logits and len(buffer) and "logits" not in buffer.store.extra:
        raise ArgumentError(
            f"buffer: {name} replays the model's outputs, which the {len(buffer)} exemplars in "
            "this buffer lack; use an empty one"
        )
    if host.least is None or buffer.max_size is None:
        return
    method = target if isinstance(target, host.kind) else owner
    least = host.least(method)
    if buffer.max_size < least:
        raise ArgumentError(
            f"buffer: max_size is {buffer.max_size}, but {type(method).__name__} replays only from "
            f"a memory of at least {least} exemplars (its batch_size_mem is "
            f"{method.batch_size_mem})"
        )
