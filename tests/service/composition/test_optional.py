"""Parts that are built where they are asked for, and whose packages may be missing."""

import sys
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.composition.tracing import open_tracing
from service.settings import ConfigurationError, Settings


@pytest.mark.parametrize(
    ("asked", "module", "extra"),
    [
        ({"traces": "otlp"}, "service.telemetry.tracing", "otel"),
        ({"grpc_port": 0}, "service.grpc.build", "grpc"),
    ],
)
def test_what_is_not_installed_is_named_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: dict[str, Any], module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (setting,) = asked

    with pytest.raises(ConfigurationError, match=rf"^{setting}: .* is not installed: pip install 'denge\[{extra}\]'"):
        create_app(Settings(repository=tmp_path, **asked))
    create_app(Settings(repository=tmp_path))


def test_nothing_is_traced_by_default() -> None:
    assert open_tracing(Settings()) is None
