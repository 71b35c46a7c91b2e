"""Files that are replaced as a whole."""

import errno
import os
from pathlib import Path

import pytest

from service.host.state_files import delete_staged, replace_file


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", b"first")
    replace_file(tmp_path / "file", b"second")

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"second"}


def test_on_a_full_disk_the_file_stays_and_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    replace_file(tmp_path / "file", b"first")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "file", b"second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"first"}


def test_what_a_killed_process_left_is_deleted_and_what_another_writes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".abandoned.staged").touch()
    found: list[set[str]] = []

    def look(_: int) -> None:
        delete_staged(tmp_path)
        found.append({path.name for path in tmp_path.iterdir()})

    monkeypatch.setattr(os, "fsync", look)
    replace_file(tmp_path / "file", b"content")

    assert found == [{".file.staged"}]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
