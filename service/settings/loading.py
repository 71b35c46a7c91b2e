"""Loads settings from flags, environment and file. Nothing else reads the environment."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from models.validation import describe, field_of, suggest
from service.settings.errors import ConfigurationError
from service.settings.variables import CONFIG_VARIABLE, ENV_PREFIX

_SECRET = {"admin_token", "api_keys", "repository", "ssl_keyfile_password", "store", "webhook_secret", "webhook_url"}
"""Settings whose values no message repeats. The URLs may have a password in them."""


class Loaded(BaseModel):
    """What is given by flags, environment variables and the file that a variable names."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def from_flags(cls, given: Mapping[str, Any]) -> Self:
        """The settings from flags, environment and file.

        Args:
            given: flags by name of the setting, as text; switches as booleans.

        Raises:
            ConfigurationError: a value is invalid, or a name is not a setting.
        """
        _refuse_unknown_variables(os.environ, cls.model_fields)
        try:
            return cls(**given)
        except ValidationError as error:
            # A default that follows from other settings is not found either: that is no problem of its own.
            problems = [problem for problem in error.errors() if problem["type"] != "default_factory_not_called"]
            raise ConfigurationError("\n".join(_describe(problem, cls.model_fields) for problem in problems)) from error

    @model_validator(mode="before")
    @classmethod
    def _add_environment_and_file(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Flags, then environment, then file: the first with a value wins."""
        names = _names_by_variable(cls.model_fields)
        variables = {names[name.upper()]: value for name, value in os.environ.items() if name.upper() in names}
        return {**_read_file(), **variables, **given}


def _names_by_variable(settings: Iterable[str]) -> dict[str, str]:
    return {f"{ENV_PREFIX}{name}".upper(): name for name in settings}


def _read_file() -> dict[str, Any]:
    if not (file := os.environ.get(CONFIG_VARIABLE)):
        return {}
    import tomllib  # noqa: PLC0415 - slow to import, and most services have no file

    try:
        return tomllib.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{CONFIG_VARIABLE}: the file {file} cannot be read: {reason}") from error


def _refuse_unknown_variables(environ: Iterable[str], settings: Iterable[str]) -> None:
    # Others belong to other programs; a misspelt one would have no effect.
    known = {*_names_by_variable(settings), CONFIG_VARIABLE}
    unknown = sorted(name for name in environ if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is not a setting, {suggest(unknown[0].upper(), sorted(known))}")


def _describe(problem: Any, fields: Collection[str]) -> str:
    name = field_of(problem)
    if problem["type"] == "extra_forbidden":
        return f"{name} is not a setting, {suggest(name, fields)}"
    if not name:  # of several settings, secrets among them
        return describe(problem, with_value=False)
    return f"{name}: {describe(problem, with_value=name not in _SECRET)}"
