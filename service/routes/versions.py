"""Endpoints of a model's version: written once, registered for the default version and for one that the path names."""

from collections.abc import Callable
from functools import partial
from inspect import Parameter, Signature, signature
from typing import Any, Literal, TypeVar

from fastapi import APIRouter

from service.routes.parameters import Version

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_MODEL = "{model}"


def for_default_and_named(
    routes: APIRouter,
    method: Literal["GET", "POST"],
    path: str,
    *,
    summary: str,
    **options: Any,
) -> Callable[[Endpoint], Endpoint]:
    """Decorator that registers an endpoint at two paths.

    The endpoint has a parameter `version: int | None`, None for the default version of the model. Its docstring is the
    description of both operations, its name the id of the first one; the other id is that with `_version` behind it.

    Args:
        routes: get both routes.
        method: of both.
        path: for the default version, with `{model}` in it. In the other path, `/versions/{version}` follows that.
        summary: for the default version.
        options: of FastAPI, for both routes.
    """
    head, tail = path.split(_MODEL)

    def register(endpoint: Endpoint) -> Endpoint:
        name = endpoint.__name__
        described = {"methods": [method], **options}
        by_default = partial(endpoint, version=None)
        by_name = partial(endpoint)
        by_default.__doc__ = by_name.__doc__ = endpoint.__doc__  # else `partial`'s own would describe the operations
        by_default.__signature__, by_name.__signature__ = _signatures(endpoint)  # type: ignore[attr-defined]
        routes.add_api_route(path, by_default, name=name, summary=summary, **described)
        routes.add_api_route(
            f"{head}{_MODEL}/versions/{{version}}{tail}",
            by_name,
            name=f"{name}_version",
            summary=f"{summary} (one version)",
            **described,
        )
        return endpoint

    return register


def _signatures(endpoint: Callable[..., Any]) -> tuple[Signature, Signature]:
    """What FastAPI reads of each route: without the version, and with one that is validated."""
    written = signature(endpoint)
    parameters = written.parameters
    without = [parameter for name, parameter in parameters.items() if name != "version"]
    validated = parameters | {"version": parameters["version"].replace(annotation=Version, default=Parameter.empty)}
    return written.replace(parameters=without), written.replace(parameters=list(validated.values()))
