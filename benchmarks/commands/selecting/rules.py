"""What `-k`, `--quota` and `--set` mean for a pool, and whether it can be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from benchmarks.commands.selecting.columns import Keys, named
from benchmarks.commands.selecting.gather import Candidates
from benchmarks.settings import read_value
from clcore import Pool, Selector, Stop
from clcore.errors import ArgumentError
from clcore.quotas import fair_shares
from clcore.selection import count_of
from clcore.selector import QuotaBy


def count(text: str, candidates: Candidates) -> int:
    """Say how many rows `-k` means.

    Args:
        text: A whole number, a share with a point (`0.01`), or a percentage (`1%`).
        candidates: The rows, and those taken already.

    Returns:
        At least 1 and no more than there are rows to pick.

    Raises:
        ArgumentError: If it is anything else.
    """
    rows, left = len(candidates.pool), len(candidates.pool) - len(candidates.given)
    problem = ArgumentError(
        f"-k: got {text!r}; a number of rows from 1 to {rows:,}, a share between 0 and 1 such as "
        "0.01, or a percentage such as 1% is needed"
    )
    share = "%" in text or "." in text or "e" in text.lower()
    try:
        wanted = count_of(text if "%" in text else float(text) if share else int(text), rows)
    except ValueError:
        raise problem from None
    if not 1 <= wanted <= rows:
        raise problem
    if wanted > left:
        raise ArgumentError(f"-k: got {text!r}; {left:,} rows are left beside those given")
    return wanted


def quotas(
    text: str | None, by: str | None, candidates: Candidates, k: int
) -> tuple[dict[int, int] | None, QuotaBy]:
    """Say how many picks each label or group may have.

    Args:
        text: `even`, `proportional`, one number for all, or `3=10,5=20`; None for no quotas.
        by: `labels` or `groups`; None for the one that there is.
        candidates: The rows.
        k: How many are to be picked.

    Returns:
        Quotas by code, or None, and what they are of.

    Raises:
        ArgumentError: If it can't be read or can't be met.
    """
    if text is None:
        if by is not None:
            raise ArgumentError("--quota-by: there are no quotas; give --quota")
        return None, "labels"
    kind = _kind(by, candidates)
    keys = candidates.labels if kind == "labels" else candidates.groups
    assert keys is not None  # _kind has looked
    free = torch.ones(len(candidates.pool), dtype=torch.bool)
    free[candidates.given] = False
    sizes = keys.sizes(free.nonzero().squeeze(1))
    bounds = _bounds(text.strip(), keys, sizes, k, kind)
    possible = sum(min(size, bounds.get(code, size)) for code, size in sizes.items())
    if possible < k:
        raise ArgumentError(
            f"--quota: {text} permits {possible:,} picks in all, and -k asks for {k:,}"
        )
    return bounds, kind


def options(assignments: Iterable[str]) -> dict[str, Any]:
    """Read `--set key=value`; `stop.coverage`, `stop.value` and `stop.gain` make a `Stop`.

    Raises:
        ArgumentError: If one is not of this form, or given twice.
    """
    read: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise ArgumentError(f"--set: got {text!r}; key=value is needed")
        if key in read:
            raise ArgumentError(f"--set: {key!r} is given twice")
        read[key] = read_value(value.strip())
    stops = {key.removeprefix("stop."): read.pop(key) for key in list(read) if "stop." in key}
    unknown = sorted(set(stops) - {"coverage", "value", "gain"})
    if unknown:
        raise ArgumentError(f"--set: stop has no {unknown[0]!r}; it has coverage, value and gain")
    for key, value in stops.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ArgumentError(f"--set: stop.{key} must be a number, not {value!r}")
    return {**read, "stop": Stop(**stops)} if stops else read


def check_method(method: Selector, settings: Mapping[str, Any]) -> None:
    """Refuse switches that are neither on nor off, which would pass for on.

    Args:
        method: The selector with its options.
        settings: The options as they were given.

    Raises:
        ArgumentError: If an option that is a switch was given something else.
    """
    for field in dataclasses.fields(method):
        value = settings.get(field.name, False)
        if field.type in ("bool", bool) and not isinstance(value, bool):
            raise ArgumentError(f"--set: {field.name} must be true or false, not {value!r}")


def check_signals(method: Selector, pool: Pool) -> None:
    """Refuse a pool without a signal that the method reads, and say how to give it.

    Raises:
        ArgumentError: If one is missing.
    """
    absent = [name for name in method.signals if not pool.has(name)]
    if absent:
        name = absent[0]
        other = ", or logits with --signal and --labels" if name == "logit_gradients" else ""
        raise ArgumentError(
            f"{method.name} needs the signal {name!r}; give --signal {name}=NAME-OR-FILE{other} "
            f"(there are: {named(pool.names)})"
        )


def _kind(by: str | None, candidates: Candidates) -> QuotaBy:
    kinds: tuple[QuotaBy, ...] = ("labels", "groups")
    there = [kind for kind in kinds if getattr(candidates, kind) is not None]
    if by is not None and by not in kinds:
        raise ArgumentError(f"--quota-by: got {by!r}; labels or groups is needed")
    if not there or (by is not None and by not in there):
        missing = " or ".join(f"--{kind}" for kind in kinds if by in (kind, None))
        raise ArgumentError(f"--quota: of what? Give {missing}")
    if by is None and len(there) > 1:
        raise ArgumentError("--quota: of labels or of groups? Say --quota-by labels, or groups")
    return next(kind for kind in there if by in (kind, None))


def _bounds(text: str, keys: Keys, sizes: dict[int, int], k: int, kind: str) -> dict[int, int]:
    if text == "even":
        shares = fair_shares(k, list(sizes.values()))
        return dict(zip(sizes, shares, strict=True))
    if text == "proportional":
        return _proportional(sizes, k)
    if "=" not in text:
        return dict.fromkeys(sizes, _number(text, text))
    bounds: dict[int, int] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        code = keys.code(name)
        if code is None:
            raise ArgumentError(
                f"--quota: no row has {name.strip()!r} among its {kind}; there are: "
                f"{named(keys.names.values())}"
            )
        if code in bounds:
            raise ArgumentError(f"--quota: {name.strip()!r} is given twice")
        bounds[code] = _number(number, text)
        if bounds[code] > sizes[code]:
            raise ArgumentError(
                f"--quota: {part.strip()} can't be met, {sizes[code]:,} rows are to be had there"
            )
    return bounds


def _proportional(sizes: dict[int, int], k: int) -> dict[int, int]:
    """Share out by size, largest remainders first; ties to the lower code."""
    total = sum(sizes.values())
    shares = {code: k * size // total for code, size in sizes.items()}
    rest = sorted(sizes, key=lambda code: (-(k * sizes[code] % total), code))
    for code in rest[: k - sum(shares.values())]:
        shares[code] += 1
    return shares


def _number(text: str, whole: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ArgumentError(
            f"--quota: got {whole!r}; even, proportional, a number, or label=number,… is needed"
        )
    return number
