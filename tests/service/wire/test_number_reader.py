"""The numbers that are read from a text are those that a careful parser finds in it, rounded to float32."""

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from models.datatypes import Array

reader = pytest.importorskip("service.wire.number_reader", reason="there was no C compiler to build it")


def read(text: bytes, shape: tuple[int, ...]) -> Array | None:
    array = np.full(shape, 7, np.float32)
    return array if reader.read_float32(text, array, shape) else None


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The lengths of lists of numbers at each depth; None if there is no one length, or no number, at a depth."""
    if not isinstance(value, list):
        return () if type(value) in (int, float) else None
    shapes = {shape_of(item) for item in value}
    return (len(value), *inner) if len(shapes) == 1 and (inner := shapes.pop()) is not None else None


def expected(text: bytes) -> Array:
    """Python's own parser and numpy's rounding. Both round to the nearest."""
    return np.array(json.loads(text), np.float64).astype(np.float32)


def same(found: Array, wanted: Array) -> bool:
    return found.tobytes() == wanted.tobytes() and bool(np.isfinite(found).all())


WRITERS: list[Callable[[float], str]] = [
    repr,
    str,
    lambda value: f"{value:.7f}",
    lambda value: f"{value:.17g}",
    lambda value: f"{value:.9e}",
    lambda value: f"{value:.30f}",
    lambda value: str(round(value)),
    lambda value: f"{value:.3E}",
]
values = st.floats(-1, 1, width=32) | st.floats(-1, 1) | st.floats(-(2**70), 2**70) | st.floats(-1e-35, 1e-35)
numbers = st.tuples(st.sampled_from(WRITERS), values).map(lambda pair: pair[0](pair[1]))
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
spaces = st.sampled_from(["", "", "", " ", "\n\t "])


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, tuple[int, ...]]:
    shape = draw(shapes)

    def lists(dims: tuple[int, ...]) -> str:
        inner = (lists(dims[1:]) if dims[1:] else draw(numbers) for _ in range(dims[0]))
        return "[" + ",".join(draw(spaces) + item + draw(spaces) for item in inner) + "]"

    return lists(shape), shape


@given(texts())
def test_whatever_is_read_is_right(given_text: tuple[str, tuple[int, ...]]) -> None:
    text, shape = given_text[0].encode(), given_text[1]

    array = read(text, shape)

    assert array is None or same(array, expected(text))


@given(
    writer=st.sampled_from(WRITERS[:5]),
    rows=st.lists(st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=30),
)
def test_what_clients_send_is_read(writer: Callable[[float], str], rows: list[list[float]]) -> None:
    text = "[" + ", ".join("[" + ", ".join(map(writer, row)) + "]" for row in rows) + "]"
    assume("-0," not in text)
    assume("-0]" not in text)
    wanted = expected(text.encode())
    tiny = np.abs(np.array(json.loads(text))[wanted != 0]).min(initial=1) < np.finfo(np.float32).tiny

    array = read(text.encode(), wanted.shape)

    assert tiny or (array is not None and same(array, wanted))


@given(
    given_text=texts(),
    place=st.floats(0, 1),
    junk=st.sampled_from([*'0123456789.,[]-+eE "x\\{}\n', "é", ""]),
    cut=st.booleans(),
)
@example(given_text=("[1,2]", (2,)), place=1.0, junk="]", cut=False)
def test_a_damaged_text_is_read_as_a_careful_parser_reads_it_or_not_at_all(
    given_text: tuple[str, tuple[int, ...]], place: float, junk: str, cut: bool
) -> None:
    at = round(place * len(given_text[0]))
    text = (given_text[0][:at] + junk + given_text[0][at + cut :]).encode()

    array = read(text, given_text[1])

    if array is not None:
        assert shape_of(json.loads(text)) == array.shape
        assert same(array, expected(text))


@given(
    st.integers(0x00800000, 0x7F7FFFFE), st.integers(-3, 3), st.sampled_from(["{!r}", "{:.30f}", "{:.18e}", "{:.16g}"])
)
def test_the_middle_between_two_float32_is_rounded_as_its_double(bits: int, steps: int, written: str) -> None:
    low, high = struct.unpack("2f", struct.pack("2I", bits, bits + 1))
    middle = (low + high) / 2  # a double has it exactly
    for _ in range(abs(steps)):
        middle = float(np.nextafter(middle, np.sign(steps) * np.inf))
    text = ("[" + written.format(middle) + "]").encode()

    array = read(text, (1,))

    assert array is None or same(array, expected(text))


def test_the_rounding_of_the_double_counts() -> None:
    """Control for the test above: nearest to the number itself would be another float32."""
    number = "1.00000005960464477540"  # a little more than the middle, which its double is
    assert np.float32(float(number)) == 1

    array = read(f"[{number}]".encode(), (1,))

    assert array is None or array == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[]",
        "[ ]",
        "1,2",
        "[1]",
        "[1,2",
        "1,2]",
        "[1,2]]",
        "[[1,2]",
        "[1,2],",
        ",[1,2]",
        "[1,,2]",
        "[1,2,]",
        "[1 2]",
        "[1,2,3]",
        "[1;2]",
        "[[1,2]]",
        "[[1],[2]]",
        "[1,[2]]",
        "[1],[2]",
        "[01,2]",
        "[-01,2]",
        "[1.,2]",
        "[.5,2]",
        "[+1,2]",
        "[--1,2]",
        "[-,2]",
        "[1e,2]",
        "[1e+,2]",
        "[1e5.5,2]",
        "[0x1,2]",
        "[1_0,2]",
        "[NaN,2]",
        "[Infinity,2]",
        "[null,2]",
        "[true,2]",
        '["1",2]',
        "[1\0,2]",
        "[\xa01,2]",
        "[1e39,2]",
        "[3.4028236e38,2]",
        "[1e99999999999999999999,2]",
    ],
)
def test_what_is_no_list_of_two_finite_numbers_is_not_read(text: str) -> None:
    padding = "[" + " " * 40  # long enough for the way that most numbers go
    assert read(text.encode("latin-1"), (2,)) is None
    assert read((padding + text[1:]).encode("latin-1"), (2,)) is None


def test_the_list_of_two_finite_numbers_is_read() -> None:
    """Control for the test above."""
    for text in ("[1,2]", "[" + " " * 40 + "1,2]", " [ 1 , 2 ] "):
        array = read(text.encode(), (2,))
        assert array is not None
        assert array.tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (1, 6), (6, 1), (2, 3, 1), (1, 2, 3)])
def test_only_the_nesting_of_the_shape_is_read(shape: tuple[int, ...]) -> None:
    other = tuple(reversed(shape))
    text = json.dumps(np.arange(6).reshape(shape).tolist()).encode()

    array = read(text, shape)

    assert array is not None
    assert array.ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert read(text, other) is None
    assert read(text, (6,)) is None


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (-1,), (4,), (1 << 40, 1 << 40), (1,) * 33])
def test_a_shape_that_the_array_does_not_have_is_refused(shape: tuple[int, ...]) -> None:
    assert not reader.read_float32(b"[1,2]", np.empty(2, np.float32), shape)


def test_wrong_arguments_are_errors() -> None:
    with pytest.raises(TypeError):
        reader.read_float32("[1]", np.empty(1, np.float32), (1,))
    with pytest.raises(TypeError):
        reader.read_float32(b"[1]", np.empty(1, np.float32), ("1",))
    with pytest.raises(TypeError):
        reader.read_float32(b"[1]", np.empty(4, np.float32)[::2], (2,))
    with pytest.raises(TypeError):
        reader.read_float32(b"[1]", b"1234", (1,))


def test_many_numbers_are_read_without_other_threads_waiting() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 700)).astype(np.float32)
    for text in (
        json.dumps(rows.tolist()).encode(),
        ("[" + ",".join("[" + ",".join(map(str, row)) + "]" for row in rows) + "]").encode(),
    ):
        assert len(text) > 1 << 19  # others run while it is read

        array = read(text, rows.shape)

        np.testing.assert_array_equal(array, rows)
