"""Files and folders that are complete or not there."""

import errno
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from models.durable_files import delete_abandoned, make_folder, replace_file, staging, write_file
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


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", b"first")
    replace_file(tmp_path / "file", b"second")

    assert content(tmp_path) == {"file": b"second"}
    assert hidden(tmp_path) == []


def test_the_content_is_durable_before_the_name_is_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"first")
    synced: list[tuple[str, bytes]] = []

    def record(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, (tmp_path / "file").read_bytes()))

    monkeypatch.setattr(os, "fsync", record)
    replace_file(tmp_path / "file", b"second")

    assert synced == [("file", b"first"), (tmp_path.name, b"second")]


def test_on_a_full_disk_the_file_stays_and_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    replace_file(tmp_path / "file", b"first")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "file", b"second")
    assert content(tmp_path) == {"file": b"first"}
    assert hidden(tmp_path) == []


def test_a_write_that_fails_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left on device") as raised:
        write_file(tmp_path / "new", b"data")

    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "new"))


def test_two_processes_replace_a_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, found = os.fsync, list[bytes]()

    def replace_meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        delete_abandoned(tmp_path)
        replace_file(tmp_path / "file", b"second")
        found.append((tmp_path / "file").read_bytes())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", replace_meanwhile)
    replace_file(tmp_path / "file", b"first")

    assert found == [b"second"]
    assert content(tmp_path) == {"file": b"first"}
    assert hidden(tmp_path) == []


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
