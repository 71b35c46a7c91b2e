"""Command-line flags of a settings class: parsing, help and shell completion."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_origin

from cyclopts import App, Parameter
from pydantic.fields import FieldInfo


def build_app(name: str, about: str, fields: Mapping[str, FieldInfo], run: Callable[[dict[str, Any]], Any]) -> App:
    """An application with a flag for each field.

    Values stay text, except switches, and are not validated: the settings class does that, whatever a value comes from.

    Args:
        name: of the command.
        about: its help.
        fields: of the settings class, with descriptions.
        run: called with the flags that were given, by name of the field. Its result is that of the application.
    """

    def command(**given: Any) -> Any:
        return run({field: value for field, value in given.items() if value is not None})

    command.__doc__ = about
    parameters = [_parameter(field, info) for field, info in fields.items()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = App(name=name, help=about, help_format="plaintext", version_flags=[], result_action="return_value")
    app.default(command)
    return app


def describe_default(info: FieldInfo) -> str:
    """The default of a setting, for people; empty where it has none. A function that computes it says what it is."""
    if info.default_factory is not None:
        return inspect.getdoc(info.default_factory) or ""
    if isinstance(info.default, bool):
        return "yes" if info.default else "no"
    return "" if info.default is None else str(info.default)


def _parameter(name: str, info: FieldInfo) -> inspect.Parameter:
    default = describe_default(info)
    about = f"{info.description} [default: {default}]" if default else info.description
    options = Parameter(help=about, show_default=False)
    kind: Any = bool if info.annotation is bool else info.annotation if get_origin(info.annotation) is Literal else str
    annotation: Any = Annotated[kind | None, options]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
