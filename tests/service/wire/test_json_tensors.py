"""The fast way to read tensors gives what the careful one gives, or leaves the request to it."""

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import DATATYPES
from models.errors import InvalidInput
from service.wire import json_tensors
from service.wire.json_arrays import to_array
from service.wire.json_object import parse_object
from service.wire.json_tensors import parse_request

simdjson = pytest.importorskip("simdjson", reason="the fast path needs pysimdjson, which this Python has no wheel of")


def outcome(request: Any, datatype: Any) -> tuple[Any, ...]:
    """What comes of the data of the first tensor: an array, or an error and its words."""
    try:
        array = to_array(request["inputs"][0]["data"], datatype, "data")
    except InvalidInput as error:
        return (str(error),)
    return array.dtype, array.shape, array.tobytes()


numbers = (
    st.integers(-300, 300)
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.sampled_from([1e39, 65520.0, True, None, "1"])
)
leaves = st.integers(-3, 3) | st.floats(-10, 10) | numbers
nested = st.recursive(st.lists(leaves, max_size=4), lambda inner: st.lists(inner | leaves, max_size=4), max_leaves=12)
regular = st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 3)).map(lambda dims: np.ones(dims).tolist())


@given(data=nested | regular, datatype=st.sampled_from(DATATYPES), name=st.sampled_from(["x", "x[", "é"]))
def test_any_data_comes_out_the_same(data: Any, datatype: str, name: str) -> None:
    body = json.dumps({"inputs": [{"name": name, "shape": [1], "datatype": datatype, "data": data}]}).encode()
    try:
        careful = parse_object(body)
    except InvalidInput as error:
        with pytest.raises(InvalidInput, match=re.escape(str(error))):
            parse_request(body)
        return

    assert outcome(parse_request(body), datatype) == outcome(careful, datatype)


@pytest.mark.parametrize("data", [[1, 2, 3], [[1, 2], [3, 4]], [[[1], [2]], [[3], [4]]], [], [[], []]])
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "FP16", "INT8", "UINT64"])
def test_regular_numbers_take_the_fast_way(data: Any, datatype: str) -> None:
    body = json.dumps({"id": "[", "inputs": [{"datatype": datatype, "data": data}]}).encode()

    array = parse_request(body)["inputs"][0]["data"]

    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, data)


@pytest.mark.parametrize(
    "data", ["[1,[2]]", "[[1],2]", "[[1,2],[3,4,5],[6]]", "[[1,2],[3]]", "[[[1]],[2]]", "[1,true]", "[1,null]", "[{}]"]
)
def test_what_buffers_would_flatten_is_left_to_the_careful_way(data: str) -> None:
    body = f'{{"inputs":[{{"datatype":"FP32","data":{data}}}]}}'.encode()

    assert parse_request(body) == parse_object(body)


def long(unit: str, size: int = 1 << 18) -> str:
    return ",".join([unit] * (size // (len(unit) + 1)))


@pytest.mark.parametrize("row", ["0.5", "[" + ",".join(["0.5"] * 784) + "]"], ids=["flat", "nested"])
def test_large_bodies_of_numbers_take_the_fast_way(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_tensors, "parse_object", lambda _: pytest.fail("the careful way was taken"))

    array = parse_request(f'{{"inputs":[{{"datatype":"FP32","data":[{long(row)}]}}]}}'.encode())["inputs"][0]["data"]

    assert set(array.ravel()) == {0.5}
    assert array.nbytes > 1 << 17


@pytest.mark.parametrize(
    "body",
    [
        f'{{"inputs":[{{"datatype":"FP32","data":[{long("[1]")}]}}]}}',
        f'{{"inputs":[{long("{}")}]}}',
        f'{{"inputs":[{long("{}")},{{"datatype":"FP32","data":[1]}}]}}',
        f'{{"inputs":[],"outputs":[{long("[]")}]}}',
        f'{{"inputs":[],"outputs":[{long("1")}]}}',
        f'{{"inputs":[],"parameters":{{{long(chr(34) + "a" + chr(34) + ":1")}}}}}',
    ],
)
def test_large_bodies_of_other_things_are_left_to_the_careful_way(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_tensors, "parse_object", lambda given: {"left": given})

    assert parse_request(body.encode()) == {"left": body.encode()}


def test_without_the_library_everything_takes_the_careful_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_tensors, "FAST", False)

    assert parse_request(b'{"inputs":[{"datatype":"FP32","data":[1]}]}')["inputs"][0]["data"] == [1]


def test_a_parser_serves_again_after_a_request_that_it_could_not_read() -> None:
    good = b'{"inputs":[{"datatype":"FP32","data":[1]}]}'
    for _ in range(3):
        with pytest.raises(InvalidInput):
            parse_request(b'{"inputs":[{"datatype":"FP32","data":[1}]}')
        assert isinstance(parse_request(good)["inputs"][0]["data"], np.ndarray)
    assert len(json_tensors.parsers) <= 2
