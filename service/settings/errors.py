"""What is wrong with the settings, for the person who wrote them."""


class ConfigurationError(Exception):
    """The settings are invalid. The message is for the person who wrote them."""
