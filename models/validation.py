"""Problems that pydantic finds in data, in the form of the project's error messages."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

_MESSAGES = {"missing": "missing", "extra_forbidden": "unknown field"}
"""By pydantic's type of the problem, if its own message does not read on its own."""

_KINDS = {
    "model_attributes_type": "an object",
    "model_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
}
"""What is expected, by pydantic's type of the problem, where its own words are those of Python."""

_MAX_LINE = 300
"""Characters of such a line."""

_MAX_SHOWN = 60
"""Characters of a value that a message repeats."""


def field_of(problem: Any) -> str:
    """Where a problem is, as a path: ``parameters.prior``, ``labels[0]``. Empty if it concerns the whole.

    Args:
        problem: one of a `ValidationError`'s `errors()`.
    """
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    return "".join(parts).removeprefix(".")


def describe(problem: Any, *, with_value: bool = True) -> str:
    """What a problem is: ``got 'x', expected a valid integer``.

    Args:
        problem: one of a `ValidationError`'s `errors()`.
        with_value: whether the message repeats the value, which may be secret.
    """
    if problem["type"] in _MESSAGES:
        return _MESSAGES[problem["type"]]
    message = str(problem["msg"]).removeprefix("Value error, ")
    expected = message.removeprefix("Input should be ")
    if expected == message:
        return message
    expected = _KINDS.get(problem["type"], expected.partition(", unable to ")[0])
    return f"got {shorten(repr(problem['input']))}, expected {expected}" if with_value else f"expected {expected}"


def suggest(name: str, known: Collection[str]) -> str:
    """What an unknown name may have meant: ``did you mean 'window'?``, or all that is known."""
    if near := get_close_matches(name[:_MAX_SHOWN], known, n=1):
        return f"did you mean '{near[0]}'?"
    return f"expected only {sorted(known)}"


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line."""
    return str(error).strip().splitlines()[0][:_MAX_LINE]


def shorten(text: str) -> str:
    """The text, cut off if it is too long for a message."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
