"""The paths of predictions, by dialect."""

import re
from functools import lru_cache
from typing import NamedTuple


class PathTemplates(NamedTuple):
    """Templates of the paths of one dialect.

    Attributes:
        default: for the version that answers by default.
        version: for a version that is named.
    """

    default: str
    version: str


PREDICTIONS = {
    "v2": PathTemplates("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"),
    "v1": PathTemplates("/v1/models/{model}:predict", "/v1/models/{model}/versions/{version}:predict"),
    "classify": PathTemplates("/v1/models/{model}:classify", "/v1/models/{model}/versions/{version}:classify"),
    "regress": PathTemplates("/v1/models/{model}:regress", "/v1/models/{model}/versions/{version}:regress"),
    "labelled": PathTemplates("/v2/models/{model}/predict", "/v2/models/{model}/versions/{version}/predict"),
    "generated": PathTemplates("/v2/models/{model}/generate", "/v2/models/{model}/versions/{version}/generate"),
}
"""By name of the dialect."""

_MAX_URL_BYTES = 256


class Address(NamedTuple):
    """What the path of a prediction names.

    Attributes:
        path: itself.
        route: the template of the path.
        dialect: name of the dialect.
        model: name of the model.
        version: None for the version that answers by default.
    """

    path: str
    route: str
    dialect: str
    model: str
    version: int | None


def _pattern(template: str) -> re.Pattern[str]:
    pattern = template.replace("{model}", "(?P<model>[^/]+)").replace("{version}", "(?P<version>[1-9][0-9]{0,17})")
    return re.compile(pattern)


_PATTERNS = [
    (_pattern(template), template, dialect) for dialect, templates in PREDICTIONS.items() for template in templates
]


@lru_cache(maxsize=256)
def parse_url(url: bytes) -> Address | None:
    """What a URL names, as it was sent. None where it is no prediction's path, or has escapes or a query."""
    if len(url) > _MAX_URL_BYTES or b"%" in url or b"?" in url or not url.isascii():
        return None
    path = url.decode("ascii")
    for pattern, template, dialect in _PATTERNS:
        if found := pattern.fullmatch(path):
            parts = found.groupdict()
            version = parts.get("version")
            return Address(path, template, dialect, parts["model"], None if version is None else int(version))
    return None
