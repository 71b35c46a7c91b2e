"""Settings by flag, environment and file."""

import os
from pathlib import Path

import pytest

from service import settings
from service.settings import ConfigurationError, Settings

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(settings.ENV_PREFIX):
            monkeypatch.delenv(name)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "denge.toml"
    file.write_text('port = 1\nthreads = 2\nlog_level = "debug"\n')
    monkeypatch.setenv("DENGE_CONFIG", str(file))
    monkeypatch.setenv("DENGE_PORT", "3")
    monkeypatch.setenv("DENGE_THREADS", "4")

    chosen = settings.load(["--threads", "5"])

    assert (chosen.threads, chosen.port, chosen.log_level, chosen.host) == (5, 3, "debug", "127.0.0.1")


def test_limits_are_in_bytes_and_pixels() -> None:
    chosen = settings.load(["--max-body-mib", "2", "--max-image-megapixels", "0.5"])

    assert (chosen.max_body_bytes, chosen.max_image_pixels) == (2 * 1024 * 1024, 500_000)


@pytest.mark.parametrize(("name", "value"), [("DENGE_PROT", "1"), ("denge_hots", "x"), ("DENGE_", "x")])
def test_a_misspelt_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=f"{name} is not a setting"):
        settings.load([])


@pytest.mark.parametrize(("text", "words"), [("prot = 1", "prot"), ("port = 'x'", "port"), ("port =", "Invalid value")])
def test_a_wrong_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "denge.toml"
    file.write_text(text)
    monkeypatch.setenv("DENGE_CONFIG", str(file))

    with pytest.raises(ConfigurationError, match=words):
        settings.load()


def test_a_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENGE_CONFIG", "/no/such/file")

    with pytest.raises(ConfigurationError, match="does not exist"):
        settings.load()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    text = DOCUMENTATION.read_text()

    assert f"`--{name.replace('_', '-')}`" in text
    assert f"`DENGE_{name.upper()}`" in text
    description = Settings.model_fields[name].description
    assert description is not None
    assert description in text
