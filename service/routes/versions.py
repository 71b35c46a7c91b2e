"""Endpoints of a model's version: written once, registered for the default version and for one that the path names."""

import re
from collections.abc import Callable
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from typing import Any, Literal, TypeVar

from fastapi import APIRouter
from starlette.convertors import StringConvertor, register_url_convertor

from service.routes.parameters import Version, VersionLabel, VersionOrZero

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_MODEL = re.compile(r"\{model(:\w+)?\}")


class _BeforeVerb(StringConvertor):
    """A part of a path in which no `:predict` or the like follows."""

    regex = "[^/:]+"


register_url_convertor("before_verb", _BeforeVerb())


def for_default_and_named(
    routes: APIRouter,
    method: Literal["GET", "POST", "DELETE"],
    path: str,
    *,
    summary: str,
    find_version: Callable[[str, str], int] | None = None,
    **options: Any,
) -> Callable[[Endpoint], Endpoint]:
    """Decorator that registers an endpoint at two paths, or at three.

    The endpoint has a parameter `version: int | None`, None for the default version of the model. Its docstring is the
    description of all operations, its name the id of the first one; the others' is that with `_version` or `_label`
    behind it.

    Args:
        routes: get both routes.
        method: of all.
        path: for the default version, with `{model}` in it. In the other paths, `/versions/{version}` or
            `/labels/{label}` follows that. `{model:before_verb}` is a path of which no verb is a part.
        summary: for the default version.
        find_version: the version of a model that a label names, for the endpoints of V1, where version 0 is the default
            version; None for all others.
        options: of FastAPI, for all routes.
    """
    found = _MODEL.search(path)
    assert found is not None  # noqa: S101
    head, model, tail, convertor = path[: found.start()], found[0], path[found.end() :], found[1] or ""

    def register(endpoint: Endpoint) -> Endpoint:
        name = endpoint.__name__
        described = {"methods": [method], **options}
        by_default = partial(endpoint, version=None)
        by_name = partial(endpoint)
        by_default.__doc__ = by_name.__doc__ = endpoint.__doc__  # else `partial`'s own would describe the operations
        named = Version if find_version is None else VersionOrZero
        by_default.__signature__, by_name.__signature__ = _signatures(endpoint, named)  # type: ignore[attr-defined]
        routes.add_api_route(path, by_default, name=name, summary=summary, **described)
        routes.add_api_route(
            f"{head}{model}/versions/{{version{convertor}}}{tail}",
            by_name,
            name=f"{name}_version",
            summary=f"{summary} (one version)",
            **described,
        )
        if find_version is not None:
            routes.add_api_route(
                f"{head}{model}/labels/{{label{convertor}}}{tail}",
                _by_label(endpoint, find_version),
                name=f"{name}_label",
                summary=f"{summary} (one label)",
                **described,
            )
        return endpoint

    return register


def _by_label(endpoint: Callable[..., Any], find_version: Callable[[str, str], int]) -> Callable[..., Any]:
    """The endpoint with a label in place of the version."""

    @wraps(endpoint)
    async def call(*, model: str, label: str, **others: Any) -> Any:
        return await endpoint(model=model, version=find_version(model, label), **others)

    written = signature(endpoint)
    label = Parameter("label", Parameter.POSITIONAL_OR_KEYWORD, annotation=VersionLabel)
    parameters = [label if name == "version" else parameter for name, parameter in written.parameters.items()]
    call.__signature__ = written.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call


def _signatures(endpoint: Callable[..., Any], version: Any) -> tuple[Signature, Signature]:
    """What FastAPI reads of each route: without the version, and with one that is validated, of the annotated type."""
    written = signature(endpoint)
    parameters = written.parameters
    without = [parameter for name, parameter in parameters.items() if name != "version"]
    validated = parameters | {"version": parameters["version"].replace(annotation=version, default=Parameter.empty)}
    return written.replace(parameters=without), written.replace(parameters=list(validated.values()))
