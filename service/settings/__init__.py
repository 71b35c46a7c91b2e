"""Settings of the service, by flag, environment variable or file: one module for each group of them."""

from service.settings.command_line import load
from service.settings.errors import ConfigurationError
from service.settings.settings import Settings, from_json
from service.settings.variables import CONFIG_VARIABLE, ENV_PREFIX

__all__ = ["CONFIG_VARIABLE", "ENV_PREFIX", "ConfigurationError", "Settings", "from_json", "load"]
