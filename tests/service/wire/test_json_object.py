"""Members of JSON objects: a value of another type is refused by its place, and never converted."""

from collections.abc import Callable
from typing import Any

import pytest

from models.errors import InvalidInput
from service.wire import json_object

READERS: dict[str, tuple[Callable[..., Any], list[Any], list[Any]]] = {
    "object": (json_object.require_object, [{}, {"a": 1}], [[], None, "x", 1, True]),
    "list": (json_object.require_list, [[], [1]], [{}, None, "x", 1, True]),
    "string": (json_object.require_string, ["", "x"], [{}, [], None, 1, True]),
    "boolean": (json_object.require_boolean, [True, False], [{}, [], None, "true", 1, 0]),
    "number": (
        json_object.require_number,
        [1, 0, -1.5],
        [{}, [], None, "1", True, float("nan"), float("inf"), 10**400],
    ),
}


@pytest.mark.parametrize(("read", "good", "bad"), READERS.values(), ids=READERS.keys())
def test_only_values_of_the_type_pass(read: Callable[..., Any], good: list[Any], bad: list[Any]) -> None:
    assert [read(value, "field") for value in good] == good
    for value in bad:
        with pytest.raises(InvalidInput, match=r"^field: (got .+|missing or null), expected .+") as caught:
            read(value, "field")
        assert caught.value.field == "field"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "field: got 0, expected an integer from 1 to 3"),
        (4, "field: got 4, expected an integer from 1 to 3"),
        (2.0, "field: got 2.0, expected an integer from 1 to 3"),
        (True, "field: got a boolean, expected an integer from 1 to 3"),
        ("2", "field: got '2', expected an integer from 1 to 3"),
        ("x" * 99, "field: got a string, expected an integer from 1 to 3"),
        (None, "field: missing or null, expected an integer from 1 to 3"),
    ],
)
def test_an_integer_has_bounds(value: Any, message: str) -> None:
    assert json_object.require_integer(2, "field", 1, 3) == 2
    assert json_object.require_integer(2**40, "field", 1) == 2**40
    with pytest.raises(InvalidInput) as caught:
        json_object.require_integer(value, "field", 1, 3)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", ["c", "", None, ["a"], 1])
def test_a_choice_is_one_of_several(value: Any) -> None:
    assert json_object.require_choice("a", "field", ("a", "b")) == "a"
    with pytest.raises(InvalidInput, match=r"^field: (got .+|missing or null), expected one of \['a', 'b'\]"):
        json_object.require_choice(value, "field", ("a", "b"))


def test_an_unknown_member_is_named() -> None:
    json_object.require_known({"a": 1}, ("a", "b"))
    with pytest.raises(InvalidInput, match=r"^x: unknown field, expected only \['a', 'b'\]"):
        json_object.require_known({"a": 1, "x": 1, "y": 1}, ("a", "b"))
    with pytest.raises(InvalidInput, match=r"^gama: unknown field, did you mean 'gamma'\?"):
        json_object.require_known({"gama": 1}, ("beta", "gamma"))
