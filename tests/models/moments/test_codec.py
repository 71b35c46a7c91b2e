"""Moments survive the way to a file or another process with the same bits: `models.moments.codec`."""

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.moments.codec import decode, encode
from models.moments.window import WindowMoments
from models.observation import RowStatistics

WIDTHS = {"first": 3, "second": 1, "norm.ü": 5, "empty": 0}
FIELDS = ("row_mean", "row_square", "m2_mean", "m2_square", "co")


def moments(width: int, rows: int, seed: int) -> WindowMoments:
    z = np.random.default_rng(seed).normal(size=(rows, 4, width))
    return WindowMoments.of(RowStatistics(z.mean(axis=1), np.square(z).mean(axis=1)))


def assert_same_bits(actual: dict[str, WindowMoments], expected: dict[str, WindowMoments]) -> None:
    assert actual.keys() == expected.keys()
    for name, found in actual.items():
        assert (type(found.count), found.count) == (int, expected[name].count)
        for field in FIELDS:
            assert getattr(found, field).tobytes() == getattr(expected[name], field).tobytes(), (name, field)


@given(
    present=st.lists(st.lists(st.sampled_from(list(WIDTHS)), unique=True), max_size=5),
    rows=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_what_is_encoded_is_decoded(present: list[list[str]], rows: int, seed: int) -> None:
    windows = [
        {name: moments(WIDTHS[name], rows, seed + place) for name in names} for place, names in enumerate(present)
    ]

    layout, array = encode(windows)
    again = decode(json.loads(json.dumps(layout)), array)

    assert array.shape == (len(windows), 5, sum(WIDTHS[name] for name in {name for names in present for name in names}))
    assert len(again) == len(windows)
    for actual, expected in zip(again, windows, strict=True):
        assert_same_bits(actual, expected)


def test_a_layer_that_one_window_lacks_is_not_taken_for_one_without_rows() -> None:
    layout, array = encode([{"first": moments(3, 0, 0)}, {"second": moments(1, 4, 0)}])

    assert layout == {"layers": {"first": 3, "second": 1}, "counts": [[0, None], [None, 4]]}
    assert [list(window) for window in decode(layout, array)] == [["first"], ["second"]]


def test_a_layer_has_as_many_channels_in_every_window() -> None:
    with pytest.raises(InvalidInput, match="moments: layer 'first' has 3 channels and 4"):
        encode([{"first": moments(3, 2, 0)}, {"first": moments(4, 2, 0)}])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("layers",), None),
        (("layers",), []),
        (("layers",), {}),
        (("layers", "first"), 2),
        (("layers", "first"), -3),
        (("layers", "first"), 3.0),
        (("layers", "first"), "3"),
        (("counts",), None),
        (("counts",), []),
        (("counts", 0), [1]),
        (("counts", 0), [1, 2, 3]),
        (("counts", 0), 1),
        (("counts", 0, 1), -1),
        (("counts", 0, 1), 1.5),
        (("counts", 0, 1), True),
        (("counts", 0, 1), "1"),
    ],
    ids=str,
)
def test_a_damaged_layout_is_refused(path: tuple[Any, ...], value: object) -> None:
    layout, array = encode([{"first": moments(3, 2, 0), "second": moments(1, 2, 0)}])
    damaged: Any = deepcopy(layout)
    *parents, last = path
    target = damaged
    for key in parents:
        target = target[key]
    target[last] = value

    decode(layout, array)
    with pytest.raises(InvalidInput, match="moments"):
        decode(damaged, array)


@pytest.mark.parametrize("key", ["layers", "counts"])
def test_a_layout_has_both_parts(key: str) -> None:
    layout, array = encode([{"first": moments(3, 2, 0)}])

    with pytest.raises(InvalidInput, match="moments"):
        decode({name: value for name, value in layout.items() if name != key}, array)


@pytest.mark.parametrize("shape", [(1, 5, 3), (1, 4, 4), (2, 5, 4), (5, 4), ()])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    layout, _ = encode([{"first": moments(3, 2, 0), "second": moments(1, 2, 0)}])

    with pytest.raises(InvalidInput, match="moments: got shape"):
        decode(layout, np.zeros(shape))
