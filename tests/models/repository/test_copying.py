"""The model of a folder, copied into a repository."""

from pathlib import Path

import pytest

from models.errors import BundleError, InvalidInput
from models.repository.copying import copy_model
from models.repository.repository import Repository
from models.repository.rollout import Rollout
from tests.bundles import tiny_bundle
from tests.models.repository.kinds import in_each_kind_of_storage
from tests.models.repository.trees import tree


@pytest.fixture
def source(tmp_path: Path) -> Repository:
    """Versions 1 and 3 of `tiny`; 1 is the default."""
    source = Repository(tmp_path / "source")
    for seed in range(3):
        source.publish(tiny_bundle(seed=seed))
    source.change_rollout("tiny", lambda _before, _default: Rollout(default=1))
    (source.root / "tiny" / "2").rename(tmp_path / "removed")
    return source


@in_each_kind_of_storage
def test_a_bundle_becomes_version_one_under_another_name(source: Repository, repository: Repository) -> None:
    assert copy_model(source.root / "tiny" / "3", "digits", repository) == [1]

    copied, original = repository.read("digits", 1), source.read("tiny", 3)
    assert copied.manifest == original.manifest.model_copy(update={"model": "digits"})
    assert (copied.folded, copied.source, copied.observed) == (original.folded, original.source, original.observed)


@in_each_kind_of_storage
def test_versions_keep_their_numbers_and_their_rollout(source: Repository, repository: Repository) -> None:
    assert copy_model(source.root / "tiny", "tiny", repository) == [1, 3]

    assert repository.versions("tiny") == [1, 3]
    assert repository.default_version("tiny") == 1
    assert [repository.read("tiny", version) for version in (1, 3)] == [source.read("tiny", v) for v in (1, 3)]


@in_each_kind_of_storage
def test_copying_again_changes_nothing(source: Repository, repository: Repository) -> None:
    copy_model(source.root / "tiny", "digits", repository)
    repository.change_rollout("digits", lambda _before, _default: Rollout(default=3))
    before = tree(repository.root)

    copy_model(source.root / "tiny", "digits", repository)

    assert tree(repository.root) == before
    assert repository.default_version("digits") == 3, "what was decided since stays"


@in_each_kind_of_storage
def test_another_bundle_does_not_replace_one(source: Repository, repository: Repository) -> None:
    copy_model(source.root / "tiny" / "1", "digits", repository)

    with pytest.raises(BundleError, match="digits/1 is there already, and is another bundle"):
        copy_model(source.root / "tiny" / "3", "digits", repository)
    assert repository.read("digits", 1).folded == source.read("tiny", 1).folded


def test_a_folder_without_a_version_is_refused(tmp_path: Path, repository: Repository) -> None:
    with pytest.raises(InvalidInput, match=r"model_path: .* has no version"):
        copy_model(tmp_path, "digits", repository)


@in_each_kind_of_storage
def test_a_damaged_version_is_not_copied(source: Repository, repository: Repository) -> None:
    (source.root / "tiny" / "3" / "folded.onnx").write_bytes(b"")

    with pytest.raises(BundleError, match="digest"):
        copy_model(source.root / "tiny", "digits", repository)
    assert repository.versions("digits") == [1]
