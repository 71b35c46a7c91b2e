"""Flags in their plain form, without the library that parses all others: to import that takes a tenth of a start."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo


def read_plain_flags(arguments: Sequence[str], fields: Mapping[str, FieldInfo]) -> dict[str, Any] | None:
    """The flags by name of the field, with the values that `service.host.flags` gives.

    Plain are ``--name value``, ``--name=value``, ``--switch`` and ``--no-switch``, each once.

    Args:
        arguments: the command line without the name of the program.
        fields: of the settings class.

    Returns:
        Text, or whether a switch is on; None where an argument is not plain.
    """
    given: dict[str, Any] = {}
    left = list(arguments)
    while left:
        flag, has_value, value = left.pop(0).partition("=")
        negated = flag.startswith("--no-")
        name = flag.removeprefix("--no-" if negated else "--").replace("-", "_")
        info = fields.get(name)
        if info is None or name in given or "_" in flag or not flag.startswith("--"):
            return None
        if info.annotation is bool:
            if has_value:
                return None
            given[name] = not negated
            continue
        if not has_value and left:
            value = left.pop(0)
        choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else (value,)
        if negated or not value or value.startswith("-") or value not in choices:
            return None
        given[name] = value
    return given
