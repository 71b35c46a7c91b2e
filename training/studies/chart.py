"""Line charts as SVG, light or dark as the reader's system is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 34, 48
_TICKS = 5

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .axis { stroke: #8c959f } .grid { stroke: #d0d7de; stroke-width: .6 }
  .s0 { --c: #0969da } .s1 { --c: #bc4c00 } .s2 { --c: #1a7f37 } .s3 { --c: #8250df }
  .line { fill: none; stroke: var(--c); stroke-width: 1.8 } .band { fill: var(--c); opacity: .16 }
  .name { fill: var(--c) } .dashed { stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #30363d }
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
    """One axis, from `start` to `end`."""

    label: str
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        low, high, at = ((math.log10(v) if self.is_log else v) for v in (self.start, self.end, value))
        return (at - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Values that are labelled."""
        if self.is_log:
            exponents = range(math.ceil(math.log10(self.start)), math.floor(math.log10(self.end)) + 1)
            return [10.0**exponent for exponent in exponents]
        return [self.start + (self.end - self.start) * i / _TICKS for i in range(_TICKS + 1)]


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
            f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{tick:.3g}</text>',
        ]
    parts += [
        f'<text x="{_x(x, tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:.6g}</text>' for tick in x.ticks
    ]
    parts += [
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(x.label)}</text>',
        f'<text transform="translate(16 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">',
        f"{escape(y.label)}</text>",
    ]
    ends: list[float] = []
    for line in series:
        parts += _line(x, y, line, ends)
    return "\n".join([*parts, "</svg>", ""])


def _line(x: Axis, y: Axis, line: Series, ends: list[float]) -> list[str]:
    """The elements of a line; `ends` has the heights of the names that are there already."""
    points = [(a, b) for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b)]
    if not points:
        return []
    parts = []
    if line.low is not None and line.high is not None:
        edge = [*zip(line.x, line.high, strict=True), *reversed(list(zip(line.x, line.low, strict=True)))]
        corners = " ".join(f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in edge if math.isfinite(b))
        parts.append(f'<polygon class="band s{line.colour}" points="{corners}"/>')
    path = " ".join(f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in points)
    dashed = " dashed" if line.dashed else ""
    parts.append(f'<polyline class="line s{line.colour}{dashed}" points="{path}"/>')
    if line.name:
        height = _y(y, points[-1][1]) + 4
        while any(abs(height - other) < 14 for other in ends):
            height += 1
        ends.append(height)
        parts.append(
            f'<text class="name s{line.colour}" x="{_x(x, points[-1][0]) + 8:.1f}" y="{height:.1f}">'
            f"{escape(line.name)}</text>"
        )
    return parts


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    clipped = min(max(value, axis.start), axis.end)
    return _HEIGHT - _BOTTOM - axis.place(clipped) * (_HEIGHT - _TOP - _BOTTOM)
