"""Large JSON bodies give what small ones give, or are refused by what is in them besides long lists and strings."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput, TooLarge
from service.wire import json_skeleton
from service.wire.json_arrays import to_array
from service.wire.json_object import parse_object, require_list
from service.wire.long_list import LongList
from service.wire.pieces import LARGE_BYTES
from tests.faults.attacks.bodies import HOSTILE_BODIES, V1, V2

NUMBERS = list(range(1000))

texts = st.text(max_size=5) | st.sampled_from(['"', "\\", '\\"', "{[", "]}", "a" * 600, "é" * 600, '\\"' * 300])
values = st.recursive(
    texts | st.integers(-5, 5) | st.just(NUMBERS) | st.just([NUMBERS, NUMBERS]) | st.none() | st.booleans(),
    lambda inner: (
        st.dictionaries(texts, inner, max_size=3)
        | st.lists(st.dictionaries(texts, inner, max_size=2) | texts | st.none(), max_size=3)
    ),
    max_leaves=8,
)


def plain(value: Any) -> Any:
    """The value with lists in the place of long ones."""
    match value:
        case LongList():
            return to_array(value, "INT64", "data").tolist()
        case list():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case _:
            return value


@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_any_value_comes_out_as_it_is(value: Any, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert plain(json_skeleton.parse(body)) == value


def test_long_lists_are_left_to_who_knows_their_type() -> None:
    request = parse_object(json.dumps({"id": 'a"[\\', "data": list(range(LARGE_BYTES))}).encode())

    assert request["id"] == 'a"[\\'
    assert isinstance(request["data"], LongList)
    with pytest.raises(InvalidInput, match=r"shape: got a list of \d+ bytes, expected a list that is shorter"):
        require_list(request["data"], "shape")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"a":' * 50_000, "values"),
        (b'{"a":[' + b"{}," * 50_000 + b"{}]}", "values"),
        (b'{"a":[' + b'"x",' * 50_000 + b'"x"]}', "values"),
        (b'{"a":"' + b"\\n" * 300_000 + b'"}', "values"),
        (b'{"a":' + b" " * (2 << 20) + b"1}", "bytes besides"),
        (b'{"a":"' + b"a" * (9 << 20) + b'"}', "string of"),
    ],
)
def test_what_would_become_many_objects_is_refused_before_it_is_parsed(
    body: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_skeleton, "parse_small", lambda _: pytest.fail("the body was parsed"))

    with pytest.raises(TooLarge, match=message):
        parse_object(body)


@pytest.mark.parametrize(
    "text", [b'{"a":"' + b"x" * 80_000 + b'\x01"}', b'{"a":"' + b"x" * 80_000 + b'\xff"}', b'{"a":"' + b"x" * 80_000]
)
def test_a_long_string_that_is_not_valid_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="body: not valid JSON"):
        parse_object(text)


def test_deep_nesting_around_a_long_list_is_refused() -> None:
    body = b'{"a":' * 60 + json.dumps(np.zeros(LARGE_BYTES).tolist()).encode() + b"}" * 60

    with pytest.raises(InvalidInput, match="nests deeper than 32"):
        parse_object(body)


@pytest.mark.parametrize("name", [name for name in HOSTILE_BODIES if not name.startswith("gzip")])
def test_hostile_bodies_are_refused_or_have_little_in_them(name: str) -> None:
    path, headers, body = HOSTILE_BODIES[name](1 << 20)
    if path not in {V1, V2} or "inference-header-content-length" in headers:
        return
    try:
        request = parse_object(body)
    except InvalidInput:
        return

    assert len(json.dumps(request, default=lambda _: None)) <= 9 << 20
