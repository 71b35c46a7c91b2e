"""Kinds of values that settings of several groups have."""

import pytest

from service.settings import ConfigurationError, Settings

PATHS = [name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)]


@pytest.mark.parametrize("name", PATHS)
def test_an_empty_path_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a variable that is not set, in a shell or a Compose file: it was the working directory."""
    monkeypatch.setenv(f"DENGE_{name.upper()}", "")

    with pytest.raises(ConfigurationError, match=f"{name}: expected a (path; leave the setting out|folder, or a URL)"):
        Settings.from_flags({})
