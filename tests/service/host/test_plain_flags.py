"""Flags that are read without the library."""

from itertools import product
from typing import Any

from service.host.flags import build_app
from service.host.plain_flags import read_plain_flags
from tests.service.host.test_flags import Example

WORDS = ["--max-rows", "4", "--max-rows=4", "--max_rows=4", "--watch", "--no-watch", "--watch=false", "--no-max-rows"]
WORDS += ["--color", "red", "RED", "--color=green", "--token", "-x", "--token=", "--token=a=b", "--help", "word", "--"]


def read_all(*arguments: str) -> Any:
    """What the library reads."""
    app = build_app("example", "An example.", Example.model_fields, lambda given: given)
    return app(arguments, exit_on_error=False, print_error=False)


def test_flags_have_the_values_that_the_library_gives() -> None:
    plain = [
        (arguments, found)
        for length in range(4)
        for arguments in product(WORDS, repeat=length)
        if (found := read_plain_flags(arguments, Example.model_fields)) is not None
    ]

    assert len(plain) > 100
    for arguments, found in plain:
        assert found == read_all(*arguments)


def test_whatever_else_is_left_to_the_library() -> None:
    for arguments in (["--help"], ["--max-row", "1"], ["--color", "gren"], ["--max-rows"], ["--watch", "--watch"]):
        assert read_plain_flags(arguments, Example.model_fields) is None
