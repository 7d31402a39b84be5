"""Chunked: the stream comes in chunks of equal size that don't stop at the borders of experiences.

Source: the streaming of Borsos, Mutný and Krause, "Coresets via bilevel optimization for continual
learning and streaming", NeurIPS 2020, as in the authors' code: the training rows of all experiences
one after the other, cut every 125 rows, a last chunk that is not full left out. The learner is not
told where an experience ends, and no chunk tells by its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch

from benchmarks.scenarios._base import Experience, Rows, Scenario
from benchmarks.scenarios._checks import generator_of, uncut
from clcore.checks import whole_number
from clcore.errors import ArgumentError

Piece = tuple[int, int, int]
"""An experience, and from where to where in its training rows."""


def chunked(
    scenario: Scenario,
    size: int = 125,
    *,
    shuffle: bool = True,
    drop_last: bool = True,
    seed: int = 0,
) -> Scenario:
    """Cut the stream into chunks, each an experience of its own.

    Args:
        scenario: Any scenario that is not cut yet.
        size: Training images in each chunk.
        shuffle: Put the images of each experience into random order first. Which of its images are
            in which chunk depends on it.
        drop_last: Leave out a last chunk that is smaller.
        seed: Seed of the shuffle.

    Returns:
        The scenario in chunks. A chunk counts as a part of the experience that its first row is
        from: that is its `parent`, and `task`, test rows and `classes_here` are the parent's.
        Its later rows may be those of the next experiences; their task label is the chunk's too,
        as for a learner that knows no borders there is no other. `evaluation` has one entry a
        parent.

    Raises:
        ArgumentError: If an argument is out of range, if no chunk begins in one of the experiences
            (its tests would not be measured), or if a chunk would hold images of two experiences
            that are not made alike (other pixels in each, as in `permuted`).
    """
    uncut(scenario, "chunked")
    whole_number("size", size, least=1)
    generator = generator_of(seed)
    streams = [_ordered(old.train, shuffle, generator) for old in scenario]
    starts = list(accumulate(map(len, streams), initial=0))
    count = starts[-1] // size if drop_last else -(-starts[-1] // size)
    contents = [_pieces(starts, size * number, size * (number + 1)) for number in range(count)]
    parents = [pieces[0][0] for pieces in contents]
    missing = sorted(set(range(len(scenario))) - set(parents))
    if missing:
        raise ArgumentError(
            f"size is {size}, but then no chunk begins in experience {missing[0]}, which has "
            f"{len(streams[missing[0]])} training images, and its tests would not be measured; "
            "take smaller chunks"
        )
    chunks = tuple(
        _chunk(scenario, index, parents, _joined(streams, pieces))
        for index, pieces in enumerate(contents)
    )
    return Scenario(
        f"chunked {scenario.name}", chunks, scenario.class_names, scenario.mean, scenario.std
    )


def _ordered(rows: Rows, shuffle: bool, generator: torch.Generator) -> Rows:
    return rows.take(torch.randperm(len(rows), generator=generator)) if shuffle else rows


def _pieces(starts: Sequence[int], start: int, stop: int) -> list[Piece]:
    """What the rows `start` to `stop` of the stream are made of, in order.

    Args:
        starts: Where each experience begins in the stream, and where the last one ends.
        start: First row.
        stop: Row after the last one; may be past the end.
    """
    found = []
    for number, (first, end) in enumerate(pairwise(starts)):
        if first < stop and start < end:
            found.append((number, max(start, first) - first, min(stop, end) - first))
    return found


def _joined(streams: Sequence[Rows], pieces: Sequence[Piece]) -> Rows:
    parts = [streams[number].take(torch.arange(start, stop)) for number, start, stop in pieces]
    first = parts[0]
    if len(parts) == 1:
        return first
    for (number, _, _), part in zip(pieces, parts, strict=True):
        if part.source is not first.source or part.transform is not first.transform:
            raise ArgumentError(
                f"a chunk would hold images of experiences {pieces[0][0]} and {number}, which are "
                "not made alike; take a size that divides the number of images in each experience"
            )
    clean = all(part.true_y is part.y for part in parts)
    y = torch.cat([part.y for part in parts])
    true_y = y if clean else torch.cat([part.true_y for part in parts])
    indices = torch.cat([part.indices for part in parts])
    return Rows(first.source, indices, y, true_y, first.transform)


def _chunk(scenario: Scenario, index: int, parents: Sequence[int], rows: Rows) -> Experience:
    old = scenario.experiences[parents[index]]
    return Experience(
        index=index,
        task=old.task,
        train=rows,
        test=old.test,
        classes_here=old.classes_here,
        parent=old.index,
        is_first_part=index == 0 or parents[index - 1] != old.index,
        is_last_part=index == len(parents) - 1 or parents[index + 1] != old.index,
    )
