"""Even shares of the classes within one selection, for memories whose choice spans classes.

A bilevel choice trains a classifier, so it needs the rows of all classes of a task at once; a
selection for each class would have nothing to tell apart. These functions let one selection keep
even shares all the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from clcore import Coreset, Probe
from clcore.errors import ArgumentError
from clcore.quotas import fair_shares
from clcore.ranking import in_turn

ProxyKind = Literal["whole_network", "last_layer"]


def class_shares(labels: Tensor, k: int) -> dict[int, int]:
    """Share k picks out among the classes as evenly as their rows allow.

    Args:
        labels: int64 `[n]`.
        k: How many picks.

    Returns:
        The share of each class; together min(k, n).
    """
    classes, counts = torch.unique(labels, return_counts=True)
    return dict(zip(classes.tolist(), fair_shares(k, counts.tolist()), strict=True))


def with_enough(rows: Tensor, others: Tensor, labels: Tensor, shares: dict[int, int]) -> Tensor:
    """Add rows until each class has as many as its share.

    Args:
        rows: int64 `[m]`.
        others: int64: rows to add from, the first of each class first; none of `rows`.
        labels: int64 `[n]`: the label of each row.
        shares: What each class shall have at least.

    Returns:
        int64: `rows` and those added.
    """
    added = [rows]
    for label, share in shares.items():
        short = share - int((labels[rows] == label).sum())
        if short > 0:
            added.append(others[labels[others] == label][:short])
    return torch.cat(added)


def in_class_order(coreset: Coreset, labels: Tensor) -> Coreset:
    """Rank picks so that every prefix has even shares: first picks of all classes, then second.

    Args:
        coreset: The picks; its gains and weights stay with them.
        labels: int64 `[n]`: the label of each row of the pool.

    Returns:
        The same picks in another order.
    """
    none = torch.empty(0, dtype=torch.int64)
    order = in_turn(torch.arange(len(coreset)), labels[coreset.indices], none, shares="even")
    return replace(
        coreset,
        indices=coreset.indices[order],
        weights=coreset.weights[order],
        gains=coreset.gains[order],
    )


def resolved_proxy(
    proxy: ProxyKind | None, probe: Probe | None, *, default: ProxyKind
) -> ProxyKind:
    """Check the option `proxy` and fill in what it is when left out.

    Args:
        proxy: As given.
        probe: As given.
        default: What it is without a probe.

    Returns:
        The kind of proxy.

    Raises:
        ArgumentError: It is none of those allowed, or does not go with a probe.
    """
    if proxy not in ("whole_network", "last_layer", None):
        raise ArgumentError(
            f"proxy: got {proxy!r}; 'whole_network', 'last_layer' or None is needed"
        )
    if proxy is None:
        return "last_layer" if probe is not None else default
    if proxy == "whole_network" and probe is not None:
        raise ArgumentError(
            "proxy: 'whole_network' is trained on the samples themselves, so it takes no "
            "probe; 'last_layer' takes one"
        )
    return proxy


def check_joint_options(quota: object, balanced: object) -> None:
    """Check the options of a memory whose choice needs the classes of a task together.

    Args:
        quota: As given.
        balanced: As given.

    Raises:
        ArgumentError: One is none of those allowed.
    """
    if quota not in ("task", None):
        raise ArgumentError(
            f"quota: got {quota!r}; 'task' or None is needed, since the proxy must see the classes "
            "together. `balanced=True` gives them even shares"
        )
    if not isinstance(balanced, bool):
        raise ArgumentError(f"balanced: got {balanced!r}; True or False is needed")
