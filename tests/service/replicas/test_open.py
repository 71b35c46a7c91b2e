"""Which store the settings choose."""

import sys
from pathlib import Path

import pytest

from service import settings
from service.replicas.open import open_store
from service.settings import ConfigurationError


def name_of(*arguments: str) -> str:
    return open_store(settings.load(arguments)).name


def test_one_process_has_memory_and_several_a_file(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path))
    assert name_of() == name_of("--store", "memory") == "memory"
    assert name_of("--workers", "2", *state) == name_of("--store", "sqlite", *state)
    assert name_of("--store", "sqlite", *state) == f"SQLite at {tmp_path / 'store.sqlite'}"
    assert name_of("--store", "valkey://cache/3") == "Valkey at cache, database 3"


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("postgres://cache", "expected memory, sqlite, or a URL"),
        ("redis://", "expected memory, sqlite, or a URL"),
        ("redis://:a-password@cache", "set DENGE_STORE_PASSWORD_FILE"),
    ],
)
def test_other_stores_are_refused_without_repeating_a_password(store: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        settings.load(["--store", store])

    assert "a-password" not in str(refused.value)


def test_workers_that_would_not_know_of_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="memory is for one process"):
        settings.load(["--workers", "2", "--store", "memory"])


def test_a_database_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^store: "):
        name_of("--store", "redis://cache/first?db=x")


def test_a_store_whose_client_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.replicas.valkey", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'denge\[redis\]'"):
        name_of("--store", "redis://cache")


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^store_password_file: "):
        name_of("--store", "redis://cache", "--store-password-file", str(tmp_path / "none"))


@pytest.mark.parametrize("address", ["10.0.0.7:8000", "ftp://replica", "http://"])
def test_an_address_that_is_no_url_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^replica_address: .*expected a URL with a host"):
        settings.load(["--replica-address", address])
