"""Line charts as SVG, light or dark as the reader's system is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Self

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 34, 48
_TICKS = 5
_NAME_GAP = 14
_ROUNDING = 1e-9
_SHORT = 1e-3
_MARKED = 12
"""A line of at most so many points has a dot at each."""

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .axis { stroke: #8c959f } .grid { stroke: #d0d7de; stroke-width: .6 }
  .s0 { --c: #0969da } .s1 { --c: #bc4c00 } .s2 { --c: #1a7f37 } .s3 { --c: #8250df }
  .line { fill: none; stroke: var(--c); stroke-width: 1.8 } .band { fill: var(--c); opacity: .16 }
  .name, .dot { fill: var(--c) } .dashed { stroke-dasharray: 5 4 }
  .name { paint-order: stroke; stroke: #fff; stroke-width: 3px }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #30363d } .name { stroke: #0d1117 }
    .s0 { --c: #58a6ff } .s1 { --c: #f0883e } .s2 { --c: #56d364 } .s3 { --c: #d2a8ff }
  }"""


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        name: shown beside its end; empty for a line that belongs to another one.
        x, y: of its points. Those that are not finite are left out.
        low, high: of the band around it.
        colour: from 0 to 3.
        dashed: whether it is.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    colour: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis, from `start` to `end`.

    Attributes:
        label: what it shows.
        is_log: whether equal factors are equally long.
        at: the values that are labelled; round ones by default.
    """

    label: str
    start: float
    end: float
    is_log: bool = False
    at: Sequence[float] = ()

    @classmethod
    def covering(cls, label: str, values: Iterable[float], *, is_log: bool = False) -> Self:
        """An axis from a round value below all finite values to one above; a logarithmic one for those above zero."""
        finite = [value for value in values if math.isfinite(value) and (value > 0 or not is_log)]
        if is_log:
            low, high = math.floor(math.log10(min(finite))), math.floor(math.log10(max(finite))) + 1
            return cls(label, 10.0**low, 10.0**high, is_log=True)
        step = _round_step(max(finite) - min(finite))
        return cls(label, step * math.floor(min(finite) / step), step * (math.floor(max(finite) / step) + 1))

    def place(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        low, high, at = ((math.log10(v) if self.is_log else v) for v in (self.start, self.end, value))
        return (at - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Values that are labelled."""
        if self.at:
            return [*self.at]
        if self.is_log:
            exponents = range(math.ceil(math.log10(self.start)), math.floor(math.log10(self.end)) + 1)
            return [10.0**exponent for exponent in exponents]
        step = _round_step(self.end - self.start)
        first, last = (value / step for value in (self.start, self.end))
        return [step * i for i in range(math.ceil(first - _ROUNDING), math.floor(last + _ROUNDING) + 1)]


def _label(tick: float) -> str:
    """A tick as text that fits beside the axis."""
    return f"{tick:.0e}" if 0 < abs(tick) < _SHORT else f"{tick:.6g}"


def _round_step(length: float) -> float:
    """1, 2 or 5 times a power of ten, so that a length has at most `_TICKS` steps."""
    least = max(length, _ROUNDING) / _TICKS
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - _ROUNDING))


def draw(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """The chart as the text of an SVG file."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"',
        f'aria-label="{escape(title)}">',
        f"<style>{_STYLE}\n</style>",
        f'<text class="title" x="{_LEFT}" y="18">{escape(title)}</text>',
    ]
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for tick in y.ticks:
        height = _y(y, tick)
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{height:.1f}" y2="{height:.1f}"/>',
            f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{_label(tick)}</text>',
        ]
    parts += [
        f'<text x="{_x(x, tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:.6g}</text>' for tick in x.ticks
    ]
    parts += [
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(x.label)}</text>',
        f'<text transform="translate(13 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">',
        f"{escape(y.label)}</text>",
    ]
    shown = [(line, points) for line in series if (points := _finite(line))]
    for line, points in shown:
        parts += _line(x, y, line, points)
    parts += _names(x, y, [(line, points[-1]) for line, points in shown if line.name])
    return "\n".join([*parts, "</svg>", ""])


Point = tuple[float, float]


def _finite(line: Series) -> list[Point]:
    return [(a, b) for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b)]


def _line(x: Axis, y: Axis, line: Series, points: Sequence[Point]) -> list[str]:
    """Its band, itself, and dots if it has few points."""
    parts = []
    if line.low is not None and line.high is not None:
        edge = [*zip(line.x, line.high, strict=True), *reversed(list(zip(line.x, line.low, strict=True)))]
        corners = " ".join(f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in edge if math.isfinite(b))
        parts.append(f'<polygon class="band s{line.colour}" points="{corners}"/>')
    path = " ".join(f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in points)
    dashed = " dashed" if line.dashed else ""
    parts.append(f'<polyline class="line s{line.colour}{dashed}" points="{path}"/>')
    if len(points) <= _MARKED:
        parts += [
            f'<circle class="dot s{line.colour}" cx="{_x(x, a):.1f}" cy="{_y(y, b):.1f}" r="2.4"/>' for a, b in points
        ]
    return parts


def _names(x: Axis, y: Axis, ends: Sequence[tuple[Series, Point]]) -> list[str]:
    """The names of lines beside their last points, from above to below, so that none covers another or the x axis."""
    ordered = sorted(ends, key=lambda end: _y(y, end[1][1]))
    heights: list[float] = []
    for _, (_, value) in ordered:
        heights.append(max(_y(y, value) + 4, heights[-1] + _NAME_GAP if heights else 0))
    below: float = _HEIGHT - _BOTTOM
    for place in reversed(range(len(heights))):
        heights[place] = min(heights[place], below)
        below = heights[place] - _NAME_GAP
    return [
        f'<text class="name s{line.colour}" x="{_x(x, place) + 8:.1f}" y="{height:.1f}">{escape(line.name)}</text>'
        for (line, (place, _)), height in zip(ordered, heights, strict=True)
    ]


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    clipped = min(max(value, axis.start), axis.end)  # also what is not above zero, on a logarithmic axis
    return _HEIGHT - _BOTTOM - axis.place(clipped) * (_HEIGHT - _TOP - _BOTTOM)
