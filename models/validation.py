"""Problems that pydantic finds in data, in the form of the project's error messages."""

from collections.abc import Collection, Sequence
from typing import Any, get_args

_MESSAGES = {"missing": "missing", "extra_forbidden": "unknown field"}
"""By pydantic's type of the problem, if its own message does not read on its own."""

_KINDS = {
    "model_attributes_type": "an object",
    "model_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
}
"""What is expected, by pydantic's type of the problem, where its own words are those of Python."""

_SWITCH_VALUES = {"true", "false", "yes", "no", "on", "off", "1", "0"}

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


def describe(problem: Any, *, with_value: bool = True, model: Any = None) -> str:
    """What a problem is: ``got 'x', expected a valid integer``.

    Args:
        problem: one of a `ValidationError`'s `errors()`.
        with_value: whether the message repeats the value, which may be secret.
        model: the annotation of the data. With it, the message of an unknown field has the one that it may have meant.
    """
    if model is not None and problem["type"] == "extra_forbidden":
        *path, name = problem["loc"]
        return describe_unknown(name, fields_at(model, path))
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
    from difflib import get_close_matches  # noqa: PLC0415 - slow to import, and only errors need it

    if near := get_close_matches(name[:_MAX_SHOWN], known, n=1):
        return f"did you mean '{near[0]}'?"
    return f"expected only {sorted(known)}"


def describe_unknown(name: str, known: Collection[str]) -> str:
    """What is wrong with a field that is not one of the known ones."""
    return f"unknown field, {suggest(name, known)}"


def describe_unexpected(arguments: Sequence[str]) -> str:
    """Arguments of a command line that belong to no flag, and what was probably meant."""
    named = ", ".join(f"'{shorten(argument)}'" for argument in arguments)
    if arguments and arguments[0].lower() in _SWITCH_VALUES:
        return f"{named} is not expected: a switch has no value, --name turns it on and --no-name off"
    return f"{named} is not expected: --help shows the arguments"


def fields_at(annotation: Any, path: Sequence[int | str]) -> list[str]:
    """Names of the fields of the models at a place in data.

    Args:
        annotation: of the data: a model, or what has models among its arguments, such as a list or an optional model.
        path: fields and positions in lists.
    """
    kinds = (annotation, *get_args(annotation))
    fields = {name: field for kind in kinds for name, field in getattr(kind, "model_fields", {}).items()}
    if not path:
        return list(fields)
    part, *rest = path
    if isinstance(part, int):
        return [name for kind in get_args(annotation) for name in fields_at(kind, rest)]
    return fields_at(fields[part].annotation, rest) if part in fields else []


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line."""
    return str(error).strip().splitlines()[0][:_MAX_LINE]


def shorten(text: str) -> str:
    """The text, cut off if it is too long for a message."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
