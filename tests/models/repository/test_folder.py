"""Folders that several processes change at once."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from models.errors import StorageError
from models.repository.folder import locked, make_folder, staging
from models.repository.repository import Repository
from tests.bundles import tiny_bundle


def hidden(root: Path) -> list[Path]:
    return list(root.rglob(".*"))


def test_the_names_of_all_folders_that_are_made_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def record(descriptor: int) -> None:
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(f"{folder.name}: {sorted(path.name for path in folder.iterdir())}")

    monkeypatch.setattr(os, "fsync", record)
    make_folder(tmp_path / "above" / "repository")
    make_folder(tmp_path / "above" / "repository")

    assert synced == [f"{tmp_path.name}: ['above']", "above: ['repository']"]


def test_a_new_repository_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync
    synced: set[Path] = set()

    def record(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    Repository(tmp_path / "above" / "repository").publish(tiny_bundle())

    root = tmp_path / "above" / "repository"
    assert synced >= {tmp_path, tmp_path / "above", root, root / "tiny"}


def test_a_staging_folder_is_hidden_and_deleted_afterwards(tmp_path: Path) -> None:
    with staging(tmp_path) as staged:
        (staged / "file").touch()
        assert staged.parent == tmp_path
        assert staged.name.startswith(".")

    assert hidden(tmp_path) == []


def test_it_is_deleted_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), staging(tmp_path):
        raise KeyError

    assert hidden(tmp_path) == []


def test_what_was_renamed_out_of_it_stays(tmp_path: Path) -> None:
    with staging(tmp_path) as staged:
        (staged / "file").write_text("kept")
        (staged / "file").rename(tmp_path / "file")

    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    with staging(tmp_path) as first:
        (first / "file").touch()
        with staging(tmp_path) as second:
            assert second != first
        assert (first / "file").exists()

    assert hidden(tmp_path) == []


def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    abandoned = tmp_path / ".incoming-0123456789abcdef"
    abandoned.mkdir()
    (abandoned / "source.onnx").touch()

    with staging(tmp_path):
        assert not abandoned.exists()


def test_a_file_of_such_a_name_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".incoming-file").touch()

    with staging(tmp_path) as staged:
        assert staged.is_dir()


def test_a_folder_deleted_before_it_was_opened_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ = os.open
    deleted: list[object] = []

    def delete_first(path: str | Path, flags: int, *more: int, **options: object) -> int:
        if ".incoming-" in str(path) and not deleted:
            deleted.append(path)
            shutil.rmtree(path)
        return open_(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", delete_first)

    with staging(tmp_path) as staged:
        assert staged.is_dir()
        assert deleted
        assert staged not in deleted


def test_a_folder_deleted_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock
    deleted: list[Path] = []

    def delete_first(descriptor: int, operation: int) -> None:
        if not deleted:
            deleted.extend(tmp_path.glob(".incoming-*"))
            shutil.rmtree(deleted[0])
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", delete_first)

    with staging(tmp_path) as staged:
        assert staged.is_dir()
        assert deleted
        assert staged not in deleted


def test_a_lock_excludes_others_until_it_is_released(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with locked(tmp_path), pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def test_a_lock_of_another_process_is_waited_for_only_so_long(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="has been locked by another process for 0 s"), locked(tmp_path, 0):
            pytest.fail("two held the lock")
    finally:
        os.close(descriptor)
    with locked(tmp_path, 0):
        pass
