"""What Avalanche's replay methods expect of the memory that they read.

They differ in the form of the samples. Most loaders mix exemplars with the stream's samples, so
both must have the same form; some methods unpack (x, y, t) whatever the stream has, and some need
the stream's mini-batches to carry t too. A stream of Avalanche's newer benchmarks (no task labels)
has neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from avalanche.training.plugins import GDumbPlugin, MIRPlugin, ReplayPlugin
from avalanche.training.plugins.bic import BiCPlugin
from avalanche.training.plugins.cope import CoPEPlugin
from avalanche.training.plugins.rar import RARPlugin
from avalanche.training.plugins.update_fecam import MemoryFeCAMUpdate
from avalanche.training.plugins.update_ncm import MemoryNCMUpdate
from avalanche.training.supervised import DER, ER_ACE, ER_AML, MER, SCR, FeatureReplay
from avalanche.training.supervised.lamaml_v2 import LaMAML


@dataclass(frozen=True)
class Host:
    """What one method needs.

    Attributes:
        kind: Its class.
        labelled: It unpacks (x, y, t) from the exemplars, with or without task labels in the
            stream.
        labelled_stream: It needs t in the stream's mini-batches as well.
        logits: It unpacks (x, y, t, logits).
        least: How many exemplars there must be before it replays any.
        by_class: How many exemplars of each class there must be, else its loader waits for ever.
        sized: It computes with `mem_size`, so the budget has to be in exemplars.
    """

    kind: type[Any]
    labelled: bool = False
    labelled_stream: bool = False
    logits: bool = False
    least: Callable[[Any], int] | None = None
    by_class: Callable[[Any], int] | None = None
    sized: bool = False


def _replay_batch(host: Any) -> int:
    return int(host.batch_size_mem)


def _training_batch(host: Any) -> int:
    return int(host.train_mb_size)


HOSTS = (
    Host(ER_ACE, labelled=True, least=_replay_batch),
    Host(
        ER_AML, labelled=True, labelled_stream=True, least=_replay_batch, by_class=_training_batch
    ),
    Host(DER, labelled=True, labelled_stream=True, logits=True, least=_replay_batch),
    Host(SCR, labelled=True, labelled_stream=True),
    Host(MER, labelled=True, labelled_stream=True),
    Host(LaMAML, labelled=True, labelled_stream=True),
    Host(FeatureReplay, labelled=True),
    Host(MIRPlugin, labelled=True, least=lambda plugin: _replay_batch(plugin) + 1),
    Host(MemoryNCMUpdate, labelled=True),
    Host(MemoryFeCAMUpdate, labelled=True),
    Host(BiCPlugin, sized=True),
    Host(ReplayPlugin),
    Host(RARPlugin),
    Host(CoPEPlugin),
    Host(GDumbPlugin),
)


def host_of(method: Any) -> Host:
    """What a method needs; that of a plain replay plugin for one that is not known.

    Args:
        method: A strategy or a plugin.
    """
    for host in HOSTS:
        if isinstance(method, host.kind):
            return host
    return Host(type(method))


def reads_task_labels(agent: Any, buffer: Any) -> bool:
    """Whether the strategy, or a plugin of it, unpacks (x, y, t) from this buffer's samples.

    Args:
        agent: A strategy, or anything else.
        buffer: The buffer that it may have for its `storage_policy`.
    """
    return any(
        getattr(method, "storage_policy", None) is buffer and host_of(method).labelled
        for method in (agent, *getattr(agent, "plugins", ()))
    )
