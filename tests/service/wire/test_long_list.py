"""Long lists, read in pieces, give the arrays and errors that lists read at once give."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import DATATYPES
from models.errors import InvalidInput
from service.wire import json_numbers, long_list
from service.wire.json_arrays import to_array
from service.wire.json_text import parse
from service.wire.long_list import LongList


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_list, "PIECE_BYTES", 10)
        patch.setattr(long_list, "_MAX_NUMBER_BYTES", 40)
        patch.setattr(long_list, "_BLOCK_BYTES", 7)
        yield


numbers = st.integers(-300, 300) | st.floats(-10, 10) | st.sampled_from([1e39, 2**64, float("nan"), True, None])
leaves = st.integers(-3, 3) | numbers
nested = st.recursive(st.lists(leaves, min_size=1, max_size=9), lambda inner: st.lists(inner | leaves, max_size=4))
regular = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(
    lambda dims: np.arange(np.prod(dims)).reshape(dims).tolist()
)


def outcome(data: Any, datatype: Any, *, finite: bool) -> tuple[Any, ...] | None:
    """What data becomes: an array, or None for an error."""
    try:
        array = to_array(data, datatype, "data", finite=finite)
    except InvalidInput:
        return None
    return array.dtype, array.shape, array.tobytes()


def has_empty_lists(data: Any) -> bool:
    return isinstance(data, list) and (not data or any(map(has_empty_lists, data)))


@given(
    data=nested | regular,
    datatype=st.sampled_from([name for name in DATATYPES if name != "BYTES"]),
    indent=st.sampled_from([None, 1]),
    finite=st.booleans(),
)
def test_any_list_comes_out_as_if_it_were_read_at_once(data: Any, datatype: str, indent: Any, finite: bool) -> None:
    text = json.dumps(data, indent=indent).encode()
    expected = None if has_empty_lists(data) else outcome(parse(text), datatype, finite=finite)

    assert outcome(LongList(b"{" + text + b"}", 1, len(text) + 1), datatype, finite=finite) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[1[,2]]",
        "[[1],[2]],[[3],[4]]",
        "[[1,2],3,[4,5]]",
        "[[1,2],[3,4],5,6]",
        "[[1,2],[[3,4]]]",
        "[1,2,,3]",
        "[1,2,3,]",
        "[,1,2,3]",
        "[1,2 3,4]",
        "[[1,2],[3,4]",
        "[[1,2],[3,4]]]",
        "[1,2,3]]",
        "[[],[],[]]",
        "[1,2,3,4,5,6,7,8,9,x]",
        "[" + "1" * 200 + "]",
        "[" * 200 + "1" + "]" * 200,
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_what_is_no_regular_list_is_refused(text: str, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_numbers, "FAST", fast and json_numbers.FAST)

    with pytest.raises(InvalidInput, match="data"):
        LongList(text.encode(), 0, len(text)).read("FP32", "data", finite=True)


def test_a_text_between_commas_is_as_long_as_a_piece_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ("[" + " " * 200 + "1]").encode()
    if json_numbers.HAS_READER:
        assert LongList(text, 0, len(text)).read("FP32", "data", finite=True).tolist() == [1]
    monkeypatch.setattr(json_numbers, "HAS_READER", False)

    with pytest.raises(InvalidInput, match="data: got a number of more than"):
        LongList(text, 0, len(text)).read("FP32", "data", finite=True)


@pytest.mark.parametrize("dims", [(7,), (3, 4), (2, 3, 4), (1, 1, 5), (4, 1, 1), (2, 1, 2, 1)])
def test_regular_lists_are_read_at_once(dims: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    if not json_numbers.HAS_READER:
        pytest.skip("there was no C compiler to build the reader")
    monkeypatch.setattr(LongList, "shape", lambda *_: pytest.fail("all brackets were searched"))
    rows = np.arange(np.prod(dims), dtype=np.float32).reshape(dims)
    text = json.dumps(rows.tolist()).encode()

    np.testing.assert_array_equal(LongList(text, 0, len(text)).read("FP32", "data", finite=True), rows)


def test_the_error_names_the_position_in_the_whole_list() -> None:
    text = json.dumps([*range(50), "x"]).replace('"', "").replace("x", "true").encode()

    with pytest.raises(InvalidInput, match=r"data\[50\]: got a boolean, expected FP32"):
        LongList(text, 0, len(text)).read("FP32", "data", finite=True)


def test_a_list_whose_first_piece_is_wrong_gets_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"[" + b"true," * 100 + b"true]"
    monkeypatch.setattr(json_numbers, "HAS_READER", False)  # which writes to no memory then
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("an array was made"))

    with pytest.raises(InvalidInput):
        LongList(text, 0, len(text)).read("FP32", "data", finite=True)


def test_no_piece_is_much_longer_than_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_numbers, "HAS_READER", False)
    lengths = []
    read = json_numbers.parse_numbers
    monkeypatch.setattr(
        json_numbers, "parse_numbers", lambda text, *args, **kw: lengths.append(len(text)) or read(text, *args, **kw)
    )
    text = json.dumps(np.ones((20, 30)).tolist()).encode()

    array = LongList(text, 0, len(text)).read("FP32", "data", finite=True)

    assert array.shape == (20, 30)
    assert len(lengths) > len(text) / 30
    assert max(lengths) <= 10 + 40 + 4


def test_many_empty_lists_are_refused_before_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"[" + b"[ ]," * 100 + b"[]]"
    monkeypatch.setattr(LongList, "shape", lambda *_: pytest.fail("the whole list was searched"))

    with pytest.raises(InvalidInput, match="empty"):
        LongList(text, 0, len(text)).read("FP32", "data", finite=True)
