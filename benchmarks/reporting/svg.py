"""Small means of drawing inline SVG: elements, axes, and labels that don't overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

CHARACTER = 6.7
"""Mean width of a character of the charts' 12-pixel text, in pixels, rounded up."""


def element(name: str, *children: str, **attributes: object) -> Markup:
    """One SVG or HTML element; text and attributes are escaped.

    Args:
        name: Tag.
        children: Text (escaped) or `Markup` (taken as it is).
        attributes: `class_` is `class`, underscores become hyphens, None is left out, floats are
            rounded to two digits.

    Returns:
        The element as markup.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None:
            continue
        attribute = "viewBox" if key == "viewBox" else key.rstrip("_").replace("_", "-")
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        parts.append(f'{attribute}="{escape(text)}"')
    inside = Markup("").join(children)
    # Everything in parts and inside is escaped above.
    return Markup(f"<{' '.join(parts)}>{inside}</{name}>")


def join(items: Iterable[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup("").join(items)


@dataclass(frozen=True)
class Scale:
    """Maps values to pixels, linearly or by logarithm.

    Args:
        low: Value at `start`.
        high: Value at `stop`, other than `low`.
        start: Pixel of `low`.
        stop: Pixel of `high`.
        logarithmic: Whether equal ratios take equal room; `low` must then be above 0.
    """

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        if self.logarithmic:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.stop - self.start)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that span a range.

    Args:
        low: Least value.
        high: Greatest value, at least `low`.
        count: About how many ticks.

    Returns:
        Ascending ticks; the first is at most `low`, the last at least `high`.
    """
    span = high - low
    if span < 1e-6 * max(abs(low), abs(high), 1.0):  # one value: show its surroundings
        span = max(abs(high) / 10, 1.0)
    raw = span / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        last += 1
    return [round(index * step, 10) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: 1-2-5 within two decades, else powers of ten.

    Args:
        low: Least value, above 0.
        high: Greatest value, at least `low`.

    Returns:
        Ascending ticks; the first is at most `low`, the last at least `high`.
    """
    factors = (1, 2, 5) if high / low < 100 else (1,)
    start, stop = math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1
    candidates = [factor * 10.0**power for power in range(start, stop + 1) for factor in factors]
    first = max(tick for tick in candidates if tick <= low * (1 + 1e-9))
    last = min(tick for tick in candidates if tick >= high * (1 - 1e-9) and tick > first)
    return [tick for tick in candidates if first <= tick <= last]


def spread_apart(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels so that neighbours are at least `gap` apart, as little as that needs.

    Args:
        positions: Where each label would like to be.
        gap: Least distance.
        low: Least position allowed.
        high: Greatest position allowed; if there is not room for all, labels run over it.

    Returns:
        New positions in the order given.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    # Merge labels that collide into blocks that sit at the mean of what their members want.
    blocks: list[tuple[float, int]] = []  # (sum of the wanted position of the first, members)
    for index in order:
        total, members = positions[index], 1
        while blocks:
            last_total, last_members = blocks[-1]
            top = last_total / last_members
            if total / members >= top + gap * last_members:
                break
            # Member j of the newer block wants to start j + last_members gaps further down.
            total = last_total + total - members * gap * last_members
            members += last_members
            blocks.pop()
        blocks.append((total, members))
    placed: list[float] = []
    for total, members in blocks:
        placed.extend(total / members + gap * step for step in range(members))
    # Push back inside, from below and then from above.
    limit = high
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], limit)
        limit = placed[place] - gap
    limit = low
    for place in range(len(placed)):
        placed[place] = max(placed[place], limit)
        limit = placed[place] + gap
    result = [0.0] * len(positions)
    for place, index in enumerate(order):
        result[index] = placed[place]
    return result


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether two rectangles share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        """Whether this rectangle lies inside another."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


def place_labels(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    frame: Box,
    taken: Iterable[Box] = (),
) -> list[tuple[float, float, str] | None]:
    """Find a free place beside each point for its label.

    Args:
        points: Where the marks are, in pixels.
        texts: A label for each.
        frame: Labels stay inside.
        taken: Places that are not free.

    Returns:
        For each point (x, baseline y, text-anchor), or None where nothing is free: the legend
        has to do then.
    """
    busy = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    busy.extend(taken)
    found: list[tuple[float, float, str] | None] = []
    for (x, y), text in zip(points, texts, strict=True):
        width = len(text) * CHARACTER + 8  # bold letters are wider than the mean
        place: tuple[float, float, str] | None = None
        for distance in (10.0, 18.0, 28.0, 42.0, 60.0):
            for dx, dy, anchor in (
                (distance, 4.0, "start"),
                (-distance, 4.0, "end"),
                (0.0, -distance, "middle"),
                (0.0, distance + 8, "middle"),
                (distance * 0.7, -distance * 0.8, "start"),
                (distance * 0.7, distance * 0.8 + 8, "start"),
                (-distance * 0.7, -distance * 0.8, "end"),
                (-distance * 0.7, distance * 0.8 + 8, "end"),
            ):
                left = x + dx - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
                box = Box(left, y + dy - 11, left + width, y + dy + 3)
                if box.within(frame) and not any(box.overlaps(other) for other in busy):
                    place = (x + dx, y + dy, anchor)
                    busy.append(box)
                    break
            if place is not None:
                break
        found.append(place)
    return found
