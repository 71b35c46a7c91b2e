"""Bundles in a bucket: concurrent publishers, kills, lost answers, and a storage that is away."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest

from models.errors import BundleError, DamagedBundle, StorageError, VersionNotFound
from models.repository import bundle as bundles
from models.repository.cache import BundleCache
from models.repository.object_storage import ABANDONED_HOURS, ObjectStorage
from models.repository.objects import Objects
from models.repository.repository import Repository
from models.repository.rollout import Rollout
from tests.bundles import tiny_bundle
from tests.models.repository import publishing
from tests.models.repository.trees import everything, tree
from tests.rollouts import promote
from tests.s3 import Endpoint, Proxy, proxied

REQUESTS = ("put", "get", "list", "delete")


class Killed(BaseException):
    """What follows does not happen: the process is dead."""


@contextmanager
def killed_after(step: int) -> Iterator[list[str]]:
    """Let requests through up to the `step`-th, and none after it. Yields the requests."""
    made: list[str] = []

    def killing(name: str, request: Callable[..., Any]) -> Callable[..., Any]:
        def make(*args: Any, **kwargs: Any) -> Any:
            if len(made) >= step:
                raise Killed
            made.append(name)
            return request(*args, **kwargs)

        return make

    with pytest.MonkeyPatch.context() as patch:
        for name in REQUESTS:
            patch.setattr(obstore, name, killing(name, getattr(obstore, name)))
        with suppress(Killed):
            yield made


def copy(root: str, name: str) -> str:
    """A repository with the same objects, beside this one."""
    target = f"{root}-{name}"
    copied = Objects(target)
    for key, data in tree(root).items():
        copied.put(key, data)
    return target


class TestPublish:
    def test_concurrent_publishers_get_versions_of_their_own(self, bucket: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            versions = [*pool.map(lambda seed: Repository(bucket).publish(tiny_bundle(seed=seed)), range(8))]

        repository = Repository(bucket)
        assert sorted(versions) == repository.versions("tiny") == [*range(1, 9)]
        for seed, version in enumerate(versions):
            assert repository.read("tiny", version) == tiny_bundle(seed=seed)

    def test_publishers_of_the_same_bundle_under_one_number_agree(self, bucket: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(Repository(bucket).publish_as, tiny_bundle(), 1) for _ in range(4)]:
                done.result()

        assert everything(Repository(bucket)) == {"tiny": (1, {1: tiny_bundle()})}

    def test_a_number_that_another_bundle_is_being_published_under_is_refused(self, bucket: str) -> None:
        Objects(bucket).put("tiny/1/manifest.json", b"{}")

        with pytest.raises(BundleError, match="tiny/1 is being published by another process"):
            Repository(bucket).publish_as(tiny_bundle(), 1)

    @pytest.mark.parametrize(
        ("operation", "earlier"),
        [
            (publishing.publish_a_version, 0),
            (publishing.publish_a_version, 1),
            (publishing.publish_a_candidate, 1),
            (publishing.choose_the_first, 2),
            (publishing.prune_the_oldest, 2),
        ],
    )
    def test_a_process_killed_at_any_step_leaves_the_old_state_or_the_new_one(
        self, memory: str, operation: Callable[[Repository], None], earlier: int
    ) -> None:
        for seed in range(earlier):
            Repository(memory).publish(tiny_bundle(seed=seed))
        after = Repository(copy(memory, "after"))
        with killed_after(1000) as made:
            operation(after)
        states = [everything(Repository(memory)), everything(after)]
        # Reads change nothing, so only the step before the first write counts, and each write.
        writes = [step for step, name in enumerate(made) if name in {"put", "delete"}]
        seen = []

        for step in (writes[0], *(step + 1 for step in writes)):
            root = copy(memory, str(step))
            with killed_after(step):
                operation(Repository(root))
            repository = Repository(root)
            seen.append(states.index(everything(repository)))
            newest = repository.publish(tiny_bundle(seed=100))
            assert repository.read("tiny", newest) == tiny_bundle(seed=100)

        assert seen == sorted(seen), "once the new state is there, it stays"
        assert {seen[0], seen[-1]} == {0, 1}

    def test_what_a_dead_publisher_has_uploaded_is_deleted_after_a_day(self, bucket: str) -> None:
        Repository(bucket).publish(tiny_bundle())
        before = tree(bucket)
        with killed_after(4):
            Repository(bucket).publish(tiny_bundle(seed=1))
        assert tree(bucket).keys() > before.keys()

        def delete_abandoned(hours: float) -> None:
            ObjectStorage(bucket, now=lambda: datetime.now(UTC) + timedelta(hours=hours)).delete_abandoned()

        delete_abandoned(ABANDONED_HOURS - 1)
        assert tree(bucket).keys() > before.keys()
        delete_abandoned(ABANDONED_HOURS + 1)
        assert tree(bucket) == before


class TestRollout:
    def test_changes_at_the_same_time_are_all_made(self, bucket: str) -> None:
        for seed in range(3):
            Repository(bucket).publish(tiny_bundle(seed=seed))

        def rotate(_: int) -> None:
            Repository(bucket).change_rollout(
                "tiny", lambda rollout, default: rollout.promoted(default % 3 + 1, default)
            )

        with ThreadPoolExecutor(4) as pool:
            [*pool.map(rotate, range(9))]

        assert Repository(bucket).rollout("tiny") == Rollout(default=3, previous=(3, 1, 2) * 3)

    @pytest.mark.parametrize("content", [b"", b"{", b'{"defualt": 1}', b"\xff\xfe"])
    def test_one_that_cannot_be_read_is_refused(self, bucket: str, content: bytes) -> None:
        Repository(bucket).publish(tiny_bundle())
        Objects(bucket).put("tiny/rollout.json", content)

        with pytest.raises(BundleError, match=r"tiny/rollout\.json is not a rollout"):
            Repository(bucket).default_version("tiny")
        with pytest.raises(BundleError):
            promote(Repository(bucket), "tiny", 1)


@pytest.fixture
def proxy(s3: Endpoint, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the repository and its bucket."""
    assert bucket
    with proxied(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint.url)
        yield proxy


def lose_once(*parts: bytes) -> Callable[[bytes], str]:
    """Lose the answer of the first request whose first line has all of these in it."""
    lost = itertools.count()
    return lambda line: "lose" if all(part in line for part in parts) and next(lost) == 0 else "pass"


class TestLostAnswers:
    @pytest.mark.parametrize("name", [b"manifest.json", b"folded.onnx", b"SHA256SUMS"])
    def test_a_publication_counts_once(self, proxy: Proxy, bucket: str, name: bytes) -> None:
        proxy.decide = lose_once(b"PUT", name)

        assert Repository(bucket).publish(tiny_bundle()) == 1
        assert sum(name in line for line in proxy.seen if line.startswith(b"PUT")) > 1, "it was sent again"
        assert everything(Repository(bucket)) == {"tiny": (1, {1: tiny_bundle()})}

    def test_a_rollback_goes_back_once(self, proxy: Proxy, bucket: str) -> None:
        repository = Repository(bucket)
        for seed in range(3):
            repository.publish(tiny_bundle(seed=seed))
        for version in (1, 2, 3):
            promote(repository, "tiny", version)
        proxy.decide = lose_once(b"PUT", b"rollout.json")

        rolled_back = repository.change_rollout("tiny", lambda rollout, _: rollout.rolled_back())

        assert rolled_back == repository.rollout("tiny")
        assert repository.default_version("tiny") == 2


class TestCache:
    @pytest.fixture
    def cache(self, tmp_path: Path) -> BundleCache:
        return BundleCache(tmp_path / "cache", 1 << 30)

    @pytest.fixture
    def repository(self, proxy: Proxy, bucket: str, cache: BundleCache) -> Repository:
        assert proxy.seen == []
        repository = Repository(bucket, cache)
        repository.publish(tiny_bundle(seed=1))
        repository.publish(tiny_bundle(seed=2))
        promote(repository, "tiny", 1)
        repository.read("tiny", 1)
        return repository

    def test_a_bundle_is_downloaded_once(self, repository: Repository, proxy: Proxy) -> None:
        proxy.seen.clear()

        assert repository.read("tiny", 1) == tiny_bundle(seed=1)
        assert [line for line in proxy.seen if b".onnx" in line] == []

    def test_what_was_read_is_served_when_the_storage_is_away(
        self, repository: Repository, proxy: Proxy, bucket: str, cache: BundleCache
    ) -> None:
        repository.rollout("tiny")
        proxy.decide = lambda _line: "refuse"
        restarted = Repository(bucket, BundleCache(cache.folder, cache.max_bytes))

        for each in (repository, restarted):
            assert each.last_seen() == {"tiny": ((1,), Rollout(default=1))}
            assert each.read("tiny", 1) == tiny_bundle(seed=1)
        with pytest.raises(StorageError, match="cannot be read: it does not take connections"):
            restarted.read("tiny", 2)
        with pytest.raises(StorageError, match="cannot be read"):
            restarted.listing()
        with pytest.raises(StorageError, match=r"cannot be (written|read)"):
            restarted.publish(tiny_bundle(seed=3))

    def test_a_file_that_was_tampered_with_is_downloaded_again(
        self, repository: Repository, proxy: Proxy, cache: BundleCache
    ) -> None:
        (file,) = cache.folder.rglob("folded.onnx")
        file.write_bytes(b"another graph")

        assert repository.read("tiny", 1) == tiny_bundle(seed=1)

        file.write_bytes(b"another graph")
        proxy.decide = lambda _line: "refuse"
        with pytest.raises(StorageError):
            repository.read("tiny", 1)

    def test_another_bundle_in_the_place_of_one_is_found(self, repository: Repository, cache: BundleCache) -> None:
        (file,) = cache.folder.rglob("folded.onnx")
        for name, data in bundles.pack(tiny_bundle(seed=9)).items():
            (file.parent / name).write_bytes(data)

        assert repository.read("tiny", 1) == tiny_bundle(seed=1)

    def test_a_file_that_was_tampered_with_in_the_bucket_is_refused(self, repository: Repository, bucket: str) -> None:
        Objects(bucket).put("tiny/2/folded.onnx", b"another graph")

        for reader in (repository, Repository(bucket)):
            with pytest.raises(DamagedBundle, match=r"2.* does not match its digest"):
                reader.read("tiny", 2)

    def test_a_missing_file_is_named(self, repository: Repository, bucket: str) -> None:
        Objects(bucket).delete(["tiny/2/folded.onnx"])

        with pytest.raises(DamagedBundle, match=r"tiny/2/folded\.onnx is missing"):
            repository.read("tiny", 2)

    def test_a_version_that_is_deleted_is_not_read_from_the_cache(self, repository: Repository) -> None:
        promote(repository, "tiny", 2)
        repository.change_rollout("tiny", lambda _before, _default: Rollout())
        assert repository.prune("tiny", keep=1) == [1]

        with pytest.raises(VersionNotFound):
            repository.read("tiny", 1)
        assert repository.last_seen() == {}


def test_a_large_object_is_uploaded_in_parts(bucket: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * (6 << 12)
    stored = Objects(bucket)
    stored.put("large", data)

    assert stored.download("large", tmp_path / "large", len(data))
    assert (tmp_path / "large").read_bytes() == data
    with pytest.raises(StorageError, match="6291456 bytes long; at most 100 are read"):
        stored.get("large", 100)


def test_names_that_are_no_versions_are_passed_over(bucket: str) -> None:
    stored = Objects(bucket)
    for key in ("tiny/latest/SHA256SUMS", "tiny/01/SHA256SUMS", "README.md", "not a name/1/SHA256SUMS", "tiny/7"):
        stored.put(key, b"")
    stored.put(f"tiny/{'9' * 20}/SHA256SUMS", b"")

    listing = Repository(bucket).listing()
    assert listing.keys() == {"tiny"}
    assert listing["tiny"].versions == ()
    assert listing["tiny"].unusable == {"9" * 20: "a version has at most 18 digits"}
    assert Repository(bucket).publish(tiny_bundle()) == 1


def test_a_version_of_another_model_is_refused(bucket: str) -> None:
    Repository(bucket).publish(tiny_bundle())
    stored = Objects(bucket)
    for key, data in tree(bucket).items():
        stored.put(key.replace("tiny", "other"), data)

    with pytest.raises(BundleError, match="other/1 has the manifest of another model: 'tiny'"):
        Repository(bucket).read("other", 1)
