"""Charts: where a value is drawn."""

import re
from itertools import pairwise

import pytest

from training.studies.chart import Axis, Series, draw


def points(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline [^>]*points="([^"]*)"', svg)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())] for line in found]


def test_a_line_goes_through_its_points_in_proportion() -> None:
    svg = draw("t", Axis("x", 0, 10), Axis("y", 0, 1), [Series("a", [0, 5, 10], [0, 0.5, 1])])
    (((x0, y0), (x1, y1), (x2, y2)),) = points(svg)

    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 - y1 == pytest.approx(y1 - y2)
    assert y0 > y2  # upwards


def test_a_log_axis_has_equal_steps_for_equal_factors() -> None:
    axis = Axis("x", 0.01, 100, is_log=True)

    assert [axis.place(value) for value in (0.01, 1, 100)] == pytest.approx([0, 0.5, 1])
    assert axis.ticks == pytest.approx([0.01, 0.1, 1, 10, 100])


def test_what_is_not_finite_is_left_out_and_what_is_outside_stays_at_the_edge() -> None:
    inf = float("inf")
    svg = draw("t", Axis("x", 0, 2), Axis("y", 0, 1), [Series("a", [0, 1, 2], [0.5, inf, 7]), Series("b", [0], [inf])])
    edge = draw("t", Axis("x", 0, 2), Axis("y", 0, 1), [Series("a", [0, 2], [0.5, 1])])

    assert points(svg) == points(edge)


def test_names_are_escaped_and_do_not_cover_each_other() -> None:
    svg = draw("a < b", Axis("x", 0, 1), Axis("y", 0, 1), [Series("<i>", [0, 1], [0.5, 0.5]) for _ in range(3)])
    heights = [float(y) for y in re.findall(r'class="name s0" x="[\d.]+" y="([\d.]+)"', svg)]

    assert "a &lt; b" in svg
    assert "<i>" not in svg
    assert min(b - a for a, b in pairwise(heights)) >= 14
