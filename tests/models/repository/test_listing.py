"""What is in a repository, whatever lies in it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import BundleError, ModelNotFound, StorageError
from models.repository.listing import ModelListing, list_models
from models.repository.repository import Repository
from tests.bundles import tiny_bundle


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangle(path: Path) -> None:
    path.symlink_to("nowhere")


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(path.parent)  # the path of a socket is short
        bound.bind(path.name)


@pytest.fixture(autouse=True)
def _stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path.cwd())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (loop, "Too many levels of symbolic links"),
        (dangle, "it is a link to no folder"),
        (Path.touch, "it is not a folder"),
        (os.mkfifo, "it is not a folder"),
        (bind, "it is not a folder"),
    ],
)
def test_what_is_in_the_place_of_a_version_is_reported(
    repository: Repository, make: Callable[[Path], None], reason: str
) -> None:
    repository.publish(tiny_bundle())
    make(repository.root / "tiny" / "2")

    listing = repository.listing()["tiny"]
    assert listing.versions == (1,)
    assert reason in listing.unusable["2"]
    assert repository.publish(tiny_bundle()) == 3


@pytest.mark.parametrize(("make", "reason"), [(loop, "symbolic links"), (dangle, "it is a link to no folder")])
def test_a_link_in_the_place_of_a_model_is_reported(
    repository: Repository, make: Callable[[Path], None], reason: str
) -> None:
    repository.publish(tiny_bundle())
    make(repository.root / "broken")

    assert repository.models() == ["tiny"]
    assert reason in repository.listing()["broken"].unusable[""]


def test_a_version_has_at_most_eighteen_digits(repository: Repository) -> None:
    for digits in (18, 20):
        (repository.root / "tiny" / ("9" * digits)).mkdir(parents=True)

    assert repository.listing()["tiny"] == ModelListing((10**18 - 1,), {"9" * 20: "a version has at most 18 digits"})


def test_files_and_folders_without_versions_are_no_models(repository: Repository) -> None:
    repository.root.mkdir()
    (repository.root / "README.md").touch()
    (repository.root / "notes").mkdir()
    os.mkfifo(repository.root / "pipe")

    assert repository.listing() == {}
    with pytest.raises(ModelNotFound):
        repository.versions("notes")


@pytest.mark.parametrize("errno", [5, 13, 24, 116], ids=os.strerror)
def test_a_folder_that_cannot_be_read_is_reported_and_the_others_are_listed(
    repository: Repository, errno: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.publish(tiny_bundle())
    repository.publish(tiny_bundle("broken"))
    scandir = os.scandir

    def fail(path: str | Path) -> object:
        if Path(path).name == "broken":
            raise OSError(errno, os.strerror(errno))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)

    assert repository.models() == ["tiny"]
    assert repository.listing()["broken"].unusable == {"": f"its folder cannot be read: {os.strerror(errno)}"}
    with pytest.raises(StorageError, match=f"model 'broken': its folder cannot be read: {os.strerror(errno)}"):
        repository.versions("broken")


def test_a_repository_that_cannot_be_read_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StorageError, match="the repository cannot be read: Stale file handle"):
        list_models(tmp_path)


def test_a_file_of_sixty_gigabytes_is_refused_unread(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    with (repository.root / "tiny" / "1" / "folded.onnx").open("wb") as file:
        file.truncate(60 << 30)

    with pytest.raises(BundleError, match=r"folded.onnx cannot be read: 64424509440 bytes long; at most"):
        repository.read("tiny", 1)


@pytest.mark.parametrize("make", [os.mkfifo, loop, dangle, Path.mkdir])
def test_a_rollout_that_is_no_file_is_refused_without_waiting_for_it(
    repository: Repository, make: Callable[[Path], None]
) -> None:
    repository.publish(tiny_bundle())
    make(repository.root / "tiny" / "rollout.json")

    with pytest.raises(BundleError, match=r"tiny/rollout.json cannot be read"):
        repository.rollout("tiny")
