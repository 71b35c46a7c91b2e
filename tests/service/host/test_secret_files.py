"""Files hold valid credentials or are refused; a missing token is created for its owner alone."""

import stat
from pathlib import Path

import pytest

from service.host.credentials import validate_token
from service.host.secret_files import read_keys, read_or_create_token, read_signing_key

GOOD = "0123456789abcdef"
OTHER = "fedcba9876543210"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_a_missing_token_is_created_for_its_owner_alone_and_stays(file: Path) -> None:
    token = read_or_create_token(file)

    validate_token(token)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_create_token(file) == token
    assert read_or_create_token(file.with_name("other")) != token


def test_a_token_that_is_there_is_read(file: Path) -> None:
    file.write_text(f"  {GOOD}\n")

    assert read_or_create_token(file) == GOOD


@pytest.mark.parametrize("content", [b"", f"{GOOD}\n{OTHER}\n".encode(), b"short", b"\xff" * 20])
def test_a_file_without_one_valid_token_is_refused_and_left_as_it_is(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(ValueError):
        read_or_create_token(file)
    assert file.read_bytes() == content


def test_no_token_is_created_through_a_symbolic_link(file: Path, tmp_path: Path) -> None:
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="secret"):
        read_or_create_token(file)
    assert not (tmp_path / "elsewhere").exists()


def test_keys_are_one_a_line(file: Path) -> None:
    file.write_text(f"{GOOD}\n\n{OTHER}\n")

    assert read_keys(file) == [GOOD, OTHER]


@pytest.mark.parametrize(("content", "reason"), [("\n", "holds no key"), (f"{GOOD}\nshort\n", "at least 16")])
def test_a_file_without_valid_keys_is_refused(file: Path, content: str, reason: str) -> None:
    file.write_text(content)

    with pytest.raises(ValueError, match=reason):
        read_keys(file)


def test_keys_are_never_created(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_keys(file)
    assert not file.exists()


def test_a_webhook_secret_is_read_without_its_line_break(file: Path) -> None:
    file.write_text(f"{GOOD}\n")

    assert read_signing_key(file) == GOOD.encode()
