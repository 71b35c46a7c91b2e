"""Names to versions: `models.repository.repository`."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.errors import BundleError, InvalidInput, ModelNotFound, VersionNotFound
from models.manifest import Parent
from models.repository.bundle import pack
from models.repository.repository import Repository
from models.repository.rollout import Canary, Rollout
from tests.bundles import image_bundle, tiny_bundle
from tests.models.repository.kinds import in_each_kind, in_each_kind_of_storage
from tests.models.repository.trees import hidden, tree
from tests.recalibrating import recalibrated
from tests.rollouts import promote


class TestTrainedVersion:
    def test_a_recalibrated_version_leads_to_the_one_it_was_made_from(self, repository: Repository) -> None:
        repository.publish(tiny_bundle())
        for parent in (1, 2):
            repository.publish(recalibrated(tiny_bundle(seed=parent), parent))

        assert repository.trained_version("tiny", 3) == 1
        assert repository.trained_version("tiny", 1) == 1

    def test_a_version_that_was_not_recalibrated_is_itself(self, repository: Repository) -> None:
        repository.publish(tiny_bundle())
        repository.publish(tiny_bundle(seed=1, parent=Parent(model="tiny", version=1)))

        assert repository.trained_version("tiny", 2) == 2

    def test_without_its_parent_a_version_is_itself(self, repository: Repository) -> None:
        repository.publish(recalibrated(tiny_bundle(), 7))

        assert repository.trained_version("tiny", 1) == 1


class TestPublish:
    @in_each_kind
    def test_versions_count_up_from_one(self, repository: Repository) -> None:
        assert [repository.publish(tiny_bundle(seed=seed)) for seed in range(3)] == [1, 2, 3]
        assert repository.versions("tiny") == [1, 2, 3]

    @in_each_kind
    def test_what_is_read_is_what_was_published(self, repository: Repository) -> None:
        bundle = tiny_bundle(seed=3, parent=Parent(model="tiny", version=1))
        repository.publish(tiny_bundle())

        assert repository.read("tiny", repository.publish(bundle)) == bundle

    @in_each_kind
    def test_a_version_has_the_size_of_its_files(self, repository: Repository) -> None:
        bundle = tiny_bundle()
        repository.publish(bundle)

        assert repository.size("tiny", 1) == sum(map(len, pack(bundle).values()))
        assert repository.size("tiny", 2) == 0

    @in_each_kind
    def test_models_have_versions_of_their_own(self, repository: Repository) -> None:
        repository.publish(tiny_bundle())

        assert repository.publish(image_bundle()) == 1
        assert repository.models() == ["shapes", "tiny"]

    def test_the_tenth_version_is_newer_than_the_ninth(self, repository: Repository) -> None:
        repository.publish(tiny_bundle())
        (repository.root / "tiny" / "1").rename(repository.root / "tiny" / "9")
        repository.publish(tiny_bundle())

        assert repository.versions("tiny") == [9, 10]
        assert repository.default_version("tiny") == 10

    def test_there_is_always_a_next_version(self, repository: Repository) -> None:
        """An operator's folder named by a time in microseconds is a version as well."""
        (repository.root / "tiny" / "1700000000000000").mkdir(parents=True)

        assert repository.publish(tiny_bundle()) == 1700000000000001
        assert repository.publish(tiny_bundle()) == 1700000000000002

    @in_each_kind
    def test_nothing_but_the_version_is_left_in_the_repository(self, repository: Repository) -> None:
        repository.publish(tiny_bundle())

        files = {path for path, content in tree(repository.root).items() if content is not None}
        assert files == {f"tiny/1/{name}" for name in ("SHA256SUMS", "folded.onnx", "manifest.json", "source.onnx")}

    def test_a_version_that_appears_in_between_is_not_overwritten(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Path.rename
        others: list[int] = []

        def rename_late(path: Path, target: Path) -> Path:
            if target.name == "1" and not others:
                others.append(1)
                assert repository.publish(tiny_bundle(seed=1)) == 1
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", rename_late)

        assert repository.publish(tiny_bundle(seed=2)) == 2
        assert repository.read("tiny", 1) == tiny_bundle(seed=1)
        assert repository.read("tiny", 2) == tiny_bundle(seed=2)

    def test_a_number_that_something_else_has_taken_is_passed_over(self, repository: Repository) -> None:
        repository.publish(tiny_bundle())
        (repository.root / "tiny" / "2").write_text("a file")

        assert repository.publish(tiny_bundle()) == 3
        assert hidden(repository.root) == []
        assert repository.versions("tiny") == [1, 3]

    def test_a_full_disk_leaves_nothing_behind(self, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        repository.publish(tiny_bundle())
        before = tree(repository.root)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            repository.publish(tiny_bundle())

        assert tree(repository.root) == before


class TestLookUp:
    def test_a_repository_that_does_not_exist_is_empty_and_is_not_made_by_looking(self, repository: Repository) -> None:
        assert repository.models() == []
        with pytest.raises(ModelNotFound):
            repository.versions("tiny")
        assert not repository.root.exists()

    def test_folders_without_a_version_are_no_models(self, repository: Repository) -> None:
        for name in ("empty", ".hidden/1", "not a name/1", "lost+found", "tiny/latest", "tiny/01", "tiny/0", "tiny/-1"):
            (repository.root / name).mkdir(parents=True)
        (repository.root / "tiny" / "1").touch()
        (repository.root / "file").touch()

        assert repository.models() == []
        with pytest.raises(ModelNotFound, match="'tiny' is not found"):
            repository.versions("tiny")

    @in_each_kind
    @pytest.mark.parametrize("version", [0, -1, 2, 10**30])
    def test_a_version_that_does_not_exist_is_not_found(self, repository: Repository, version: int) -> None:
        repository.publish(tiny_bundle())

        with pytest.raises(VersionNotFound):
            repository.read("tiny", version)
        with pytest.raises(VersionNotFound):
            repository.validate_version("tiny", version)

    def test_a_version_moved_to_another_model_is_refused(self, repository: Repository) -> None:
        repository.publish(tiny_bundle())
        (repository.root / "tiny").rename(repository.root / "other")

        with pytest.raises(BundleError, match=r"other/1 has the manifest of another model: 'tiny'"):
            repository.read("other", 1)

    def test_it_prints_its_folder(self, repository: Repository) -> None:
        assert repr(repository) == f"Repository({str(repository.root)!r})"


class TestDefault:
    @in_each_kind
    def test_the_newest_version_is_the_default_until_one_is_set(self, repository: Repository) -> None:
        for seed in range(3):
            repository.publish(tiny_bundle(seed=seed))
        assert repository.default_version("tiny") == 3

        promote(repository, "tiny", 2)
        repository.publish(tiny_bundle())
        assert repository.default_version("tiny") == 2

        promote(repository, "tiny", 3)
        assert repository.default_version("tiny") == 3
        assert hidden(repository.root) == []

    @pytest.mark.parametrize("content", [b"", b"7\n", b"{", b'{"default": "x"}', b'{"defualt": 1}', b"\xff\xfe", b"[]"])
    def test_no_version_answers_where_it_cannot_be_read_which_was_chosen(
        self, repository: Repository, content: bytes
    ) -> None:
        repository.publish(tiny_bundle())
        (repository.root / "tiny" / "rollout.json").write_bytes(content)

        with pytest.raises(BundleError, match=r"tiny/rollout\.json is not a rollout"):
            repository.default_version("tiny")
        with pytest.raises(BundleError):
            promote(repository, "tiny", 1)
        with pytest.raises(BundleError):
            repository.prune("tiny", keep=1)

    def test_a_default_that_is_gone_is_the_one_before_it(self, repository: Repository) -> None:
        for seed in range(4):
            repository.publish(tiny_bundle(seed=seed))
        promote(repository, "tiny", 2)
        promote(repository, "tiny", 3)
        shutil.rmtree(repository.root / "tiny" / "3")

        assert repository.default_version("tiny") == 2

    @in_each_kind
    def test_a_candidate_is_not_the_default_and_what_was_stays(self, repository: Repository) -> None:
        repository.publish(tiny_bundle(seed=1))
        assert repository.publish(tiny_bundle(seed=2), candidate=True) == 2
        repository.publish(tiny_bundle(seed=3))

        assert repository.default_version("tiny") == 1
        assert repository.rollout("tiny") == Rollout(default=1)

    @in_each_kind
    def test_a_candidate_changes_nothing_that_was_decided(self, repository: Repository) -> None:
        for seed in range(3):
            repository.publish(tiny_bundle(seed=seed))
        promote(repository, "tiny", 2)
        before = repository.rollout("tiny")
        repository.publish(tiny_bundle(), candidate=True)

        assert repository.rollout("tiny") == before

    @in_each_kind
    def test_a_first_version_is_the_default_even_as_a_candidate(self, repository: Repository) -> None:
        repository.publish(tiny_bundle(), candidate=True)

        assert repository.default_version("tiny") == 1

    def test_changes_at_the_same_time_are_made_one_after_the_other(self, repository: Repository) -> None:
        for seed in range(3):
            repository.publish(tiny_bundle(seed=seed))
        changing = threading.Lock()

        def change(rollout: Rollout, default: int) -> Rollout:
            assert changing.acquire(blocking=False), "another is changing it"
            os.sched_yield()
            changing.release()
            return rollout.promoted(default % 3 + 1, default)

        with ThreadPoolExecutor(8) as pool:
            for changed in [pool.submit(repository.change_rollout, "tiny", change) for _ in range(15)]:
                changed.result()

        assert repository.rollout("tiny") == Rollout(default=3, previous=(3, 1, 2) * 5)
        assert hidden(repository.root) == []


class TestPrune:
    @pytest.fixture
    def five(self, repository: Repository) -> Repository:
        for seed in range(5):
            repository.publish(tiny_bundle(seed=seed))
        return repository

    @in_each_kind_of_storage
    def test_the_oldest_versions_are_deleted(self, five: Repository) -> None:
        assert five.prune("tiny", keep=2) == [1, 2, 3]
        assert five.versions("tiny") == [4, 5]
        assert hidden(five.root) == []

    @in_each_kind_of_storage
    def test_the_default_stays(self, five: Repository) -> None:
        promote(five, "tiny", 2)

        assert five.prune("tiny", keep=1) == [1, 3, 4]
        assert five.versions("tiny") == [2, 5]

    @in_each_kind_of_storage
    def test_what_is_in_use_and_what_it_was_made_from_stay(self, five: Repository) -> None:
        for parent in (None, Parent(model="tiny", version=1), Parent(model="tiny", version=7), None, None, None):
            five.publish(tiny_bundle(parent=parent))
        promote(five, "tiny", 9)  # before it, the newest was: 11
        five.change_rollout("tiny", lambda rollout, default: rollout.with_canary(Canary(version=8, share=0.5), default))
        five.change_rollout("tiny", lambda rollout, default: rollout.with_shadow(4, default))
        five.change_rollout("tiny", lambda rollout, _: rollout.with_loaded(5))

        assert five.prune("tiny", keep=1) == [2, 3, 6, 10]
        assert five.versions("tiny") == [1, 4, 5, 7, 8, 9, 11]

    @in_each_kind_of_storage
    def test_a_number_is_not_given_twice(self, five: Repository) -> None:
        five.prune("tiny", keep=1)

        assert five.publish(tiny_bundle()) == 6

    @in_each_kind_of_storage
    def test_with_few_versions_nothing_happens(self, five: Repository) -> None:
        assert five.prune("tiny", keep=5) == []
        assert five.prune("tiny", keep=50) == []

    @pytest.mark.parametrize("keep", [0, -1])
    def test_at_least_one_must_be_kept(self, five: Repository, keep: int) -> None:
        with pytest.raises(InvalidInput, match="keep: at least one"):
            five.prune("tiny", keep)
        assert len(five.versions("tiny")) == 5

    def test_what_another_pruned_at_the_same_time_is_gone_all_the_same(
        self, five: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outdated = five.versions("tiny")
        five.prune("tiny", keep=3)
        monkeypatch.setattr(five, "versions", lambda _: outdated)

        five.prune("tiny", keep=2)

        assert Repository(five.root).versions("tiny") == [4, 5]
