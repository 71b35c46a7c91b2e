"""Query parameters of the paths that have some: none is unknown or repeated, and a boolean is `true` or `false`."""

from fastapi import Request
from pydantic import BeforeValidator

from models.errors import InvalidInput
from models.validation import shorten, suggest


async def require_known(request: Request) -> None:
    """Check that a request has only the query parameters of its route, each at most once. A dependency of routes.

    A route without any ignores them, as the servers of its protocol do: Triton's clients send some of their own.

    Raises:
        InvalidInput: names a parameter that is unknown or repeated, and the known one that is most like it.
    """
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    given = [name for name, _ in request.query_params.multi_items()] if known else []
    for name in given:
        if name not in known:
            raise InvalidInput(f"unknown query parameter, {suggest(name, known)}", shorten(name))
        if given.count(name) > 1:
            raise InvalidInput("given more than once", name)


def _require_true_or_false(value: object) -> object:
    # Left to itself, a boolean takes "1", "yes" and "on" as well.
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError(f"got {shorten(repr(value))}, expected true or false")
    return value


STRICT_BOOLEAN = BeforeValidator(_require_true_or_false)
"""Of a boolean query parameter: it is `true` or `false`."""
