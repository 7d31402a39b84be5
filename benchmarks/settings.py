"""Settings given as text: `--set key=value`, checked against the types of a suite's fields."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from clcore.errors import ArgumentError, UnknownNameError

T = TypeVar("T")


BY_SELECTOR = ("options", "image_options", "latent_options")
"""Settings that are mappings from names of selectors, hyphens and all, to their options."""

OPEN_ENDED = ("learning_rate", "scenario", *BY_SELECTOR)
"""Settings that are mappings and take keys that are not there yet."""


def to_plain(settings: object) -> dict[str, Any]:
    """Turn a settings dataclass into what JSON can hold.

    Args:
        settings: A dataclass of plain values, tuples, mappings and dataclasses.

    Returns:
        Nested dictionaries and lists.
    """
    return cast("dict[str, Any]", TypeAdapter(type(settings)).dump_python(settings, mode="json"))


def from_plain(kind: type[T], record: Mapping[str, Any]) -> T:
    """Make a settings dataclass from plain values, checking every one.

    Args:
        kind: The dataclass.
        record: As `to_plain` gives it.

    Returns:
        The settings.

    Raises:
        ArgumentError: A value has the wrong type or is out of range; names the setting.
    """
    try:
        return TypeAdapter(kind).validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        own = first.get("ctx", {}).get("error")
        if isinstance(own, ArgumentError):  # from the settings' own checks: says all by itself
            raise ArgumentError(str(own)) from error
        # Branches of a union are part of pydantic's location, not of the setting's name.
        names = [str(part) for part in first["loc"] if _is_setting(str(part))]
        given = first.get("input")
        raise ArgumentError(
            f"setting {'.'.join(names) or 'of the suite'}: got {given!r}; {first['msg']}"
        ) from error


def _is_setting(part: str) -> bool:
    return part not in ("float", "int", "key", "str") and not set(part) & set("[]-")


def override(settings: T, assignments: Iterable[str], *, fixed: Iterable[str] = ()) -> T:
    """Apply `key=value` texts to a settings dataclass.

    Args:
        settings: The settings to start from.
        assignments: `"epochs=3"`, `"model.hidden=100,100"`, `"learning_rate.200=0.05"`; values
            are read as JSON where they are JSON, lists may be written with commas.
        fixed: Names of fields that can't be set.

    Returns:
        New settings.

    Raises:
        ArgumentError: Not of the form `key=value`, given twice, or a value that does not fit.
        UnknownNameError: There is no such setting; suggests the nearest.
    """
    record = to_plain(settings)
    seen: set[str] = set()
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = _spelled(key.strip())
        if not equals or not key:
            raise ArgumentError(f"--set: got {assignment!r}; key=value is needed")
        if key in seen:
            raise ArgumentError(f"--set: {key!r} is given twice")
        seen.add(key)
        _assign(record, key, read_value(text.strip()), set(fixed))
    return from_plain(type(settings), record)


def _spelled(key: str) -> str:
    """A key with underscores, where it is no selector's name."""
    parts = key.split(".")
    spelled = [part.replace("-", "_") for part in parts]
    if spelled[0] in BY_SELECTOR and len(parts) > 1:
        spelled[1] = parts[1]
    return ".".join(spelled)


def _assign(record: dict[str, Any], key: str, value: Any, fixed: set[str]) -> None:
    *path, last = key.split(".")
    place: Any = record
    known = sorted(set(record) - fixed)
    for depth, part in enumerate(path):
        if depth and path[0] in OPEN_ENDED and isinstance(place, dict):
            place.setdefault(part, {})
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or (path or [last])[0] in fixed:
        raise UnknownNameError("setting", key, known)
    # A mapping such as {memory size: learning rate} takes further keys, a dataclass does not.
    open_ended = bool(path) and (path[0] in OPEN_ENDED)
    if last not in place and not open_ended:
        prefix = "".join(f"{part}." for part in path)
        raise UnknownNameError("setting", key, [prefix + name for name in place] if path else known)
    # A list of one is written without a comma.
    alone = isinstance(place.get(last), list) and not isinstance(value, list)
    place[last] = [value] if alone else value


def read_value(text: str) -> Any:
    """The value that a text means: JSON where it is JSON, a list with commas, or the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    if "," in text:
        return [read_value(part.strip()) for part in text.split(",") if part.strip()]
    return text


def settings_hash(record: Mapping[str, Any]) -> str:
    """A short name for a set of settings.

    Args:
        record: Plain values.

    Returns:
        The first 12 hexadecimal digits of the SHA-256 of the canonical JSON.
    """
    canonical = json.dumps(record, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def derived_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, independent of those for other purposes.

    Args:
        seed: Seed of the run.
        purpose: What the random numbers are for, for example `"model"`.

    Returns:
        An integer in [0, 2³¹), the same on every machine.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def changed(before: object, after: object) -> list[str]:
    """Which settings differ between two settings of one kind.

    Args:
        before: A settings dataclass.
        after: Another one of the same type.

    Returns:
        `key=value` texts that turn `before` into `after`.
    """
    assert dataclasses.is_dataclass(before)
    old, new = to_plain(before), to_plain(after)
    return list(_differences(old, new, ""))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for name, value in new.items():
        if value == old.get(name):
            continue
        there = {} if old.get(name) is None else old[name]
        mappings = isinstance(value, dict) and isinstance(there, dict)
        if mappings and value and set(there) <= set(value):
            yield from _differences(there, value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value if isinstance(value, str) else json.dumps(value)}"
