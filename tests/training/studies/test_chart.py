"""Charts: where a value is drawn."""

import re
from itertools import pairwise

import pytest

from training.studies.chart import Axis, Series, draw


def points(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline [^>]*points="([^"]*)"', svg)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())] for line in found]


def name_heights(svg: str) -> list[float]:
    return [float(y) for y in re.findall(r'class="name s0" x="[\d.]+" y="([\d.]+)"', svg)]


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
    heights = name_heights(svg)

    assert "a &lt; b" in svg
    assert "<i>" not in svg
    assert min(b - a for a, b in pairwise(heights)) >= 14


def test_names_of_lines_at_the_bottom_stay_above_the_labels_of_the_axis() -> None:
    svg = draw("t", Axis("x", 0, 1), Axis("y", 0, 1), [Series(str(i), [0, 1], [0, 0]) for i in range(4)])

    assert max(name_heights(svg)) <= points(svg)[0][0][1]
    assert min(b - a for a, b in pairwise(name_heights(svg))) >= 14


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.612, 0.981), [0.6, 0.7, 0.8, 0.9, 1.0]),
        ((-0.153, 0.909), [-0.5, 0.0, 0.5, 1.0]),
        ((0.0, 7.7), [0.0, 2.0, 4.0, 6.0, 8.0]),
        ((3.0, 3.0), [3.0]),
        ((2e-7, float("inf"), 9e-7), [2e-7, 4e-7, 6e-7, 8e-7, 1e-6]),
    ],
)
def test_an_axis_covers_its_values_with_round_ticks(values: tuple[float, ...], ticks: list[float]) -> None:
    axis = Axis.covering("y", values)

    assert axis.ticks[: len(ticks)] == pytest.approx(ticks)
    assert axis.start <= min(values) < axis.end


def test_a_log_axis_covers_what_is_above_zero_with_powers_of_ten() -> None:
    axis = Axis.covering("y", [0.0, 2e-6, 0.3], is_log=True)

    svg = draw("t", Axis("x", 0, 1), axis, [Series("a", [0, 1], [0.0, 1e-6])])

    assert axis.ticks == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1])
    assert all(f">{label}</text>" in svg for label in ("1e-06", "1e-04", "0.001", "0.1"))
    assert points(svg)[0][0][1] == 312  # the x axis


def test_labels_can_be_given_and_few_points_are_marked() -> None:
    axis = Axis("rows", 1, 300, is_log=True, at=(2, 256))
    svg = draw("t", axis, Axis("y", 0, 1), [Series("a", [2], [0.5])])

    assert axis.ticks == [2, 256]
    assert svg.count("<circle") == 1
