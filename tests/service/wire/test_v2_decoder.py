"""A request that looks like one before is read as if there had been none before."""

import gc
import json
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import Datatype
from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import json_numbers, v2_request
from service.wire.v2_decoder import V2Decoder

OUTPUTS = (TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),)


def specs(datatype: Datatype = "FP32") -> tuple[TensorSpec, ...]:
    return (TensorSpec(name="x", datatype=datatype, shape=(-1, 2)),)


def outcome(read: Any, *arguments: Any, finite: bool = True) -> tuple[Any, ...]:
    try:
        request = read(*arguments, finite=finite)
    except InvalidInput as error:
        return (str(error),)
    array = request.inputs["x"]
    return array.dtype, array.shape, array.tobytes(), *request[1:]


def check(
    reader: V2Decoder, datatype: Datatype, body: bytes, length: str | None = None, *, finite: bool = True
) -> None:
    careful = outcome(v2_request.decode, body, length, specs(datatype), OUTPUTS, finite=finite)
    assert outcome(reader.decode, body, length, finite=finite) == careful


def in_json(data: str, datatype: str = "FP32", shape: str = "[2, 2]", rest: str = "") -> bytes:
    tensor = f'{{"name": "x", "datatype": "{datatype}", "shape": {shape}, "data": {data}}}'
    return f'{{{rest}"inputs": [{tensor}]}}'.encode()


def in_binary(raw: bytes, size: int = 16, rest: str = "") -> tuple[bytes, str]:
    tensor = f'{{"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {{"binary_data_size": {size}}}}}'
    header = f'{{{rest}"inputs": [{tensor}]}}'.encode()
    return header + raw, str(len(header))


numbers = st.integers(-300, 300) | st.integers(-(2**65), 2**65) | st.floats() | st.sampled_from([1e39, True, None, "1"])
lists = st.recursive(
    st.lists(st.integers(-3, 3) | numbers, max_size=5),
    lambda inner: st.lists(inner | numbers, max_size=3),
    max_leaves=6,
)
fitting = st.tuples(*[st.floats(-9, 9) | st.integers(0, 99)] * 4)
data = lists | fitting.map(list) | fitting.map(lambda four: [four[:2], four[2:]])


@given(
    first=st.sampled_from(["[1, 2, 3, 4]", "[[1, 2], [3, 4]]", "[[1,2],[3,4]]"]),
    then=st.lists(data, min_size=1, max_size=4),
    datatype=st.sampled_from(["FP32", "FP16", "INT8", "UINT64", "BOOL", "BYTES"]),
    finite=st.booleans(),
)
def test_other_numbers_come_out_the_same(first: str, then: list[Any], datatype: Datatype, finite: bool) -> None:
    reader = V2Decoder(specs(datatype), OUTPUTS)
    for text in (first, *map(json.dumps, then)):
        check(reader, datatype, in_json(text, datatype), finite=finite)


@given(place=st.floats(0, 1), junk=st.binary(max_size=12), nested=st.booleans())
def test_a_request_that_is_damaged_comes_out_the_same(place: float, junk: bytes, nested: bool) -> None:
    good = in_json("[[1, 2], [3, 4]]" if nested else "[1, 2, 3, 4]")
    at = round(place * len(good))
    reader = V2Decoder(specs(), OUTPUTS)

    check(reader, "FP32", good)
    check(reader, "FP32", good[:at] + junk + good[at + len(junk) :])
    check(reader, "FP32", good[:at] + junk + good[at:])


@pytest.mark.parametrize(
    "rest",
    [
        '"id": "a", ',
        '"id": "b", ',
        '"parameters": {"data": [1, 2, 3, 4]}, ',
        '"parameters": {"data": [[1, 2], [3]]}, ',
        '"parameters": {"\\u0064ata": [1, 2]}, ',
        '"parameters": {"x": "\\"data\\": [1]"}, ',
        '"parameters": {"priority": 3, "timeout": 5, "binary_data_output": true}, ',
        '"outputs": [{"name": "y", "parameters": {"classification": 1}}], ',
        '"outputs": [{"name": "z"}], ',
    ],
)
def test_what_stands_around_the_numbers_counts(rest: str) -> None:
    reader = V2Decoder(specs(), OUTPUTS)
    for _ in range(2):
        check(reader, "FP32", in_json("[1, 2, 3, 4]"))
        check(reader, "FP32", in_json("[1, 2, 3, 4]", rest=rest))
        check(reader, "FP32", in_json("[5, 6, 7, 8]", rest=rest))
        check(reader, "FP32", in_json("[5, 6]", shape="[1, 2]", rest=rest))


@pytest.mark.parametrize("twice", ['"data": [9], "data": [1, 2, 3, 4]', '"data": [1, 2, 3, 4], "data": [9]'])
def test_data_that_is_given_twice(twice: str) -> None:
    reader = V2Decoder(specs(), OUTPUTS)
    body = f'{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": [2, 2], {twice}}}]}}'.encode()
    for _ in range(3):
        check(reader, "FP32", body)


@given(raw=st.binary(max_size=20) | st.binary(min_size=16, max_size=16), finite=st.booleans())
def test_other_bytes_come_out_the_same(raw: bytes, finite: bool) -> None:
    reader = V2Decoder(specs(), OUTPUTS)
    for tail in (bytes(16), raw, bytes(16)):
        check(reader, "FP32", *in_binary(tail), finite=finite)
        check(reader, "FP32", *in_binary(tail, size=8), finite=finite)


@pytest.mark.parametrize("length", ["0", "3", "-1", "99999", "x"])
def test_the_length_of_the_header_counts(length: str) -> None:
    reader = V2Decoder(specs(), OUTPUTS)
    body, right = in_binary(np.arange(4, dtype=np.float32).tobytes())
    for _ in range(2):
        check(reader, "FP32", body, right)
        check(reader, "FP32", body, length)


def test_what_is_known_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simdjson", reason="the fast path needs pysimdjson, which this Python has no wheel of")
    reader = V2Decoder(specs(), OUTPUTS)
    flat, nested, raw = in_json("[1, 2, 3, 4]"), in_json("[[1, 2], [3, 4]]"), in_binary(bytes(16))
    for body, length in ((flat, None), (nested, None), raw):
        reader.decode(body, length)
    monkeypatch.setattr(v2_request, "decode", None)

    assert reader.decode(in_json("[5, 6, 7, 8]"), None).inputs["x"].tolist() == [[5, 6], [7, 8]]
    assert reader.decode(in_json("[[5, 6], [7, 8]]"), None).inputs["x"].tolist() == [[5, 6], [7, 8]]
    assert reader.decode(*in_binary(np.ones(4, np.float32).tobytes())).inputs["x"].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("nested", [False, True])
def test_large_bodies_are_known_as_well(nested: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simdjson", reason="the fast path needs pysimdjson, which this Python has no wheel of")
    reader = V2Decoder(specs(), OUTPUTS)
    rows = np.random.default_rng(0).random((9000, 2), dtype=np.float32)
    lists = [(sent if nested else sent.ravel()).tolist() for sent in (rows, -rows)]
    bodies = [in_json(json.dumps(data), shape="[9000, 2]") for data in lists]
    assert all(1 << 18 < len(body) < 1 << 19 for body in bodies)
    reader.decode(bodies[0], None)
    monkeypatch.setattr(v2_request, "decode", None)

    np.testing.assert_array_equal(reader.decode(bodies[1], None).inputs["x"], -rows)


def test_lists_that_are_not_those_of_the_shape_get_no_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simdjson", reason="the fast path needs pysimdjson, which this Python has no wheel of")
    reader = V2Decoder(specs(), OUTPUTS)
    reader.decode(in_json("[[1, 2], [3, 4]]"), None)
    monkeypatch.setattr(json_numbers, "to_array", lambda *_: pytest.fail("it was parsed"))

    check(reader, "FP32", in_json("[[]," + "[]," * 1000 + "[]]"))


def test_little_is_remembered() -> None:
    reader = V2Decoder(specs(), OUTPUTS, max_templates=3)
    for i in range(10):
        reader.decode(in_json("[1, 2, 3, 4]", rest=f'"parameters": {{"x": {i}}}, '), None)
        reader.decode(*in_binary(bytes(16), rest=f'"parameters": {{"x": {i}}}, '))
        reader.decode(in_json("[1, 2, 3, 4]", rest=f'"parameters": {{"x": "{"y" * 5000}"}}, '), None)
        reader.decode(in_json("[1, 2, 3, 4]", rest=f'"id": "{i}", '), None)

    assert all(0 < count <= 3 for count in reader.template_counts)


@pytest.mark.parametrize("form", [(in_json("[1, 2, 3, 4]"), None), in_binary(bytes(16))], ids=["JSON", "binary"])
def test_numbers_are_not_remembered(form: tuple[bytes, str | None]) -> None:
    reader = V2Decoder(specs(), OUTPUTS)
    array = weakref.ref(reader.decode(*form).inputs["x"])
    gc.collect()

    assert array() is None
    assert sum(reader.template_counts) == 1
