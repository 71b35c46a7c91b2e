"""Requests that are recognised when they come again with other numbers."""

from typing import TypeVar

Key = TypeVar("Key")
Template = TypeVar("Template")

MAX_TEMPLATE_BYTES = 1 << 12
"""Longer texts around the numbers are not remembered."""


class Templates(dict[Key, Template]):
    """Validated requests without their numbers, by what is recognised.

    Args:
        max_templates: how many are remembered; when there are more, all are forgotten.
    """

    def __init__(self, max_templates: int) -> None:
        super().__init__()
        self._max_templates = max_templates

    def remember(self, key: Key, template: Template) -> None:
        """Remember a request."""
        if len(self) >= self._max_templates:
            self.clear()
        self[key] = template
